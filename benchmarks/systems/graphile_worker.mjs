// graphile-worker; "local queue" is what its documentation recommends for the highest rate.
import { createRequire } from "node:module";
import { BODIES, main, versions } from "./common.mjs";

const load = createRequire(`${process.env.BENCHMARK_NODE}/package.json`);
const { Logger, makeWorkerUtils, run, runMigrations } = load("graphile-worker");

const connectionString = `postgres:///${process.env.PGDATABASE}`; // the rest is in PGHOST and its kin
const logger = new Logger(() => () => {});
const taskList = Object.fromEntries(
  Object.entries(BODIES).map(([name, body]) => [name, (payload) => body(payload.number)]),
);
const batched = { completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const variants = {
  default: { note: "2 processes, concurrentJobs 1", worker: { concurrentJobs: 1, maxPoolSize: 10 } },
  local_queue: {
    note: "2 processes, concurrentJobs 24, localQueue 500, completeJobBatchDelay 0",
    worker: { concurrentJobs: 24, maxPoolSize: 4, localQueue: { size: 500 }, ...batched },
  },
  sleep: {
    note: "2 processes, concurrentJobs 50, localQueue 100, completeJobBatchDelay 0",
    worker: { concurrentJobs: 50, maxPoolSize: 4, localQueue: { size: 100 }, ...batched },
  },
  ten: { note: "2 processes, concurrentJobs 10", worker: { concurrentJobs: 10, maxPoolSize: 11 } },
};
let utils;

await main({
  variants,
  info: () => ({
    store: "postgres",
    has_bulk: true,
    versions: versions(process.env.BENCHMARK_NODE, ["graphile-worker", "pg"]),
    variants: Object.fromEntries(
      Object.entries(variants).map(([name, { note }]) => [name, { note, processes: 2, prefix: "" }]),
    ),
  }),
  setup: () => runMigrations({ connectionString, logger }),
  open: async () => {
    utils = await makeWorkerUtils({ connectionString, logger });
    await utils.migrate();
  },
  push: (job, number, text) => utils.addJob(job, { number, text }),
  pushMany: (job, numbers, text) =>
    utils.addJobs(numbers.map((number) => ({ identifier: job, payload: { number, text } }))),
  worker: async ({ worker }) => {
    const preset = { worker: { connectionString, ...worker } };
    const runner = await run({ preset, taskList, logger, noHandleSignals: true });
    process.on("SIGTERM", () => runner.stop().finally(() => process.exit(0)));
    await runner.promise;
  },
});
