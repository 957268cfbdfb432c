"""The library `faktory` by cdrx, as the tests use it: push or work, with FAKTORY_URL."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import faktory  # type: ignore[import-untyped]


def record(path: str, text: str) -> None:
    """Write text to the ledger of a test."""
    with Path(path).open("a", encoding="utf-8") as ledger:
        ledger.write(f"{text}\n")


def fail(message: str) -> None:
    """Raise ValueError."""
    raise ValueError(message)


def push(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """Push jobs one by one."""
    with faktory.connection() as client:
        for job in jobs:
            kept = {name: value for name, value in job.items() if name != "jobtype"}
            if not client.queue(job["jobtype"], **kept):
                raise AssertionError(f"the push was refused: {job}")
    return {"pushed": [job["jid"] for job in jobs]}


def work(queue: str) -> None:
    """Run jobs until the server says stop."""
    worker = faktory.Worker(queues=[queue], concurrency=1, use_threads=True, labels=["cdrx"])
    worker.send_heartbeat_every = 0.2
    worker.register("tests.jobapp.jobs.record", record)
    worker.register("tests.jobapp.jobs.fail", fail)
    worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        print(json.dumps(push(json.loads(sys.argv[2]))))  # noqa: T201
