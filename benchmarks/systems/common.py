"""What every system in Python shares: the bodies of the jobs, the loops of the clients, the verbs.

Runs in the system's own interpreter, so it needs the standard library only.

    python -m benchmarks.systems.NAME info | setup | push | pace | worker
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.harness.proof import ENDED, RECORD, STARTED, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SLEEP_SECONDS = 0.02


def noop(number: int, _text: str) -> None:
    """Do nothing but say so."""
    mark(number)


def sleep(number: int, _text: str) -> None:
    """Wait as for a slow service."""
    mark(number)
    time.sleep(SLEEP_SECONDS)
    mark(number, ENDED)


async def async_noop(number: int, _text: str) -> None:
    """Do nothing but say so."""
    mark(number)


async def async_sleep(number: int, _text: str) -> None:
    """Wait as for a slow service."""
    mark(number)
    await asyncio.sleep(SLEEP_SECONDS)
    mark(number, ENDED)


BODIES: dict[str, Callable[..., Any]] = {
    "noop": noop,
    "sleep": sleep,
    "async_noop": async_noop,
    "async_sleep": async_sleep,
}


@dataclass(frozen=True)
class Variant:
    """A way to run the workers: so many processes are started; prefix is put before jobs."""

    note: str
    processes: int = 2
    prefix: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class System:
    """A background-job system; may be async, then push and push_many return awaitables."""

    store: ClassVar[str] = "postgres"
    packages: ClassVar[Sequence[str]] = ()
    variants: ClassVar[dict[str, Variant]] = {}
    has_bulk: ClassVar[bool] = True
    bulk: ClassVar[int] = 1_000  # jobs of a bulk push; what suits the system

    def setup(self) -> None:
        """Make the tables in an empty database."""

    def open(self) -> Any:
        """Connect, to push."""

    def push(self, job: str, number: int, text: str) -> Any:
        """Push one job."""
        raise NotImplementedError

    def push_many(self, job: str, numbers: Sequence[int], text: str) -> Any:
        """Push many jobs as the system does it best."""
        for number in numbers:
            self.push(job, number, text)

    def schedule(self, numbers: Sequence[int], at: float) -> Any:
        """Schedule many jobs for one instant, in Unix seconds, outside the queue "fresh"."""
        raise NotImplementedError

    def worker(self, variant: Variant) -> None:
        """Work in the foreground until SIGTERM."""
        raise NotImplementedError


async def _done(value: Any) -> None:
    if hasattr(value, "__await__"):
        await value


async def _push(system: System, how: str, job: str, count: int, first: int, most: float) -> None:
    text = "x" * int(os.environ["BENCHMARK_TEXT"])
    await _done(system.open())
    cpu, start, began, done = time.process_time(), time.time(), time.perf_counter(), 0
    while done < count and time.perf_counter() - began < most:
        if how == "one":
            await _done(system.push(job, first + done, text))
            done += 1
        else:
            size = min(system.bulk, count - done)
            numbers = range(first + done, first + done + size)
            await _done(system.push_many(job, numbers, text))
            done += size
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    found = {"jobs": done, "began": start, "seconds": seconds, "cpu": used}
    sys.stdout.write(json.dumps(found) + "\n")


async def _pace(
    system: System, job: str, count: int, rate: float, path: Path, start: float
) -> None:
    """Push at a steady rate from an instant on; note when each push began."""
    text = "x" * int(os.environ["BENCHMARK_TEXT"])
    await _done(system.open())
    sent, start = [], max(start, time.time() + 0.05)
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / rate - time.time()))
        sent.append(RECORD.pack(number, STARTED, time.time()))
        await _done(system.push(job, number, text))
    path.write_bytes(b"".join(sent))


async def _schedule(system: System, count: int, at: float) -> None:
    await _done(system.open())
    for first in range(0, count, system.bulk):
        await _done(system.schedule(range(first, min(first + system.bulk, count)), at))


def main(system: System) -> None:
    """Do what the command line says."""
    verb, *rest = sys.argv[1:]
    if verb == "info":
        found = {
            "store": system.store,
            "has_bulk": system.has_bulk,
            "versions": {name: version(name) for name in system.packages},
            "variants": {name: asdict(variant) for name, variant in system.variants.items()},
        }
        sys.stdout.write(json.dumps(found) + "\n")
    elif verb == "setup":
        system.setup()
    elif verb == "push":
        how, job, count, first, most = rest
        asyncio.run(_push(system, how, job, int(count), int(first), float(most)))
    elif verb == "pace":
        job, count, rate, path, *start = rest
        begin = float(start[0]) if start else 0.0
        asyncio.run(_pace(system, job, int(count), float(rate), Path(path), begin))
    elif verb == "schedule":
        asyncio.run(_schedule(system, int(rest[0]), float(rest[1])))
    elif verb == "worker":
        system.worker(system.variants[rest[0]])
    else:
        raise SystemExit(f"unknown verb {verb!r}")
    sys.stdout.flush()
    os._exit(0)  # pools of some systems would keep the process
