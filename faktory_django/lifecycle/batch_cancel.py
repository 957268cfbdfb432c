"""Cancel: a batch is given up, and its children too: what waits of it is discarded.

No callback of it follows, and no parent waits for it. A job that runs is asked to stop. What it
leaves for a retry is discarded by the upkeep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from . import cancel as cancelling
from . import mutate
from .connection import execute
from .places import PLACES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

# With all that descend from it, in the order of their ids. A parent that is left counts them as
# through; each batch does so once.
CANCEL: Final = """
WITH RECURSIVE family AS (
    SELECT b.bid FROM faktory_django_batch b WHERE b.bid = %(bid)s
    UNION
    SELECT c.bid
    FROM faktory_django_batch c
    JOIN family f ON c.parent_bid = f.bid AND c.parent_bid <> ''
), held AS MATERIALIZED (
    SELECT b.id, b.complete_st, b.success_st
    FROM faktory_django_batch b
    WHERE b.bid IN (SELECT bid FROM family) AND b.cancelled_at IS NULL AND b.success_st <> '2'
    ORDER BY b.id
    FOR NO KEY UPDATE
), cancelled AS (
    UPDATE faktory_django_batch b
    SET cancelled_at = clock_timestamp(), ended_at = clock_timestamp(),
        changed_at = clock_timestamp(), opens = 0
    FROM held h
    WHERE b.id = h.id
    RETURNING b.bid, b.parent_bid, h.complete_st <> '2' AS complete, h.success_st <> '2' AS success
), counted AS (
    INSERT INTO faktory_django_batchdelta (bid, children_complete, children_success)
    SELECT c.parent_bid, count(*) FILTER (WHERE c.complete), count(*) FILTER (WHERE c.success)
    FROM cancelled c
    WHERE c.parent_bid <> ''
    GROUP BY c.parent_bid
    ORDER BY c.parent_bid
)
SELECT c.bid
FROM cancelled c
ORDER BY c.bid
"""
_OF = """
SELECT j.id
FROM {table} j
WHERE j.traits ->> 'bid' = %(bid)s AND j.traits ? 'bid' AND j.id > %(after)s
ORDER BY j.id
LIMIT %(limit)s
"""
JOBS: Final = {name: _OF.format(table=table) for name, table in PLACES.items()}
RUNNING: Final = """
SELECT j.jid
FROM faktory_django_job j
WHERE j.traits ->> 'bid' = ANY(%(bids)b::text[]) AND j.traits ? 'bid'
AND EXISTS (SELECT FROM faktory_django_lease l WHERE l.ids @> ARRAY[j.id])
ORDER BY j.id
"""
# Batches that were cancelled within an hour: a job that ran then may have left a retry.
LEFT_OVER: Final = """
SELECT b.bid
FROM faktory_django_batch b
WHERE b.cancelled_at > (SELECT clock_timestamp() - interval '1 hour') AND EXISTS (
    SELECT FROM faktory_django_retryjob j
    WHERE j.traits ->> 'bid' = b.bid AND j.traits ? 'bid'
)
ORDER BY b.bid
LIMIT 100
"""
# Where jobs wait; those that are dead stay for a person to look at.
WAIT: Final = ("waiting", "scheduled", "retries")
PAGE: Final = 1_000


class Cancelled(NamedTuple):
    """What was cancelled: the batches, how many of their jobs, and the jids of those that run.

    Those were asked to stop.
    """

    bids: list[str]
    discarded: int
    running: list[str]


def cancel(connection: BaseDatabaseWrapper, bid: str) -> Cancelled:
    """Cancel a batch and its children; nothing happens to one that has ended.

    Outside a transaction it is cancelled at once, and its jobs go a thousand at a time.
    """
    bids = [row[0] for row in execute(connection, CANCEL, {"bid": bid})]
    discarded = sum(_discard(connection, each) for each in bids)
    running = [row[0] for row in execute(connection, RUNNING, {"bids": bids})] if bids else []
    if running:
        cancelling.cancel(running, using=connection.alias)
    return Cancelled(bids, discarded, running)


def discard_left_over(connection: BaseDatabaseWrapper) -> int:
    """Discard what jobs of cancelled batches have left for a retry; count it."""
    bids = [row[0] for row in execute(connection, LEFT_OVER)]
    return sum(_discard(connection, bid) for bid in bids)


def _discard(connection: BaseDatabaseWrapper, bid: str) -> int:
    return sum(_discard_in(connection, place, bid) for place in WAIT)


def _discard_in(connection: BaseDatabaseWrapper, place: str, bid: str) -> int:
    discarded, after = 0, 0
    while True:
        page = _ids(connection, place, bid, after)
        if page:
            discarded += mutate.discard(place, page, using=connection.alias)
            after = page[-1]
        if len(page) < PAGE:
            return discarded


def _ids(connection: BaseDatabaseWrapper, place: str, bid: str, after: int) -> Sequence[int]:
    params = {"bid": bid, "after": after, "limit": PAGE}
    return [row[0] for row in execute(connection, JOBS[place], params)]
