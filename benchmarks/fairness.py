"""How long the jobs of one tenant wait behind a flood of another, with and without fairness keys.

Run: python benchmarks/fairness.py (with DATABASE_URL that server; its tables are emptied). One
consumer takes ten jobs at a time, each of a millisecond; a quiet tenant pushes a job every 20 ms.
Prints one JSON line for each case: milliseconds from the commit of a push to the claim of its job,
and how many other jobs were claimed between. With "pinned" 200,000 jobs have gone through the queue
while an old transaction keeps their dead rows.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path.cwd()))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from benchmarks.database import start_one_if_none_is_named

start_one_if_none_is_named()

import django

django.setup()

import psycopg
from django.core.management import call_command
from django.db import connection

from faktory_django import payload
from faktory_django.features import fairness
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOOD = 20_000
GONE = 200_000
QUIET = 100
CLAIM = 10
JOB_SECONDS = 0.001
EVERY_SECONDS = 0.02


def pushes(tenant: str, count: int, *, fair: bool) -> list[Push]:
    """Return jobs of a tenant."""
    traits = json.dumps(fairness.traits({"fairness_key": tenant})) if fair else None
    return [
        Push(
            "default",
            jid,
            tenant,
            payload.canonical(tenant, jid, "[]", queue="default"),
            traits=traits,
        )
        for jid in payload.new_jids(count)
    ]


def flood(count: int, *, fair: bool) -> None:
    """Push the jobs of the other tenant."""
    for _ in range(count // 1_000):
        push(pushes("flood", 1_000, fair=fair))


class Worker(threading.Thread):
    """Claims, and is busy for as long as the jobs take."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed: dict[str, tuple[float, int]] = {}
        self.count = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Work until it is told to end."""
        consumer = Consumer("worker")
        acks: list[LeaseAck] = []
        while not self.ended.is_set():
            turn = consumer.turn(connection, ["default"], CLAIM, acks)
            at = time.monotonic()
            acks = []
            if turn.lease is not None:
                ids = [job.id for job in turn.jobs]
                traited = any(job.traits for job in turn.jobs)
                acks = [LeaseAck(turn.lease, ends=True, ids=ids, traited=traited)]
            for job in turn.jobs:
                self.count += 1
                self.claimed[payload.jid_of(job.body)] = at, self.count
            time.sleep(len(turn.jobs) * JOB_SECONDS or 0.002)
        connection.close()


def waits(*, fair: bool, behind: int) -> dict[str, Any]:
    """Let the quiet tenant push beside a flood; return how long its jobs waited."""
    flood(behind, fair=fair)
    worker = Worker()
    worker.start()
    quiet, pushed = pushes("quiet", QUIET, fair=fair), []
    for one in quiet:
        push([one])
        pushed.append((time.monotonic(), worker.count))
        time.sleep(EVERY_SECONDS)
    while not all(one.jid in worker.claimed for one in quiet):
        time.sleep(0.01)
    worker.ended.set()
    worker.join()
    found = [worker.claimed[one.jid] for one in quiet]
    times = [1_000 * (end - start) for (end, _), (start, _) in zip(found, pushed, strict=True)]
    others = [end - start - 1 for (_, end), (_, start) in zip(found, pushed, strict=True)]
    return {
        "wait_p50_ms": round(statistics.median(times), 1),
        "wait_max_ms": round(max(times), 1),
        "before_p50": statistics.median_low(others),
        "before_max": max(others),
    }


@contextmanager
def pinned() -> Iterator[None]:
    """Keep all rows that die, many of them in the lane of fair jobs."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT count(*) FROM faktory_django_job")
        consumer = Consumer("before")
        acks: list[LeaseAck] = []
        for _ in range(GONE // 10_000):
            flood(10_000, fair=True)
            for _ in range(20):
                turn = consumer.turn(connection, ["default"], 500, acks)
                acks = [LeaseAck(turn.lease or 0, ends=True, traited=True)]
        yield


def main() -> None:
    """Measure."""
    call_command("migrate", verbosity=0)
    for name, fair, behind, held in (
        ("alone", False, 0, False),
        ("behind a flood, no keys", False, FLOOD, False),
        ("alone, with a key", True, 0, False),
        ("behind a flood, with keys", True, FLOOD, False),
        ("behind a flood, with keys, pinned", True, FLOOD, True),
    ):
        call_command("flush", verbosity=0, interactive=False)
        with pinned() if held else nullcontext():
            row = {"jobs": name, **waits(fair=fair, behind=behind)}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
