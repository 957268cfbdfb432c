"""What it costs to keep the past: CPU of the database backend for each job, and WAL.

Run: python benchmarks/history.py (Linux; with DATABASE_URL that server, on this machine, so that
its CPU can be read; its tables are emptied). Prints one JSON line a figure; compare figures of one
run only.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path.cwd()))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from benchmarks.database import start_one_if_none_is_named

start_one_if_none_is_named()

import django

django.setup()

from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from benchmarks.store import backend_us
from faktory_django import payload
from faktory_django.features import history
from faktory_django.lifecycle import partitions
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push
from faktory_django.lifecycle.retry import Error, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

JOBS = 20_000
ROUNDS = 3
ARGS = json.dumps(["x" * 100, 1])
RESULT = json.dumps({"rows": 310, "sum": "12.50", "text": "x" * 60})
ERROR = Error.cut("ValueError", "it does not work", ["File jobs.py, line 41, in work"] * 20)
TABLES = "job, ready, lease, level, counter, counterdelta, retryjob, finishedjob, attempt, logline"
# The traits of the jobs, and whether workers send notes.
KINDS = {
    "plain": (None, False),
    "history": ('{"keep":{"days":7}}', True),
    "history with arguments": ('{"keep":{"days":7,"args":true}}', True),
    "history with a result of 100 B": ('{"keep":{"days":7,"result":true}}', True),
}


def wal_bytes() -> int:
    """Return how much WAL the server has written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
        return int(cursor.fetchone()[0])


def cost(act: Callable[[], None]) -> tuple[float, float]:
    """Return the CPU of the backend and the WAL that something takes, for each job."""
    wal, server = wal_bytes(), backend_us()
    act()
    return (backend_us() - server) / JOBS, (wal_bytes() - wal) / JOBS


def fill(traits: str | None) -> None:
    """Push JOBS jobs, a thousand a statement."""
    for _ in range(JOBS // 1_000):
        jids = [secrets.token_hex(12) for _ in range(1_000)]
        bodies = [payload.canonical("t", jid, ARGS, queue="default") for jid in jids]
        push([Push("default", j, "t", b, traits=traits) for j, b in zip(jids, bodies, strict=True)])


def claimed(size: int) -> list[list[Claimed]]:
    """Claim all that waits, size at a time."""
    consumer = Consumer("benchmark")
    return [consumer.turn(connection, ["default"], size).jobs for _ in range(JOBS // size)]


def ack(batches: list[list[Claimed]], traits: str | None, *, noted: bool) -> None:
    """End claimed jobs, a lease a statement."""
    consumer = Consumer("benchmark")
    result = RESULT if traits and "result" in traits else None
    for jobs in batches:
        tally = Tally()
        for _ in jobs:
            tally.add(0.01, 0.001)
        told = LeaseAck(jobs[0].lease, ends=True, ids=[job.id for job in jobs])
        told.tallies["default", "t"] = tally
        told.traited = traits is not None
        if noted:
            note = history.note(
                started=1.7e9, ran=0.001, wid="py-benchmark-1-4711", attempt=1, result=result
            )
            told.notes = dict.fromkeys(told.ids, note)
        consumer.turn(connection, [], 0, [told])


def fail_all(batches: list[list[Claimed]]) -> None:
    """Fail claimed jobs, a lease a statement."""
    verdict = judge(25, None, ERROR)
    for jobs in batches:
        note = history.note(started=1.7e9, ran=0.001, wid="py-benchmark-1-4711", attempt=1)
        fail(
            connection,
            [Failing(job.id, job.lease, verdict, note=note, error=ERROR) for job in jobs],
        )


def empty() -> None:
    """Forget all jobs, and what was kept of them."""
    with connection.cursor() as cursor:
        names = ", ".join(f"faktory_django_{name}" for name in TABLES.split(", "))
        cursor.execute(f"TRUNCATE {names}")
        cursor.execute("CHECKPOINT")


def say(what: str, kind: str, found: list[tuple[float, float]]) -> None:
    """Print the median of some rounds."""
    us, wal = (statistics.median(values) for values in zip(*found, strict=True))
    line = {"what": what, "of": kind, "server_us": round(us, 1), "wal_bytes": round(wal)}
    sys.stdout.write(json.dumps(line) + "\n")


def main() -> None:
    """Measure."""
    call_command("migrate", verbosity=0)
    for table in partitions.TABLES:
        partitions.upkeep(connection, table, [7, 30])
    pushed: dict[str, list[tuple[float, float]]] = {}
    acked: dict[str, list[tuple[float, float]]] = {}
    failed: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for kind, (traits, noted) in KINDS.items():
            empty()
            pushed.setdefault(kind, []).append(cost(partial(fill, traits)))
            batches = claimed(100)
            acked.setdefault(kind, []).append(cost(partial(ack, batches, traits, noted=noted)))
        for days in (0, 30):
            empty()
            fill(None)
            batches = claimed(100)
            with override_settings(FAKTORY={"ATTEMPT_DAYS": days}):
                name = f"ATTEMPT_DAYS={days}"
                failed.setdefault(name, []).append(cost(partial(fail_all, batches)))
    for what, by_kind in (("push", pushed), ("ack", acked), ("fail", failed)):
        for kind, found in by_kind.items():
            say(what, kind, found)


if __name__ == "__main__":
    main()
