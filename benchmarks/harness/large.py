"""Figures of large sets: backlogs, a million jobs that come due at once, a million jobs run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import accounting
from .figures import quantile
from .proof import RECORD, Record

if TYPE_CHECKING:
    from .subject import Subject

BACKLOGS: Final = (200_000, 1_000_000, 5_000_000)
FRONT: Final = 150_000
DUE: Final = 1_000_000
DUE_AHEAD_SECONDS: Final = 120
FRESH_PER_S: Final = 50
FRESH_SECONDS: Final = 20
SAMPLE_SECONDS: Final = 0.1


def backlog(subject: Subject, variant: str) -> dict[str, Any]:
    """Run the first jobs of backlogs of several sizes: what each takes of the store."""
    found: dict[str, Any] = {}
    for jobs in BACKLOGS:
        found |= {f"{key}_{jobs}": value for key, value in _front(subject, variant, jobs).items()}
    least, most = BACKLOGS[0], BACKLOGS[-1]
    found["store_us_ratio"] = round(found[f"store_us_{most}"] / found[f"store_us_{least}"], 2)
    found["per_s_ratio"] = round(found[f"per_s_{most}"] / found[f"per_s_{least}"], 2)
    return found


def _front(subject: Subject, variant: str, jobs: int) -> dict[str, Any]:
    subject.fresh()
    subject.fill(f"{subject.info['variants'][variant]['prefix']}noop", jobs)
    try:
        subject.start(variant)
        subject.await_records(1)
        store, first, began = subject.store_cpu(), subject.proof.count(), time.monotonic()
        subject.await_records(FRONT, 60)
        seconds = time.monotonic() - began
        used, ran = subject.store_cpu() - store, subject.proof.count() - first
    finally:
        subject.stop()
    return {"per_s": round(ran / seconds), "store_us": round(used / ran * 1e6, 1)}


def memory(subject: Subject, variant: str, jobs: int = 1_000_000) -> dict[str, Any]:
    """Run a million jobs: how large a worker is after a tenth of them, and at the end."""
    subject.fresh()
    subject.fill(f"{subject.info['variants'][variant]['prefix']}noop", jobs)
    try:
        subject.start(variant)
        subject.await_records(jobs // 10, 60)
        early = accounting.memory(subject.roots())
        subject.await_records(jobs, 300)
        late = accounting.memory(subject.roots())
    finally:
        subject.stop()
    return {"jobs": jobs, "rss_mb_early": early.rss_mb, "rss_mb_late": late.rss_mb}


def due(subject: Subject, variant: str) -> dict[str, Any]:
    """Let a million scheduled jobs come due at one instant, and push fresh jobs meanwhile.

    The workers serve the queue of the fresh jobs only, so that promoting is all that happens to
    the others.
    """
    subject.fresh()
    at = time.time() + DUE_AHEAD_SECONDS
    subject.call("schedule", DUE, at)
    subject.postgres.settle(subject.database)
    sent = Path(f"{subject.proof.path}.sent")
    try:
        subject.start(variant)
        subject.call("push", "one", "fresh", 1, 1_000_000, 5)
        subject.await_records(1)
        if (early := at - time.time()) < 1:
            raise SystemExit(f"scheduling took {-early:.0f} s longer than DUE_AHEAD_SECONDS")
        with subject.spawn(
            "pace", "fresh", FRESH_PER_S * FRESH_SECONDS, FRESH_PER_S, sent, at
        ) as p:
            promoted = _promotion(subject, at)
            p.wait(FRESH_SECONDS + 60)
        subject.await_records(FRESH_PER_S * FRESH_SECONDS + 1, 60)
    finally:
        subject.stop()
    pushed = {n: s for n, _, s in map(Record._make, RECORD.iter_unpack(sent.read_bytes()))}
    sent.unlink()
    starts = {r.number: r.seconds for r in reversed(subject.proof.records())}
    waits = sorted(1e3 * (starts[number] - moment) for number, moment in pushed.items())
    return {
        "jobs": DUE,
        "promoted_per_s": promoted,
        "fresh_p50_ms": quantile(waits, 0.5),
        "fresh_p99_ms": quantile(waits, 0.99),
    }


def _promotion(subject: Subject, at: float) -> int:
    """Return how many jobs a second left the scheduled set, from the instant to the last one."""
    with subject.postgres.connect(subject.database) as connection:
        deadline = at + 120
        while time.time() < deadline:
            time.sleep(SAMPLE_SECONDS)
            row = connection.execute(
                "SELECT EXISTS (SELECT FROM faktory_django_scheduledjob)"
            ).fetchone()
            if row and not row[0]:
                return round(DUE / (time.time() - at))
    return 0
