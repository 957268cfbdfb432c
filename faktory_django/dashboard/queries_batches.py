"""Queries of batches: a page of them, and where the jobs of one are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from faktory_django.lifecycle.connection import database, execute

if TYPE_CHECKING:
    from collections.abc import Sequence

# The latest first; parent leaves only the children of one batch.
BIDS: Final = """
SELECT b.id, b.bid
FROM faktory_django_batch b
WHERE b.id < %(before)s AND (%(parent)s = '' OR b.parent_bid = %(parent)s)
ORDER BY b.id DESC
LIMIT %(limit)s
"""
_MEMBERS = """
SELECT {place} AS place, j.id, j.jid, j.jobtype, j.queue
FROM {table} j
WHERE j.traits ->> 'bid' = %(bid)s AND j.traits ? 'bid'
"""
# Of each place the first ones, and how many there are. The index has them by batch.
PLACES: Final = f"""
SELECT p.place, p.jid, p.jobtype, p.queue, p.number
FROM (
    SELECT m.*, row_number() OVER (PARTITION BY m.place, m.queue ORDER BY m.id) AS nr,
        count(*) OVER (PARTITION BY m.place, m.queue) AS number
    FROM (
        {
    _MEMBERS.format(
        place="CASE WHEN EXISTS (SELECT FROM faktory_django_lease l WHERE l.ids @> ARRAY[j.id]) "
        "THEN 'running' ELSE 'waiting' END",
        table="faktory_django_job",
    )
}
        UNION ALL
        {_MEMBERS.format(place="'retries'", table="faktory_django_retryjob")}
        UNION ALL
        {_MEMBERS.format(place="'scheduled'", table="faktory_django_scheduledjob")}
        UNION ALL
        {_MEMBERS.format(place="'dead'", table="faktory_django_deadjob")}
        ORDER BY id
        LIMIT %(most)s
    ) AS m
) AS p
WHERE p.nr <= %(shown)s
ORDER BY p.place, p.queue, p.nr
"""


class Member(NamedTuple):
    """A job of a batch that is there; number: how many of its queue are in its place."""

    place: str
    jid: str
    jobtype: str
    queue: str
    number: int


def bids(*, before: int, limit: int, parent: str = "") -> list[tuple[int, str]]:
    """Return the keys and ids of batches below a key, the latest first."""
    params = {"before": before, "limit": limit, "parent": parent}
    return [(row[0], row[1]) for row in execute(database(None), BIDS, params)]


def members(bid: str, *, shown: int, most: int) -> Sequence[Member]:
    """Return the first jobs of a batch in each place and queue; at most `most` are looked at."""
    params = {"bid": bid, "shown": shown, "most": most}
    return [Member(*row) for row in execute(database(None), PLACES, params)]
