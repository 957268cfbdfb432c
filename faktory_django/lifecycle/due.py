"""Due: scheduled jobs and retries whose time has come enter their queue, never early."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .connection import execute
from .lanes import READIED
from .limits import admit_placed

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

# One promoter at a time, for economy: SKIP LOCKED alone keeps two from moving one job.
_PROMOTE = """
WITH due AS MATERIALIZED (
    SELECT s.id, s.due_at
    FROM {table} s
    WHERE (s.due_at, s.id) > (%(after_at)s::timestamptz, %(after_id)s)
    AND s.due_at <= (SELECT clock_timestamp())
    AND (SELECT pg_try_advisory_xact_lock(hashtextextended('{table}.' || current_schema(), 0)))
    ORDER BY s.due_at, s.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {table} s
    WHERE s.id = ANY(ARRAY(SELECT id FROM due))
    RETURNING s.*
), entered AS (
    INSERT INTO faktory_django_job
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits)
    SELECT queue, priority, jid, jobtype, clock_timestamp(), reserve_for, body, failure, traits
    FROM gone
    ORDER BY due_at, id
    RETURNING id, queue, priority, traits
), {readied}
SELECT count(*), max(due_at), (array_agg(id ORDER BY due_at DESC, id DESC))[1],
    (SELECT count(*) FROM woken), (SELECT count(*) FROM placed)
FROM due
"""
PROMOTE_SCHEDULED: Final = _PROMOTE.format(table="faktory_django_scheduledjob", readied=READIED)
PROMOTE_RETRIES: Final = _PROMOTE.format(table="faktory_django_retryjob", readied=READIED)


# Seconds until the next entry is due, and its place, above the watermark of each set; NULL: none.
# One round trip a second asks besides whether batches may have to be folded, and whether jobs may
# wait for limits: by the size of a table, for to look for a row is to walk over the dead ones.
NEXT_DUE: Final = """
SELECT extract(epoch FROM s.due_at - clock_timestamp())::float8, s.due_at, s.id,
    extract(epoch FROM r.due_at - clock_timestamp())::float8, r.due_at, r.id,
    pg_relation_size('faktory_django_batchdelta') > 0,
    pg_relation_size('faktory_django_limitedjob') > 0
FROM (SELECT) AS one
LEFT JOIN LATERAL (
    SELECT s.due_at, s.id
    FROM faktory_django_scheduledjob s
    WHERE (s.due_at, s.id) > (%(scheduled_at)s::timestamptz, %(scheduled_id)s)
    ORDER BY s.due_at, s.id
    LIMIT 1
) AS s ON true
LEFT JOIN LATERAL (
    SELECT r.due_at, r.id
    FROM faktory_django_retryjob r
    WHERE (r.due_at, r.id) > (%(retry_at)s::timestamptz, %(retry_id)s)
    ORDER BY r.due_at, r.id
    LIMIT 1
) AS r ON true
"""
BEGINNING: Final[tuple[Any, int]] = ("-infinity", 0)


@dataclass(slots=True)
class Watermark:
    """Where to look from: the last entry moved, past which no dead index entry slows the look.

    An entry that commits late, or is due in the past, lies below; a look from the beginning
    finds it, in a tenth of the time at most.
    """

    after: tuple[Any, int] = BEGINNING
    next_sweep: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def lower(self) -> tuple[Any, int]:
        """Return the bound for the next look."""
        return BEGINNING if self.clock() >= self.next_sweep else self.after

    def looked(self, lower: tuple[Any, int], seconds: float) -> None:
        """Take note of a look from lower that took so long."""
        if lower == BEGINNING:
            self.next_sweep = self.clock() + 9 * seconds

    def saw(self, due_at: Any, entry: int) -> None:
        """Go back to an entry that lies below: a later look begins at it."""
        if self.after != BEGINNING and (due_at, entry) <= self.after:
            self.after = (due_at, entry - 1)


@dataclass(slots=True)
class Promoter:
    """Moves what is due in both sets into the queues."""

    scheduled: Watermark = field(default_factory=Watermark)
    retries: Watermark = field(default_factory=Watermark)
    # as of the latest look: batches may have to be folded, jobs may wait for limits
    folding: bool = False
    limited: bool = False

    def next_due(self, connection: BaseDatabaseWrapper) -> tuple[float | None, float | None]:
        """Return the seconds until the next scheduled job and the next retry are due."""
        scheduled, retry = self.scheduled.lower(), self.retries.lower()
        params = {
            "scheduled_at": scheduled[0],
            "scheduled_id": scheduled[1],
            "retry_at": retry[0],
            "retry_id": retry[1],
        }
        started = time.monotonic()
        found = execute(connection, NEXT_DUE, params)[0]
        seconds = time.monotonic() - started
        self.scheduled.looked(scheduled, seconds)
        self.retries.looked(retry, seconds)
        self.folding, self.limited = found[6:]
        if found[0] is not None:
            self.scheduled.saw(found[1], found[2])
        if found[3] is not None:
            self.retries.saw(found[4], found[5])
        return found[0], found[3]

    def promote_scheduled(self, connection: BaseDatabaseWrapper, limit: int) -> int:
        """Move at most limit scheduled jobs that are due into their queues; return how many."""
        return _promote(connection, PROMOTE_SCHEDULED, self.scheduled, limit)

    def promote_retries(self, connection: BaseDatabaseWrapper, limit: int) -> int:
        """Move at most limit retries that are due into their queues; return how many."""
        return _promote(connection, PROMOTE_RETRIES, self.retries, limit)


def _promote(connection: BaseDatabaseWrapper, statement: str, mark: Watermark, limit: int) -> int:
    lower = mark.lower()
    params = {"after_at": lower[0], "after_id": lower[1], "limit": limit}
    started = time.monotonic()
    count, due_at, last, _woken, placed = execute(connection, statement, params)[0]
    admit_placed(connection, placed)
    mark.looked(lower, time.monotonic() - started)
    if count:
        mark.after = (due_at, last)
    return int(count)
