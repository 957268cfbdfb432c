// The npm library faktory-worker, as the tests use it: push, bulk or work, with FAKTORY_URL.
"use strict";

const fs = require("node:fs");
const faktory = require("faktory-worker");

const BEAT_SECONDS = 0.2;
const [command, argument] = process.argv.slice(2);
// The library takes TLS from an option, not from the scheme of the URL.
const tlsOptions = process.env.FAKTORY_URL.startsWith("tcp+tls:") ? {} : undefined;

async function push(jobs) {
  const client = await faktory.connect({ tlsOptions });
  const jids = [];
  for (const job of jobs) {
    jids.push(await client.push(job));
  }
  await client.close();
  return { pushed: jids };
}

async function bulk(jobs) {
  const client = await faktory.connect({ tlsOptions });
  const refused = await client.pushBulk(jobs);
  await client.close();
  const reasons = Object.entries(refused).map(([jid, { reason }]) => [jid, reason]);
  return { refused: Object.fromEntries(reasons) };
}

function work(queue) {
  faktory.register("tests.jobapp.jobs.record", async (path, text) => {
    fs.appendFileSync(path, `${text}\n`);
  });
  faktory.register("tests.jobapp.jobs.fail", async (message) => {
    throw Object.assign(new Error(message), { code: "ENO" });
  });
  const options = { queues: [queue], concurrency: 2, beatInterval: BEAT_SECONDS };
  return faktory.work({ ...options, labels: ["node"], tlsOptions });
}

async function main() {
  if (command === "work") {
    await work(argument);
    return;
  }
  const done = command === "bulk" ? bulk : push;
  console.log(JSON.stringify(await done(JSON.parse(argument))));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
