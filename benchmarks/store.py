"""What the store costs: CPU of the database backend and of the client for each job.

Run: python benchmarks/store.py (Linux; with DATABASE_URL that server, on this machine, so that its
CPU can be read; its tables are emptied). Fence, index on jid, counters and durable commits
are on. Prints one JSON line a figure; compare figures of one run only.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from contextlib import contextmanager
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

from faktory_django import payload
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS = 50_000
ARGS = json.dumps(["x" * 100, 1])
TABLES = "job, ready, lease, level, counter, counterdelta, scheduledjob, retryjob, deadjob"


def pushes(count: int) -> list[Push]:
    """Return jobs with a body of about 200 bytes."""
    jids = [secrets.token_hex(12) for _ in range(count)]
    return [
        Push("default", jid, "t", payload.canonical("t", jid, ARGS, queue="default"))
        for jid in jids
    ]


def backend_us() -> float:
    """Return the CPU time of our backend in microseconds."""
    pid = connection.connection.info.backend_pid
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1_000


@contextmanager
def figure(what: str, jobs: int) -> Iterator[None]:
    """Print what a block cost for each job."""
    server, client, started = backend_us(), time.process_time(), time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    found = {
        "what": what,
        "per_s": round(jobs / seconds),
        "server_us": round((backend_us() - server) / jobs, 1),
        "client_us": round((time.process_time() - client) / jobs * 1e6, 1),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def fill() -> None:
    """Push JOBS jobs, a thousand a statement."""
    for _ in range(JOBS // 1_000):
        push(pushes(1_000))


def drain(size: int) -> None:
    """Claim and end what waits, size at a time, each turn ending the jobs of the one before."""
    consumer, left = Consumer("benchmark"), JOBS
    acks: list[LeaseAck] = []
    while left:
        turn = consumer.turn(connection, ["default"], size, acks)
        tally = Tally()
        for _ in turn.jobs:
            tally.add(0.01, 0.001)
        lease, ids = turn.lease or 0, [job.id for job in turn.jobs]
        acks = [LeaseAck(lease, ends=True, ids=ids, tallies={("default", "t"): tally})]
        left -= len(turn.jobs)
    consumer.turn(connection, ["default"], 0, acks)


def main() -> None:
    """Measure."""
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        names = ", ".join(f"faktory_django_{name}" for name in TABLES.split(", "))
        cursor.execute(f"TRUNCATE {names}")
    push(pushes(1_000))
    rows = [Job(**_row(p)) for p in pushes(10_000)]
    with figure("bulk_create of the same rows, 1000 a call", 10_000):
        for start in range(0, 10_000, 1_000):
            Job.objects.bulk_create(rows[start : start + 1_000])
    Job.objects.all().delete()
    ready = [pushes(1_000) for _ in range(JOBS // 1_000)]
    with figure("push, 1000 a statement", JOBS):
        for batch in ready:
            push(batch)
    singles = pushes(2_000)
    with figure("push, one a transaction", 2_000):
        for one in singles:
            push([one])
    connection.connection.prepare_threshold = 1
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {names}")
    for size in (10, 100, 500):
        fill()
        with figure(f"claim and ack, {size} a turn", JOBS):
            drain(size)


def _row(p: Push) -> dict[str, object]:
    fields = {name: getattr(p, name) for name in ("queue", "jid", "jobtype", "body", "priority")}
    return {**fields, "reserve_for": p.reserve_for, "enqueued_at": "2026-01-01T00:00:00Z"}


if __name__ == "__main__":
    main()
