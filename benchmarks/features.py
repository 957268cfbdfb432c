"""What a feature costs: jobs that use it beside plain ones, pushed and drained.

Run: python benchmarks/features.py [NAME ...] (Linux; with DATABASE_URL that server, on this
machine, so that its CPU can be read; its tables are emptied). Durable commits. Prints one JSON line
for each kind of job: jobs per second, and microseconds of CPU of the backend for each job. Compare
lines of one run only. A feature that this version does not have is passed over.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path.cwd()))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from benchmarks.database import start_one_if_none_is_named

start_one_if_none_is_named()

import django

django.setup()

from django.core.management import call_command
from django.db import connection

from benchmarks.store import backend_us
from faktory_django import payload
from faktory_django.features import traits
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOBS = 30_000
SINGLE = 1_000
BULK = 1_000
TURN = 100
ARGS = json.dumps(["x" * 100, 1])

# What a push says in its custom attributes; the number of the job in, its custom out.
KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "plain": lambda _: {},
    "fairness, one key": lambda _: {"fairness_key": "one"},
    "fairness, 1000 keys": lambda n: {"fairness_key": f"key-{n % 1_000}"},
    "unique": lambda n: {"unique_for": 600, "unique_key": f"{n}"},
    "expiring": lambda _: {"expires_in": 86_400},
    "kept": lambda _: {"history_days": 1},
    "limited, 100 keys": lambda n: {"limit": {"key": f"key-{n % 100}", "concurrency": 10}},
}
_numbers = itertools.count()


def pushes(count: int, kind: str) -> list[Push]:
    """Return jobs of a kind, with a body of about 200 bytes and what custom adds."""
    found = []
    for jid in payload.new_jids(count):
        custom = KINDS[kind](next(_numbers))
        head, middle, tail = payload.template("t", queue="default", retry=25, custom=custom)
        told = traits.traits_of(custom, traits.Pushed("t", "default", ARGS))
        found.append(Push("default", jid, "t", f"{head}{jid}{middle}{ARGS}{tail}", traits=told))
    return found


@contextmanager
def figure(row: dict[str, Any], what: str, jobs: int) -> Iterator[None]:
    """Note what a block cost for each job."""
    server, started = backend_us(), time.perf_counter()
    yield
    row[f"{what}_per_s"] = round(jobs / (time.perf_counter() - started))
    row[f"{what}_us"] = round((backend_us() - server) / jobs, 1)


def drain() -> int:
    """Claim and end what waits, each turn ending the jobs of the one before; return how many."""
    consumer, ended = Consumer("benchmark"), 0
    acks: list[LeaseAck] = []
    while True:
        turn = consumer.turn(connection, ["default"], TURN, acks)
        if turn.lease is None:
            return ended
        ended += len(turn.jobs)
        tally = Tally()
        for _ in turn.jobs:
            tally.add(0.01, 0.001)
        acks = [
            LeaseAck(
                turn.lease,
                ends=True,
                ids=[job.id for job in turn.jobs],
                tallies={("default", "t"): tally},
                traited=any(job.traits for job in turn.jobs),
            )
        ]


def measure(kind: str) -> dict[str, Any]:
    """Push and drain jobs of a kind."""
    row: dict[str, Any] = {"jobs": kind}
    ready = [pushes(BULK, kind) for _ in range(JOBS // BULK)]
    with figure(row, "push", JOBS):
        for batch in ready:
            push(batch)
    with figure(row, "drain", JOBS):
        assert drain() == JOBS
    singles = pushes(SINGLE, kind)
    with figure(row, "single_push", SINGLE):
        for one in singles:
            push([one])
    assert drain() == SINGLE
    return row


def main() -> None:
    """Measure all kinds that this version knows, or those that are named."""
    call_command("migrate", verbosity=0)
    call_command("flush", verbosity=0, interactive=False)
    wanted = sys.argv[1:] or [
        kind for kind, custom in KINDS.items() if not custom(0) or traits.KEYS & custom(0).keys()
    ]
    connection.ensure_connection()
    measure(wanted[0])  # to warm up
    for kind in wanted:
        sys.stdout.write(json.dumps(measure(kind)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
