"""Ack: a job succeeded and is gone. Only the standing lease that names it can end it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import ReservationLost
from faktory_django.models import BUCKET_SECONDS, BUCKETS

from .connection import database, execute
from .settle import settled

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Tally:
    """Runs of one jobtype in one queue that succeeded, and how long they waited and ran."""

    done: int = 0
    waits: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    runs: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, wait_seconds: float, run_seconds: float) -> None:
        """Count one run."""
        self.done += 1
        self.waits[bisect_left(BUCKET_SECONDS, wait_seconds)] += 1
        self.runs[bisect_left(BUCKET_SECONDS, run_seconds)] += 1


@dataclass(slots=True)
class LeaseAck:
    """Jobs of one lease that are done: ids, or with ends all that are left of it.

    traited: some of its jobs have traits; notes are what features are told of their runs, as JSON.
    """

    lease: int
    ends: bool = False
    ids: list[int] = field(default_factory=list)
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    traited: bool = False
    notes: dict[int, str] = field(default_factory=dict)


def ack_params(acks: Sequence[LeaseAck]) -> dict[str, Any]:
    """Return the acks as parameters of the turn."""
    tallies = [
        (place, key, tally)
        for place, ack in enumerate(acks, start=1)
        for key, tally in ack.tallies.items()
    ]
    return {
        "leases": [ack.lease for ack in acks],
        "ends": [ack.ends for ack in acks],
        "counts": [len(ack.ids) for ack in acks],
        "ids": [i for ack in acks if not ack.ends for i in sorted(ack.ids)],
        "counted_leases": [place for place, _, _ in tallies],
        "counted_queues": [queue for _, (queue, _), _ in tallies],
        "counted_jobtypes": [jobtype for _, (_, jobtype), _ in tallies],
        "dones": [tally.done for _, _, tally in tallies],
        "waits": [n for _, _, tally in tallies for n in tally.waits],
        "runs": [n for _, _, tally in tallies for n in tally.runs],
        "buckets": BUCKETS,
        "traited": [ack.traited for ack in acks],
        "note_ids": [i for ack in acks for i in ack.notes],
        "notes": [note for ack in acks for note in ack.notes.values()],
    }


# KEY SHARE: the reaper's FOR UPDATE waits for it or skips it; two acks do not wait for each other.
ACK_ONE: Final = f"""
WITH ended AS (
    DELETE FROM faktory_django_job j
    WHERE j.id = %(id)s AND EXISTS (
        SELECT FROM faktory_django_lease l
        WHERE l.id = %(lease)s AND l.ids @> ARRAY[%(id)s::bigint]
        FOR KEY SHARE
    )
    RETURNING j.*
), counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, done, waits, runs)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, 1,
        %(waits)b::int[], %(runs)b::int[]
    FROM ended
), {settled("ended", outcome="'done'", note="%(note)s::jsonb")}
SELECT 1, (SELECT count(*) FROM settled) FROM ended
"""


def ack_last(
    job: int,
    lease: int,
    *,
    wait_seconds: float,
    run_seconds: float,
    using: str,
    note: str | None = None,
) -> None:
    """End a job as the last statement of the transaction that holds its effects.

    Raises ReservationLost when the lease is gone, so that the effects roll back.
    """
    tally = Tally()
    tally.add(wait_seconds, run_seconds)
    params = {"id": job, "lease": lease, "waits": tally.waits, "runs": tally.runs, "note": note}
    if not execute(database(using), ACK_ONE, params):
        raise ReservationLost(f"job {job} is no longer held by lease {lease}")
