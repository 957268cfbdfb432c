"""What unique locks cost: pushes and ends of unique jobs beside plain ones.

Run: python benchmarks/unique.py (Linux; with DATABASE_URL that server, on this machine, so that
its CPU can be read; its tables are emptied). Prints one JSON line a figure, the median of three
rounds, in microseconds of wall time and of the backend's CPU for each job; compare figures of one
run only.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
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

from benchmarks.harness import machine
from benchmarks.store import backend_us
from faktory_django import job
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.flush import flush

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 3
JOBS = 20_000
BULK = 500
SINGLE = 2_000
TEXT = "x" * 100


@job(name="bench")
def bench(number: int, text: str) -> None:
    """Do nothing."""


UNIQUE = bench.set(unique_for=3_600)
# What is measured, in this order: plain ones twice, to see the noise.
KINDS: dict[str, Any] = {"plain": bench, "unique": UNIQUE, "plain again": bench}


def figures(act: Callable[[], int]) -> tuple[float, float]:
    """Return the wall time and the CPU of the backend for each job."""
    cpu, started = backend_us(), time.perf_counter()
    jobs = act()
    wall = (time.perf_counter() - started) * 1e6
    return wall / jobs, (backend_us() - cpu) / jobs


def push_bulk(wanted: Any, *, half: bool = False) -> int:
    """Push all; with half every other push is a duplicate."""
    for start in range(0, JOBS, BULK):
        numbers = range(start, start + BULK)
        wanted.perform_bulk([[n // 2 if half else n, TEXT] for n in numbers])
    return JOBS


def push_one_by_one(wanted: Any) -> int:
    """Push some, each in a transaction of its own."""
    for number in range(SINGLE):
        wanted.perform_async(-1 - number, TEXT)
    return SINGLE


def end_all(*, traited: bool) -> Callable[[], int]:
    """Claim all; return what ends them, a hundred at a time."""
    consumer, turns = Consumer("bench"), []
    while (turn := consumer.turn(connection, ["default"], 100)).jobs:
        turns.append(turn)
    acks = [
        LeaseAck(turn.lease or 0, ends=True, ids=[j.id for j in turn.jobs], traited=traited)
        for turn in turns
    ]

    def end() -> int:
        for ack in acks:
            consumer.turn(connection, [], 0, [ack])
        return sum(len(ack.ids) for ack in acks)

    return end


def rounds(kind: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """Measure one kind once."""
    wanted, unique = KINDS[kind], kind == "unique"
    flush(connection)
    yield f"push {BULK} a statement", figures(lambda: push_bulk(wanted))
    yield "end 100 a statement", figures(end_all(traited=unique))
    if unique:
        yield "push, half refused", figures(lambda: push_bulk(wanted, half=True))
        flush(connection)
    yield "push one by one", figures(lambda: push_one_by_one(wanted))


def main() -> None:
    """Measure on this machine."""
    call_command("migrate", verbosity=0)
    sys.stdout.write(json.dumps(machine.facts()) + "\n")
    for kind in KINDS:
        found: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            for what, figure in rounds(kind):
                found.setdefault(what, []).append(figure)
        for what, pairs in found.items():
            wall, cpu = (round(statistics.median(values), 1) for values in zip(*pairs, strict=True))
            said = {"jobs": kind, "what": what, "wall_us": wall, "server_cpu_us": cpu}
            sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
