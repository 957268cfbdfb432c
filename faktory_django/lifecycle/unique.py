"""Unique locks: taken by the push of a job; freed by what ends it, by its start, or by time.

Nothing here waits for anybody but a push, for a push with the same key that has not committed.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from django.db import OperationalError
from psycopg.errors import LockNotAvailable

from faktory_django import settings
from faktory_django.errors import UniqueLockBusy

from .connection import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .push import Push

# Of jobs that are claimed; a row that has gone has no lock any more.
UNLOCK: Final = """
SELECT faktory_django_unique_unlock_v1(array_agg(j.jid), array_agg(j.traits))
FROM faktory_django_job j
WHERE j.id = ANY(%(ids)b::bigint[])
"""

RELEASE: Final = """
DELETE FROM faktory_django_uniquelock u
WHERE u.key = %(key)s AND u.jid = %(jid)s
RETURNING u.key
"""

# The oldest go first, a bounded number at a time.
TRIM: Final = """
WITH old AS MATERIALIZED (
    SELECT u.key
    FROM faktory_django_uniquelock u
    WHERE u.expires_at < (SELECT clock_timestamp())
    ORDER BY u.expires_at, u.key
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM faktory_django_uniquelock u
    WHERE u.key = ANY(ARRAY(SELECT key FROM old))
    RETURNING 1
)
SELECT count(*) FROM gone
"""

# A time that has come means now.
DUE: Final = """
greatest(coalesce(w.at, clock_timestamp() + w.delay * interval '1 s'), clock_timestamp())
"""
# For pushes of several statements: all their locks, in the order of their keys.
HOLD: Final = f"""
SELECT l.holders
FROM (
    SELECT array_agg({DUE} ORDER BY w.nr)
    FROM unnest(%(ats)b::timestamptz[], %(delays)b::float8[]) WITH ORDINALITY AS w(at, delay, nr)
) AS d(due_ats)
CROSS JOIN LATERAL faktory_django_unique_lock_v1(
    %(queues)b::text[], %(jids)b::text[], %(jobtypes)b::text[], d.due_ats,
    %(traits)b::text[]::jsonb[], array_fill(true, ARRAY[cardinality(d.due_ats)]),
    %(patience_ms)b::int, false) AS l
"""
DUPLICATES: Final = f"""
SELECT u.*
FROM (
    SELECT array_agg({DUE} ORDER BY w.nr)
    FROM unnest(%(ats)b::timestamptz[], %(delays)b::float8[]) WITH ORDINALITY AS w(at, delay, nr)
) AS d(due_ats)
CROSS JOIN LATERAL faktory_django_unique_duplicates_v1(
    %(holders)b::text[], array_fill(false, ARRAY[cardinality(d.due_ats)]), %(bodies)b::text[],
    d.due_ats, faktory_django_expiry_v1(
        %(traits)b::text[]::jsonb[], d.due_ats, clock_timestamp())) AS u
"""


class Held(NamedTuple):
    """What became of the locks of a push: jobs that may be stored, and those that may not."""

    pushes: list[Push]
    places: list[int]
    duplicates: list[tuple[int, str, Push]]


def patience_ms() -> int:
    """Return for how long a push waits for one of the same key that has not committed."""
    return max(1, int(1_000 * settings.get().unique_wait_seconds))


@contextmanager
def patient() -> Iterator[None]:
    """Say in our words that the wait was over. Raises UniqueLockBusy."""
    try:
        yield
    except OperationalError as wrong:
        if not isinstance(wrong.__cause__, LockNotAvailable):
            raise
        raise UniqueLockBusy(
            "another transaction is pushing the same unique job and has not ended within "
            f"{settings.get().unique_wait_seconds} s (UNIQUE_WAIT_SECONDS)"
        ) from wrong


def hold(connection: BaseDatabaseWrapper, pushes: Sequence[Push], *, page: int) -> Held:
    """Take the locks of a push of several statements, all in the order of their keys.

    Raises UniqueLockBusy.
    """
    keys = {place: key for place, p in enumerate(pushes) if (key := _key(p)) is not None}
    wanted = sorted(keys, key=lambda place: (keys[place], place))
    holders: dict[int, str | None] = {}
    for start in range(0, len(wanted), page):
        places = wanted[start : start + page]
        params = _columns([pushes[place] for place in places]) | {"patience_ms": patience_ms()}
        found = execute(connection, HOLD, params)[0][0]
        holders |= zip(places, found, strict=True)
    held = Held([], [], [])
    for place, one in enumerate(pushes):
        if (holder := holders.get(place)) is not None:
            held.duplicates.append((place, holder, one))
            continue
        held.pushes.append(_marked(one) if place in holders else one)
        held.places.append(place)
    return held


def settle_duplicates(
    connection: BaseDatabaseWrapper, duplicates: Sequence[tuple[int, str, Push]]
) -> list[tuple[Any, ...]]:
    """Do what the duplicates that hold() found ask for; return the rows of their refusals."""
    if not duplicates:
        return []
    places, holders, pushes = zip(*duplicates, strict=True)
    params = _columns(pushes) | {"holders": list(holders), "bodies": [p.body for p in pushes]}
    return [(places[row[0]], *row[1:]) for row in execute(connection, DUPLICATES, params)]


def release(key: str, jid: str, *, using: str | None = None) -> bool:
    """Free a lock by hand, if this job still holds it; the job itself stays. Return whether."""
    return bool(execute(database(using), RELEASE, {"key": key, "jid": jid}))


def trim(connection: BaseDatabaseWrapper, *, limit: int = 10_000) -> int:
    """Delete locks whose time is over; return how many."""
    return int(execute(connection, TRIM, {"limit": limit})[0][0])


def _columns(pushes: Sequence[Push]) -> dict[str, Any]:
    return {
        "queues": [p.queue for p in pushes],
        "jids": [p.jid for p in pushes],
        "jobtypes": [p.jobtype for p in pushes],
        "ats": [p.at for p in pushes],
        "delays": [p.delay_seconds for p in pushes],
        "traits": [p.traits for p in pushes],
    }


def _key(push: Push) -> str | None:
    if push.traits is None:
        return None
    key: str | None = json.loads(push.traits).get("unique", {}).get("key")
    return key


def _marked(push: Push) -> Push:
    """Return a push that says that it has its lock."""
    traits = json.loads(push.traits or "{}")
    traits["unique"]["held"] = True
    return msgspec.structs.replace(push, traits=json.dumps(traits))
