"""What throttles and limits cost the store: pushing jobs, and claiming and ending them.

Run: python -m benchmarks.limits (with DATABASE_URL that database). One connection claims 100 jobs
at a time and ends them with the next claim, as a worker does. Prints one JSON line a figure, in
microseconds for each job.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from .database import on_a_database
from .harness import machine

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = 20_000
BULK = 500
CLAIM = 100
KEYS = 100


def pushes(limit: Callable[[int], Any] | None) -> list[list[Any]]:
    """Return the pushes of all jobs, in statements."""
    from faktory_django import payload
    from faktory_django.features.traits import Pushed, traits_of
    from faktory_django.lifecycle.push import Push

    found = []
    for nr in range(JOBS):
        jid = payload.new_jid()
        custom = {"limit": limit(nr)} if limit else None
        body = payload.canonical("bench", jid, "[1]", queue="default", retry=25)
        traits = traits_of(custom, Pushed("bench", "default", "[1]"))
        found.append(Push("default", jid, "bench", body, traits=traits))
    return [found[start : start + BULK] for start in range(0, JOBS, BULK)]


def drain() -> int:
    """Claim and end jobs until none is left; return how many."""
    from django.db import connection

    from faktory_django.lifecycle.ack import LeaseAck
    from faktory_django.lifecycle.fetch import Consumer

    consumer, done, idle = Consumer("bench"), 0, 0
    acks: list[LeaseAck] = []
    while done < JOBS and idle < 1_000:
        turn = consumer.turn(connection, ["default"], CLAIM, acks)
        held: dict[int, LeaseAck] = {}
        for job in turn.jobs:
            ack = held.setdefault(job.lease, LeaseAck(job.lease, ends=True))
            ack.ids.append(job.id)
            ack.traited |= job.traits is not None
        acks = [held[lease] for lease in sorted(held)]
        done += len(turn.jobs)
        idle = 0 if turn.jobs else idle + 1
    consumer.turn(connection, [], 0, acks)
    return done


def measure(name: str, limit: Callable[[int], Any] | None = None) -> None:
    """Print what jobs of one kind cost."""
    from faktory_django.lifecycle.push import push

    statements = pushes(limit)
    started = time.perf_counter()
    for each in statements:
        push(each)
    pushed = time.perf_counter()
    done = drain()
    ended = time.perf_counter()
    figure = {
        "jobs": name,
        "done": done,
        "push_us": round((pushed - started) / JOBS * 1e6, 1),
        "claim_and_ack_us": round((ended - pushed) / JOBS * 1e6, 1),
    }
    sys.stdout.write(json.dumps(figure) + "\n")


def main() -> None:
    """Measure on this machine."""
    sys.stdout.write(json.dumps(machine.facts()) + "\n")
    with on_a_database() as rows:
        from faktory_django.lifecycle import throttles

        for _ in range(2):
            measure("plain")
            measure("limit, 100 keys x 10", lambda nr: {"key": f"k{nr % KEYS}", "concurrency": 10})
            measure("limit, 1 key x 100", lambda _: {"key": "k", "concurrency": 100})
            throttles.throttle("default", concurrency=CLAIM)
            measure("throttled, 100 permits")
            throttles.unthrottle("default")
        if left := rows("job") + rows("lease"):
            raise SystemExit(f"{left} jobs and leases are left")


if __name__ == "__main__":
    main()
