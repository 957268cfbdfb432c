"""Figures: what is measured, and how. Each takes a subject and returns what it found.

Rates count records between the first and the last one. CPU goes from the first record until
workers and store are quiet after the last, so late acknowledgements are in it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import accounting
from .proof import ENDED, RECORD, STARTED, Record
from .subject import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .subject import Subject

STALL_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 0.2
QUIET_CPU: Final = 0.03
PACE_PER_S: Final = 50
PACE_SECONDS: Final = 20
IDLE_SECONDS: Final = 5.0
IDLE_WINDOWS: Final = 5
WARM_SECONDS: Final = 2.0


def push(subject: Subject, variant: str, seconds: float = 3.0) -> dict[str, Any]:
    """Push from one client, one by one and in bulk."""
    subject.fresh()
    job = _job(subject, variant, "noop")
    found: dict[str, Any] = {}
    for how in ("one", "many") if subject.info["has_bulk"] else ("one",):
        before = subject.store_cpu()
        told = subject.call("push", how, job, 10_000_000, 0, seconds)
        time.sleep(QUIET_SECONDS)  # for a server process that ends: its time passes to its parent
        used = subject.store_cpu() - before
        found |= {
            f"{how}_per_s": round(told["jobs"] / told["seconds"]),
            f"{how}_client_us": round(told["cpu"] / told["jobs"] * 1e6, 1),
            f"{how}_store_us": round(used / told["jobs"] * 1e6, 1),
        }
    return found


def drain(
    subject: Subject,
    variant: str,
    *,
    jobs: int,
    kind: str = "noop",
    held: bool = False,
    most_seconds: float = 60.0,
) -> dict[str, Any]:
    """Fill the queue, then let the workers empty it; held keeps a transaction open meanwhile."""
    subject.fresh()
    filled = subject.fill(_job(subject, variant, kind), jobs)
    each = 2 if kind == "sleep" else 1
    holder = subject.postgres.held_transaction(subject.database) if held else nullcontext()
    with holder:
        try:
            subject.start(variant)
            subject.await_records(1)
            worker, store, first = subject.worker_cpu(), subject.store_cpu(), subject.proof.count()
            _watch(subject, jobs * each, most_seconds)
            last = subject.proof.count()
            used = _settle(subject, worker, store, wait=last >= jobs * each)
            memory = accounting.memory(subject.roots())
        finally:
            subject.stop()
    records = subject.proof.records()[:last]
    return {
        "jobs": jobs,
        "filled_per_s": round(filled),
        **_rate(records, ENDED if each == 2 else STARTED),
        **_cost(used, (last - first) / each),
        "rss_mb": memory.rss_mb,
        "pss_mb": memory.pss_mb,
    }


def latency(subject: Subject, variant: str) -> dict[str, Any]:
    """Push 50 jobs a second to idle workers: from just before the push to the start of the job."""
    subject.fresh()
    job, count = _job(subject, variant, "noop"), PACE_PER_S * PACE_SECONDS
    path = Path(tempfile.gettempdir(), f"{subject.database}.sent")
    try:
        subject.start(variant)
        subject.call("push", "one", job, 1, count, 5)
        subject.await_records(1)
        time.sleep(WARM_SECONDS)
        subject.call("pace", job, count, PACE_PER_S, path)
        subject.await_records(count + 1)
        memory = accounting.memory(subject.roots())
    finally:
        subject.stop()
    sent = {
        number: at for number, _, at in map(Record._make, RECORD.iter_unpack(path.read_bytes()))
    }
    path.unlink()
    starts = {r.number: r.seconds for r in reversed(subject.proof.records())}
    waits = sorted(1e3 * (starts[number] - at) for number, at in sent.items())
    return {
        "p50_ms": quantile(waits, 0.5),
        "p95_ms": quantile(waits, 0.95),
        "p99_ms": quantile(waits, 0.99),
        "max_ms": round(waits[-1], 1),
        "rss_mb": memory.rss_mb,
    }


def end_to_end(subject: Subject, variant: str, *, jobs: int) -> dict[str, Any]:
    """Push in bulk to idle workers: from before the first push to the last run."""
    subject.fresh()
    job = _job(subject, variant, "noop")
    try:
        subject.start(variant)
        subject.call("push", "one", job, 1, jobs, 5)
        subject.await_records(1)
        time.sleep(WARM_SECONDS)
        worker, store = subject.worker_cpu(), subject.store_cpu()
        told = subject.call("push", "many", job, jobs, 0, 60)
        _watch(subject, jobs + 1, 60)
        last = max(record.seconds for record in subject.proof.records())
        used = _settle(subject, worker, store, wait=True)
    finally:
        subject.stop()
    return {
        "jobs": jobs,
        "pushed_per_s": round(jobs / told["seconds"]),
        "per_s": round(jobs / (last - told["began"])),
        "client_us": round(told["cpu"] / jobs * 1e6, 1),
        **_cost(used, jobs),
    }


def idle(subject: Subject, variant: str) -> dict[str, Any]:
    """What workers cost that have nothing to do, per second: CPU, and transactions."""
    subject.fresh()
    try:
        subject.start(variant)
        subject.call("push", "one", _job(subject, variant, "noop"), 1, 0, 5)
        subject.await_records(1)
        time.sleep(WARM_SECONDS)
        memory = accounting.memory(subject.roots())
        worker, store = subject.worker_cpu(), subject.store_cpu()
        began = time.monotonic()
        rates = [_transaction_rate(subject) for _ in range(IDLE_WINDOWS)]
        seconds = time.monotonic() - began
        found = {
            "worker_cpu_percent": round(100 * (subject.worker_cpu() - worker) / seconds, 2),
            "store_cpu_percent": round(100 * (subject.store_cpu() - store) / seconds, 2),
            "rss_mb": memory.rss_mb,
            "pss_mb": memory.pss_mb,
            "processes": memory.processes,
        }
        if subject.info["store"] == "postgres":
            found["transactions_per_s"] = statistics.median(rates)
    finally:
        subject.stop()
    return found


def _transaction_rate(subject: Subject) -> float:
    """Return the transactions a second of some seconds; autovacuum's stand in a few of these."""
    before = subject.postgres.commits(subject.database)
    time.sleep(IDLE_SECONDS)
    return (subject.postgres.commits(subject.database) - before) / IDLE_SECONDS


def _job(subject: Subject, variant: str, kind: str) -> str:
    return f"{subject.info['variants'][variant]['prefix']}{kind}"


def _watch(subject: Subject, count: int, most_seconds: float) -> None:
    """Wait until all records are there, none come any more, or the time is over."""
    began = stalled = time.monotonic()
    seen = 0
    while (now := time.monotonic()) - began < most_seconds:
        there = subject.proof.count()
        if there >= count:
            return
        if there != seen:
            seen, stalled = there, now
        elif now - stalled > STALL_SECONDS:
            raise Unmeasurable(f"{subject.name}: stopped at {there} of {count}; {subject.log}")
        time.sleep(0.02)


def _settle(subject: Subject, worker: float, store: float, *, wait: bool) -> tuple[float, float]:
    """Return the CPU of workers and store since; wait: until both are quiet."""
    used = subject.worker_cpu() - worker, subject.store_cpu() - store
    deadline = time.monotonic() + STALL_SECONDS
    while wait and time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        now = subject.worker_cpu() - worker, subject.store_cpu() - store
        if sum(now) - sum(used) <= QUIET_CPU:
            break
        used = now
    return used


def _rate(records: Sequence[Record], what: int) -> dict[str, Any]:
    ran = [record for record in records if record.what == what]
    times = [record.seconds for record in ran]
    seconds = max(times) - min(times)
    return {
        "ran": len(ran),
        "twice": len(ran) - len({record.number for record in ran}),
        "per_s": round((len(ran) - 1) / max(seconds, 1e-9)),
    }


def _cost(used: tuple[float, float], jobs: float) -> dict[str, Any]:
    worker, store = used
    # so few jobs that all had run at the first look are too few for a figure
    jobs = max(jobs, 1.0)
    return {
        "worker_us": round(worker / jobs * 1e6, 1),
        "store_us": round(store / jobs * 1e6, 1),
        "per_cpu_s": round(jobs / max(worker + store, 1e-9)),
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


def median(found: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """Return the run whose figure is the median of all, with the range beside it."""
    ordered = sorted(found, key=lambda one: one[key])
    middle = ordered[(len(ordered) - 1) // 2]
    return {**middle, "runs": len(found), "least": ordered[0][key], "most": ordered[-1][key]}
