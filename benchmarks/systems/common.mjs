// What every system in Node shares: the bodies of the jobs, the loops of the clients, the verbs.
// The same as common.py, and the same records as harness/proof.py.
import fs from "node:fs";

const STARTED = 1, ENDED = 2, SIZE = 16;
const SLEEP_MS = 20, BATCH = 1000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => (performance.timeOrigin + performance.now()) / 1000;

function record(number, what) {
  const bytes = Buffer.allocUnsafe(SIZE);
  bytes.writeInt32LE(number, 0);
  bytes.writeInt32LE(what, 4);
  bytes.writeDoubleLE(now(), 8);
  return bytes;
}

let file;
function mark(number, what = STARTED) {
  file ??= fs.openSync(process.env.BENCHMARK_PROOF, "a");
  fs.writeSync(file, record(number, what));
}

export const BODIES = {
  noop: async (number) => mark(number),
  sleep: async (number) => {
    mark(number);
    await pause(SLEEP_MS);
    mark(number, ENDED);
  },
};

// A package may keep its package.json from being loaded; the file is there all the same.
export function versions(folder, packages) {
  const found = { node: process.version };
  for (const name of packages) {
    found[name] = JSON.parse(fs.readFileSync(`${folder}/node_modules/${name}/package.json`)).version;
  }
  return found;
}

const print = (found) => new Promise((done) => process.stdout.write(`${JSON.stringify(found)}\n`, done));
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function push(system, how, job, count, first, most) {
  const text = "x".repeat(Number(process.env.BENCHMARK_TEXT));
  await system.open();
  const cpu = cpuSeconds(), start = now(), began = performance.now();
  let jobs = 0;
  while (jobs < count && performance.now() - began < most * 1000) {
    const size = how === "one" ? 1 : Math.min(BATCH, count - jobs);
    if (how === "one") await system.push(job, first + jobs, text);
    else await system.pushMany(job, Array.from({ length: size }, (_, i) => first + jobs + i), text);
    jobs += size;
  }
  const seconds = (performance.now() - began) / 1000;
  await print({ jobs, began: start, seconds, cpu: cpuSeconds() - cpu });
}

async function pace(system, job, count, rate, path) {
  const text = "x".repeat(Number(process.env.BENCHMARK_TEXT)), sent = [];
  await system.open();
  const start = now() + 0.05;
  for (let number = 0; number < count; number++) {
    const wait = start + number / rate - now();
    if (wait > 0) await pause(wait * 1000);
    sent.push(record(number, STARTED));
    await system.push(job, number, text);
  }
  fs.writeFileSync(path, Buffer.concat(sent));
}

export async function main(system) {
  const [verb, ...rest] = process.argv.slice(2);
  if (verb === "info") await print(system.info());
  else if (verb === "setup") await system.setup();
  else if (verb === "push") await push(system, rest[0], rest[1], +rest[2], +rest[3], +rest[4]);
  else if (verb === "pace") await pace(system, rest[0], +rest[1], +rest[2], rest[3]);
  else if (verb === "worker") await system.worker(system.variants[rest[0]]);
  else throw new Error(`unknown verb ${verb}`);
  process.exit(0);
}
