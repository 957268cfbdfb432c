"""Batch: made, opened, committed, looked at, forgotten (protocol section 9.3).

Made and not committed, it is forgotten after a while, without callbacks. Committed, its callbacks
follow as soon as nobody has it open and its jobs are through.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django.errors import UnknownBatch
from faktory_django.features import batches

from .connection import execute
from .places import anywhere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

# The child of a batch that is cancelled, or of none, is not made.
NEW: Final = """
WITH parent AS MATERIALIZED (
    SELECT b.bid
    FROM faktory_django_batch b
    WHERE b.bid = %(parent)s AND b.cancelled_at IS NULL
), made AS (
    INSERT INTO faktory_django_batch
        (bid, parent_bid, description, complete, success, dead, steps)
    SELECT %(bid)s, %(parent)s, %(description)s, %(complete)s::jsonb, %(success)s::jsonb,
        %(dead)s::jsonb, %(steps)s::jsonb
    WHERE %(parent)s = '' OR EXISTS (SELECT FROM parent)
    RETURNING bid
), counted AS (
    INSERT INTO faktory_django_batchdelta (bid, children)
    SELECT p.bid, 1
    FROM parent p
    CROSS JOIN made
)
SELECT bid
FROM made
"""

# Functions, for their limit: whoever waits here for an application's long transaction holds up
# what else his connection is for.
OPEN_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_open_batch_v1(wanted text)
RETURNS text LANGUAGE sql SET lock_timeout = '2s' AS $$
UPDATE faktory_django_batch b
SET opens = CASE WHEN b.committed_at IS NULL THEN 1 ELSE b.opens + 1 END,
    opened_at = clock_timestamp()
WHERE b.bid = wanted AND b.cancelled_at IS NULL
RETURNING b.bid
$$
"""
# What has the batch committed is folded with it: an empty batch is through at once.
COMMIT_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_commit_batch_v1(wanted text)
RETURNS text LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
BEGIN
    UPDATE faktory_django_batch b
    SET opens = CASE WHEN b.committed_at IS NULL THEN 0 ELSE greatest(b.opens - 1, 0) END,
        committed_at = coalesce(b.committed_at, clock_timestamp())
    WHERE b.bid = wanted AND b.cancelled_at IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM faktory_django_fold_batches_v1(ARRAY[wanted], false);
    RETURN wanted;
END
$$
"""
FUNCTIONS: Final = (OPEN_FUNCTION, COMMIT_FUNCTION)
OPEN: Final = "SELECT faktory_django_open_batch_v1(%(bid)s)"
COMMIT: Final = "SELECT faktory_django_commit_batch_v1(%(bid)s)"

# With what was counted and is not folded yet.
STATUS: Final = """
SELECT b.bid, b.parent_bid, b.description, b.created_at, b.committed_at IS NOT NULL,
    b.cancelled_at IS NOT NULL, (b.total + coalesce(d.total, 0))::int,
    (b.executed + coalesce(d.executed, 0))::int, (b.done + coalesce(d.done, 0))::int,
    (b.failed + coalesce(d.failed, 0))::int, (b.discarded + coalesce(d.discarded, 0))::int,
    (b.lost + coalesce(d.lost, 0))::int, (b.children + coalesce(d.children, 0))::int,
    b.complete_st, b.success_st, b.complete IS NOT NULL, b.success IS NOT NULL,
    coalesce((
        SELECT sum(jsonb_array_length(s.value -> 'jobs')) FROM jsonb_array_elements(b.steps) AS s
    ), 0)::int
FROM faktory_django_batch b
LEFT JOIN LATERAL (
    SELECT sum(x.total) AS total, sum(x.executed) AS executed, sum(x.done) AS done,
        sum(x.failed) AS failed, sum(x.discarded) AS discarded, sum(x.lost) AS lost,
        sum(x.children) AS children
    FROM faktory_django_batchdelta x
    WHERE x.bid = b.bid
) AS d ON true
WHERE b.bid = ANY(%(bids)b::text[])
ORDER BY b.id
"""

# What goes with the batches of a CTE `gone`, and how many these are.
_WITH_THEM: Final = """failing AS (
    DELETE FROM faktory_django_batchfailure f USING gone g WHERE f.bid = g.bid
), results AS (
    DELETE FROM faktory_django_batchresult r USING gone g WHERE r.bid = g.bid
)
SELECT count(*)
FROM gone
"""
# Those that nobody commits. A parent waits for them no longer; their jobs run all the same.
FORGET: Final = f"""
WITH old AS MATERIALIZED (
    SELECT b.id
    FROM faktory_django_batch b
    WHERE b.opens > 0 AND b.committed_at IS NULL
    AND b.opened_at < clock_timestamp() - %(minutes)s * interval '1 minute'
    ORDER BY b.opened_at, b.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM faktory_django_batch b
    WHERE b.id = ANY(ARRAY(SELECT id FROM old))
    RETURNING b.bid, b.parent_bid
), counted AS (
    INSERT INTO faktory_django_batchdelta (bid, children_complete, children_success)
    SELECT g.parent_bid, count(*), count(*)
    FROM gone g
    WHERE g.parent_bid <> ''
    GROUP BY g.parent_bid
), {_WITH_THEM}"""
# Those that were opened again, by somebody who has died: their callbacks may follow.
CLOSE: Final = """
WITH old AS MATERIALIZED (
    SELECT b.id
    FROM faktory_django_batch b
    WHERE b.opens > 0 AND b.committed_at IS NOT NULL
    AND b.opened_at < clock_timestamp() - %(minutes)s * interval '1 minute'
    ORDER BY b.opened_at, b.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
), closed AS (
    UPDATE faktory_django_batch b
    SET opens = 0
    WHERE b.id = ANY(ARRAY(SELECT id FROM old))
    RETURNING b.bid
), noted AS (
    INSERT INTO faktory_django_batchdelta (bid) SELECT c.bid FROM closed c ORDER BY c.bid
)
SELECT count(*)
FROM closed
"""
# Those that have ended, and those of which no job is left anywhere.
TRIM: Final = f"""
WITH old AS MATERIALIZED (
    SELECT b.id
    FROM faktory_django_batch b
    WHERE b.created_at < (SELECT clock_timestamp() - %(days)s * interval '1 day')
    AND b.changed_at < clock_timestamp() - %(days)s * interval '1 day'
    AND b.opens = 0
    AND (
        b.success_st = '2' OR b.cancelled_at IS NOT NULL OR NOT (
            {anywhere("e.traits ->> 'bid' = b.bid AND e.traits ? 'bid'")} OR EXISTS (
                SELECT FROM faktory_django_batch c
                WHERE c.parent_bid = b.bid AND c.parent_bid <> ''
            )
        )
    )
    ORDER BY b.created_at, b.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM faktory_django_batch b
    WHERE b.id = ANY(ARRAY(SELECT id FROM old))
    RETURNING b.bid
), {_WITH_THEM}"""


class Status(NamedTuple):
    """How far a batch is. planned: jobs of steps that are not pushed yet."""

    bid: str
    parent_bid: str
    description: str
    created_at: datetime
    committed: bool
    cancelled: bool
    total: int
    executed: int
    done: int
    failed: int
    discarded: int
    lost: int
    children: int
    complete_st: str
    success_st: str
    has_complete: bool
    has_success: bool
    planned: int

    @property
    def pending(self) -> int:
        """The jobs that have not succeeded, of those that somebody waits for."""
        return self.total - self.done - self.discarded

    @property
    def percent(self) -> int:
        """How far it is, with the steps that are to come."""
        return batches.percent(self.done + self.discarded, self.total + self.planned)

    @property
    def state(self) -> str:
        """open, running, success, failed or cancelled."""
        return batches.state(
            committed=self.committed,
            cancelled=self.cancelled,
            success=self.success_st,
            lost=self.lost,
            pending=self.pending,
        )


def make(
    connection: BaseDatabaseWrapper,
    bid: str,
    *,
    description: str = "",
    parent: str = "",
    callbacks: Mapping[str, Any] | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Make a batch, open for jobs; callbacks are complete, success and dead, ready to be pushed.

    Raises UnknownBatch when the parent is not there, or cancelled.
    """
    given = callbacks or {}
    params = {
        "bid": bid,
        "parent": parent,
        "description": description.replace("\0", "\ufffd"),
        "steps": json.dumps(list(steps)) if steps else None,
    }
    for name in ("complete", "success", "dead"):
        params[name] = json.dumps(given[name]) if given.get(name) else None
    if not execute(connection, NEW, params):
        raise UnknownBatch(f"No such batch {parent}")


def reopen(connection: BaseDatabaseWrapper, bid: str) -> None:
    """Let jobs be added to a batch again, until it is committed. Raises UnknownBatch."""
    if execute(connection, OPEN, {"bid": bid})[0][0] is None:
        raise UnknownBatch(f"No such batch {bid}")


def commit(connection: BaseDatabaseWrapper, bid: str) -> None:
    """Let the callbacks of a batch follow when its jobs are through. Raises UnknownBatch."""
    if execute(connection, COMMIT, {"bid": bid})[0][0] is None:
        raise UnknownBatch(f"No such batch {bid}")


def statuses(connection: BaseDatabaseWrapper, bids: Sequence[str]) -> dict[str, Status]:
    """Return how far batches are, in one query; those that are missing there are not."""
    found = [Status(*row) for row in execute(connection, STATUS, {"bids": list(bids)})]
    return {status.bid: status for status in found}


def forget(connection: BaseDatabaseWrapper, *, minutes: int, limit: int = 1_000) -> int:
    """Forget batches that nobody has committed for so long, close those that were reopened."""
    params = {"minutes": minutes, "limit": limit}
    gone, closed = (execute(connection, sql, params)[0][0] for sql in (FORGET, CLOSE))
    return int(gone) + int(closed)


def trim(connection: BaseDatabaseWrapper, *, days: int, limit: int = 1_000) -> int:
    """Delete batches of which nothing is left, and that were not counted for so many days."""
    return int(execute(connection, TRIM, {"days": days, "limit": limit})[0][0])
