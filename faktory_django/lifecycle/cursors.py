"""Cursors: how far iterable jobs have come; written by those who hold them, kept while they live.

A job that is short, and neither fails nor is interrupted, never has a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django.errors import ReservationLost

from .connection import execute
from .places import anywhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

# Two jobs may have one jid, one after the other: what the first left says nothing to the second.
LOAD: Final = """
SELECT c.cursor, c.kinds, c.sealed, c.items
FROM faktory_django_cursor c
WHERE c.jid = %(jid)s AND c.jobtype = %(jobtype)s AND c.created = %(created)s
"""
# Only who holds the job writes. KEY SHARE, as for an ack: who takes the job away waits or comes
# first.
SAVE: Final = """
WITH held AS MATERIALIZED (
    SELECT l.id
    FROM faktory_django_lease l
    WHERE l.id = %(lease)s AND l.ids @> ARRAY[%(job)s::bigint]
    FOR KEY SHARE
)
INSERT INTO faktory_django_cursor AS c
    (jid, jobtype, created, cursor, kinds, sealed, items, saved_at)
SELECT %(jid)s, %(jobtype)s, %(created)s, %(cursor)s, %(kinds)s, %(sealed)s, %(items)s,
    clock_timestamp()
FROM held
ON CONFLICT (jid) DO UPDATE
SET jobtype = excluded.jobtype, created = excluded.created, cursor = excluded.cursor,
    kinds = excluded.kinds, sealed = excluded.sealed, items = excluded.items,
    saved_at = excluded.saved_at
RETURNING 1
"""
# A page of rows in the order of jids. What is dead may come back, and goes on then.
TRIM: Final = f"""
WITH looked AS MATERIALIZED (
    SELECT c.jid, {anywhere("e.jid = c.jid")} AS lives
    FROM faktory_django_cursor c
    WHERE c.jid > %(after)s
    ORDER BY c.jid
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM faktory_django_cursor c
    USING looked l
    WHERE c.jid = l.jid AND NOT l.lives
)
SELECT l.jid
FROM looked l
ORDER BY l.jid DESC
"""
NAMED: Final = """
SELECT c.jid, c.cursor, c.sealed, c.items, c.saved_at
FROM faktory_django_cursor c
WHERE c.jid = ANY(%(jids)b::text[])
ORDER BY c.jid
"""


class Owner(NamedTuple):
    """Whose cursor it is: one job, by what it took along with it from place to place."""

    jid: str
    jobtype: str
    created: str


class Saved(NamedTuple):
    """A cursor as it is kept: JSON of a list of one value, or of one token when it is sealed."""

    cursor: str
    kinds: str | None
    sealed: bool
    items: int


def load(connection: BaseDatabaseWrapper, owner: Owner) -> Saved | None:
    """Return how far a job has come, None when nothing was written of it."""
    rows = execute(connection, LOAD, owner._asdict())
    return Saved(*rows[0]) if rows else None


def save(
    connection: BaseDatabaseWrapper, owner: Owner, saved: Saved, *, job: int, lease: int
) -> None:
    """Write how far a job has come. Raises ReservationLost when the lease does not name it."""
    params: dict[str, Any] = owner._asdict() | saved._asdict() | {"job": job, "lease": lease}
    if not execute(connection, SAVE, params):
        raise ReservationLost(f"job {owner.jid} is no longer held by lease {lease}")


def trim(connection: BaseDatabaseWrapper, *, after: str = "", limit: int = 1_000) -> str:
    """Look at a page of cursors after a jid, and delete those whose job is nowhere any more.

    Returns the last jid, for the next page; empty when that was the last one.
    """
    rows = execute(connection, TRIM, {"after": after, "limit": limit})
    return str(rows[0][0]) if len(rows) >= limit else ""


def named(connection: BaseDatabaseWrapper, jids: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return jid, cursor, whether it is sealed, items and time of what was written of jobs."""
    return execute(connection, NAMED, {"jids": list(jids)})
