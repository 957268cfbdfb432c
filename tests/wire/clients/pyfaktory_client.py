"""The library `pyfaktory`, as the tests use it: push, bulk or work, with FAKTORY_URL."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from pyfaktory import Client, Consumer, Job, Producer  # type: ignore[import-untyped]


def record(path: str, text: str) -> None:
    """Write text to the ledger of a test."""
    with Path(path).open("a", encoding="utf-8") as ledger:
        ledger.write(f"{text}\n")


def fail(message: str) -> None:
    """Raise ValueError."""
    raise ValueError(message)


def push(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Push jobs one by one."""
    with Client(role="producer") as client:
        for job in jobs:
            Producer(client).push(Job(**job))
    return {"pushed": [job["jid"] for job in jobs]}


def bulk(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Push jobs in one command."""
    with Client(role="producer") as client:
        return {"refused": Producer(client).push_bulk([Job(**job) for job in jobs])}


def work(queue: str) -> None:
    """Run jobs until the server says stop."""
    with Client(role="consumer", labels=["pyfaktory"], beat_period=0.2) as client:
        consumer = Consumer(client, queues=[queue], concurrency=1, grace_period=1)
        consumer.register("tests.jobapp.jobs.record", record)
        consumer.register("tests.jobapp.jobs.fail", fail)
        consumer.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        done = {"push": push, "bulk": bulk}[sys.argv[1]]
        print(json.dumps(done(json.loads(sys.argv[2]))))  # noqa: T201
