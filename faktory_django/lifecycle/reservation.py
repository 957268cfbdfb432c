"""Reservation: handing jobs back, extending a reservation, releasing all that a process holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import ReservationLost
from faktory_django.features.tracking import MAX_AHEAD_SECONDS

from .cancelled import ASKED, dropped
from .connection import database, execute
from .lanes import RETURNED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from django.db.backends.base.base import BaseDatabaseWrapper

# What follows the choice of leases whose jobs all return.
_ALL_BACK: Final = f"""
    ORDER BY l.id
    FOR UPDATE SKIP LOCKED
), freed AS (
    DELETE FROM faktory_django_lease l
    WHERE l.id = ANY(ARRAY(SELECT id FROM held))
), {dropped("SELECT unnest(ids) FROM held")}, back AS MATERIALIZED (
    SELECT j.id, j.queue, j.priority
    FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT unnest(ids) FROM held)) AND NOT {ASKED}
    ORDER BY j.id
), {RETURNED}
SELECT count(*), (SELECT count(*) FROM woken)
FROM readied
"""

# Taken out of the lease first: a second hand-back, or a reap, cannot make them ready twice.
HAND_BACK: Final = f"""
WITH held AS MATERIALIZED (
    SELECT l.id, ARRAY(SELECT i FROM unnest(l.ids) i WHERE i = ANY(%(ids)b::bigint[])) AS back
    FROM faktory_django_lease l
    WHERE l.id = %(lease)s
    FOR NO KEY UPDATE
), taken AS (
    UPDATE faktory_django_lease l
    SET ids = ARRAY(SELECT i FROM unnest(l.ids) i WHERE i <> ALL(%(ids)b::bigint[]))
    FROM held h
    WHERE l.id = h.id
), {dropped("SELECT unnest(h.back) FROM held h")}, back AS MATERIALIZED (
    SELECT j.id, j.queue, j.priority
    FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT unnest(h.back) FROM held h)) AND NOT {ASKED}
), {RETURNED}
SELECT count(*), (SELECT count(*) FROM woken)
FROM readied
"""

RELEASE: Final = f"""
WITH held AS MATERIALIZED (
    SELECT l.id, l.ids
    FROM faktory_django_lease l
    WHERE l.wid = %(wid)s AND l.expires_at IS NULL
{_ALL_BACK}"""

EXTEND: Final = """
UPDATE faktory_django_lease l
SET expires_at = greatest(
    l.expires_at,
    clock_timestamp() + least(%(seconds)s::float8, %(max_ahead)s) * interval '1 s'
)
WHERE l.id = %(lease)s AND l.expires_at > clock_timestamp()
RETURNING l.expires_at
"""


def hand_back(connection: BaseDatabaseWrapper, lease: int, ids: Sequence[int]) -> int:
    """Put jobs that were not started back, next in line; return how many went back.

    Those that were asked to stop end instead."""
    return int(execute(connection, HAND_BACK, {"lease": lease, "ids": sorted(ids)})[0][0])


def release(connection: BaseDatabaseWrapper, wid: str) -> int:
    """Put all that a process holds back, next in line, no attempt used; return how many jobs.

    Only for a process that has ended.
    """
    return int(execute(connection, RELEASE, {"wid": wid})[0][0])


def extend(lease: int, *, by: timedelta, using: str | None = None) -> None:
    """Give the holder until now + by; never shortens a reservation, never beyond one day.

    For reservations that end by themselves. Raises ReservationLost when it has ended.
    """
    params = {"lease": lease, "seconds": by.total_seconds(), "max_ahead": MAX_AHEAD_SECONDS}
    if not execute(database(using), EXTEND, params):
        raise ReservationLost(f"lease {lease} does not stand any more")


STRAY: Final = """
SELECT l.id, l.ids
FROM faktory_django_lease l
WHERE l.wid = %(wid)s AND l.expires_at IS NULL AND l.id <> ALL(%(known)b::bigint[])
"""


def return_strays(connection: BaseDatabaseWrapper, wid: str, known: Sequence[int]) -> int:
    """Put back what a process holds without knowing it: the reply to a claim was lost.

    Only for the thread that claims for wid; known are the leases that it knows.
    """
    found = execute(connection, STRAY, {"wid": wid, "known": list(known)})
    returned = 0
    for lease, ids in found:
        returned += hand_back(connection, lease, ids)
        execute(connection, DROP, {"lease": lease})
    return returned


DROP: Final = "DELETE FROM faktory_django_lease WHERE id = %(lease)s"


# Claims of the wire that no client has got: those whose client went away, or all that a server
# has made since a lease, when it never saw the answer.
RETURN_CLAIMS: Final = f"""
WITH held AS MATERIALIZED (
    SELECT l.id, l.ids
    FROM faktory_django_lease l
    WHERE l.id = ANY(%(leases)b::bigint[])
    OR (%(server)s::text IS NOT NULL AND l.id > %(after)s AND l.server = %(server)s)
{_ALL_BACK}"""


def return_claims(connection: BaseDatabaseWrapper, leases: Sequence[int]) -> int:
    """Put back jobs of the wire whose clients went away before they got them; count them."""
    params = {"leases": sorted(leases), "server": None, "after": 0}
    return int(execute(connection, RETURN_CLAIMS, params)[0][0])


def return_unanswered_claims(connection: BaseDatabaseWrapper, server: str, after: int) -> int:
    """Put back what a wire server has claimed after a lease without seeing the answer."""
    params: dict[str, Any] = {"leases": [], "server": server, "after": after}
    return int(execute(connection, RETURN_CLAIMS, params)[0][0])
