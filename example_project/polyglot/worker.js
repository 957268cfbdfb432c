// A worker in Node beside the Django one. It counts words and pushes the result back to Django.
"use strict";

const faktory = require("faktory-worker");

// The library takes TLS from an option, not from the scheme of FAKTORY_URL.
const tlsOptions = (process.env.FAKTORY_URL || "").startsWith("tcp+tls:") ? {} : undefined;

faktory.register("WordCount", async (text) => {
  const words = text.split(/\s+/).filter(Boolean).length;
  const client = await faktory.connect({ tlsOptions });
  try {
    // args: what keep_count of jobs.py takes.
    await client.job("WordCounted", text, words).push();
  } finally {
    await client.close();
  }
});

faktory
  .work({ queues: ["node"], concurrency: 5, labels: ["node", "example"], tlsOptions })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
