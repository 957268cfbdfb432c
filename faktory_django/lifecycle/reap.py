"""Reap: jobs come back whose holder is gone, or whose reservation has run out.

What ends a lease, and how it counts: docs/explanation/storage.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import transaction

from faktory_django import payload, registry, signals
from faktory_django.features.history import note

from .announce import announce, announce_moved
from .attempts import CRASHED, crashed_params
from .cancelled import ASKED, CANCELLED
from .clock import RFC3339
from .connection import execute
from .dead import Buried, push_on_dead
from .fail import Failing, fail
from .lanes import RETURNED
from .retry import Error, delay_of, judge
from .settle import settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

EXPIRED_ERROR: Final = Error.cut("ReservationExpired", "Faktory job reservation expired")


_NOTE: Final = "CASE WHEN e.traits ? 'keep' THEN %(note)s::text::jsonb END"
_DEATH: Final = (
    """'{"failed_at":"' || """ + RFC3339.format("clock_timestamp()") + """ || '",' || %(failure)s"""
)

# blamed: the jobs that ran when the process died; NULL when nobody knows: all of them.
# Of these the ones that had crashed most often are: their neighbours most likely did nothing.
REAP: Final = f"""
WITH held AS MATERIALIZED (
    SELECT l.id, l.ids, l.wid
    FROM faktory_django_lease l
    WHERE l.id = ANY(%(leases)b::bigint[])
    ORDER BY l.id
    FOR UPDATE SKIP LOCKED
), freed AS (
    DELETE FROM faktory_django_lease l
    WHERE l.id = ANY(ARRAY(SELECT id FROM held))
), found AS MATERIALIZED (
    SELECT j.*, %(blamed)b::bigint[] IS NULL OR j.id = ANY(%(blamed)b::bigint[]) AS ran,
        {ASKED} AS asked
    FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT unnest(ids) FROM held))
    ORDER BY j.id
    FOR UPDATE
), judged AS MATERIALIZED (
    SELECT f.*, f.ran
        AND f.crashes = (SELECT max(x.crashes) FROM found x WHERE x.ran) AS guilty
    FROM found f
), gone AS MATERIALIZED (
    DELETE FROM faktory_django_job j
    USING found f
    WHERE j.id = f.id AND f.asked
    RETURNING j.*
), {CANCELLED}, poison AS (
    DELETE FROM faktory_django_job j
    USING judged f
    WHERE j.id = f.id AND NOT f.asked AND f.guilty AND f.crashes + 1 >= %(max_crashes)s
    RETURNING j.*
), died AS (
    INSERT INTO faktory_django_deadjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, died_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body,
        {_DEATH},
        traits, clock_timestamp()
    FROM poison
    RETURNING *
), {settled("poison", outcome="'dead'", failure=_DEATH, note=_NOTE)}, counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, reaped)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, count(*)
    FROM found
    GROUP BY queue, jobtype
), back AS MATERIALIZED (
    SELECT f.id, f.queue, f.priority, f.guilty
    FROM judged f
    WHERE NOT f.asked AND NOT (f.guilty AND f.crashes + 1 >= %(max_crashes)s)
), suspected AS (
    UPDATE faktory_django_job j
    SET crashes = j.crashes + 1
    FROM back b
    WHERE j.id = b.id AND b.guilty
), {CRASHED}, {RETURNED}
SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM woken),
    (SELECT count(*) FROM settled), d.queue, d.jobtype, d.body, d.failure
FROM (SELECT) AS one
LEFT JOIN died d ON true
"""

# Paged by id, so that a page of leases that cannot be moved does not hide the rest.
SILENT: Final = """
SELECT l.id, ARRAY(SELECT (slot ->> 0)::bigint FROM json_array_elements(p.running::json) AS slot)
FROM faktory_django_lease l
LEFT JOIN faktory_django_process p ON p.wid = l.wid
WHERE l.expires_at IS NULL AND l.id > %(after)s
AND (p.wid IS NULL OR p.beat_at < clock_timestamp() - %(silent)s * interval '1 s')
AND l.claimed_at < clock_timestamp() - %(silent)s * interval '1 s'
ORDER BY l.id
LIMIT %(limit)s
"""

HELD_BY: Final = """
SELECT l.id
FROM faktory_django_lease l
WHERE l.wid = %(wid)s AND l.expires_at IS NULL
ORDER BY l.id
"""

# Wire reservations that have run out, locked so that an ack is decided before or after. In a
# SELECT of its own the time is a bound of the index scan; a volatile function cannot be.
EXPIRED: Final = """
SELECT l.id, l.ids
FROM faktory_django_lease l
WHERE (l.expires_at, l.id) > (%(after_at)s::timestamptz, %(after_id)s)
AND l.expires_at < (SELECT clock_timestamp())
ORDER BY l.expires_at, l.id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""

# What a run may take: more than its reservation when it has asked for that.
_ALLOWED: Final = "greatest(j.reserve_for, (r.slot ->> 2)::float8)"

# Runs that their own process should have ended a minute ago and did not.
OVERDUE: Final = f"""
SELECT l.id, ARRAY[j.id]
FROM faktory_django_process p
CROSS JOIN LATERAL json_array_elements(p.running::json) AS r(slot)
JOIN faktory_django_job j ON j.id = (r.slot ->> 0)::bigint
JOIN faktory_django_lease l ON l.wid = p.wid AND l.ids @> ARRAY[j.id]
WHERE to_timestamp((r.slot ->> 1)::float8)
    < clock_timestamp() - ({_ALLOWED} + %(margin)s) * interval '1 s'
ORDER BY l.id
LIMIT %(limit)s
FOR UPDATE OF l SKIP LOCKED
"""

# One round trip answers for all of the above; most of the time nothing is to be done.
DUE: Final = f"""
SELECT coalesce(
    (SELECT min(l.expires_at) FROM faktory_django_lease l) < clock_timestamp(), false
), EXISTS (
    SELECT
    FROM faktory_django_process p
    CROSS JOIN LATERAL json_array_elements(p.running::json) AS r(slot)
    JOIN faktory_django_job j ON j.id = (r.slot ->> 0)::bigint
    WHERE to_timestamp((r.slot ->> 1)::float8)
        < clock_timestamp() - ({_ALLOWED} + %(margin)s) * interval '1 s'
), EXISTS (
    SELECT
    FROM faktory_django_process p
    WHERE p.beat_at < clock_timestamp()
        - CASE p.kind WHEN 'wire' THEN %(wire_silent)s ELSE %(silent)s END * interval '1 s'
) OR EXISTS (
    SELECT
    FROM faktory_django_lease l
    WHERE l.expires_at IS NULL
    AND l.claimed_at < clock_timestamp() - %(silent)s * interval '1 s'
    AND NOT EXISTS (SELECT FROM faktory_django_process p WHERE p.wid = l.wid)
) OR EXISTS (
    SELECT
    FROM faktory_django_waiter w
    WHERE NOT EXISTS (SELECT FROM faktory_django_process p WHERE p.wid = w.wid)
), EXISTS (SELECT FROM faktory_django_cancel)
"""

HELD_JOBS: Final = """
SELECT j.id, j.failure, j.body, j.jobtype
FROM faktory_django_job j
WHERE j.id = ANY(%(ids)b::bigint[])
ORDER BY j.id
"""

FREE: Final = "DELETE FROM faktory_django_lease l WHERE l.id = ANY(%(leases)b::bigint[])"

FORGET_SILENT: Final = """
WITH gone AS (
    DELETE FROM faktory_django_process p
    WHERE p.beat_at < clock_timestamp()
        - CASE p.kind WHEN 'wire' THEN %(wire_silent)s ELSE %(silent)s END * interval '1 s'
    RETURNING p.wid, p.kind, p.connections
), idle AS (
    DELETE FROM faktory_django_waiter w
    WHERE NOT EXISTS (SELECT FROM faktory_django_process p WHERE p.wid = w.wid)
    OR w.wid = ANY(ARRAY(SELECT wid FROM gone))
)
SELECT count(*) FILTER (WHERE kind = 'python' OR (kind = 'wire' AND connections > 0))
FROM gone
"""

# The jobs of wire workers that have gone silent; only where the setting asks for it, for the
# protocol leaves them until their reservation ends.
SILENT_WIRE: Final = """
SELECT l.id
FROM faktory_django_lease l
LEFT JOIN faktory_django_process p ON p.wid = l.wid
WHERE l.expires_at IS NOT NULL AND l.wid <> '' AND l.id > %(after)s
AND l.claimed_at < clock_timestamp() - %(silent)s * interval '1 s'
AND (p.wid IS NULL OR p.beat_at < clock_timestamp() - %(silent)s * interval '1 s')
ORDER BY l.id
LIMIT %(limit)s
"""


class Due(NamedTuple):
    """What there is to reap."""

    expired: bool
    overdue: bool
    silent: bool
    asked: bool


def due(
    connection: BaseDatabaseWrapper,
    *,
    silent_seconds: float,
    wire_silent_seconds: float = 60,
    margin_seconds: float = 60,
) -> Due:
    """Return what there is to reap, in one round trip."""
    params = {
        "silent": silent_seconds,
        "wire_silent": wire_silent_seconds,
        "margin": margin_seconds,
    }
    return Due(*execute(connection, DUE, params)[0])


def reap(
    connection: BaseDatabaseWrapper,
    leases: Sequence[int],
    *,
    max_crashes: int,
    reason: str = "its process stopped beating",
    blamed: Sequence[int] | None = None,
) -> int:
    """Take leases from a process that has died; return how many jobs came back or died.

    Jobs go back next in line with one crash more and no attempt used; those that crashed
    max_crashes times die, and those that were asked to stop end. With blamed, only those jobs
    were running.
    """
    if not leases:
        return 0
    error = Error.cut("CrashedWorker", f"the process that ran it died: {reason}")
    failure = judge(-1, None, error).failure
    params = crashed_params(error) | {
        "leases": sorted(leases),
        "blamed": None if blamed is None else list(blamed),
        "max_crashes": max_crashes,
        "failure": failure,
        "note": note(error=error.named()),
    }
    with transaction.atomic(using=connection.alias, savepoint=False):
        rows = execute(connection, REAP, params)
        died = [Buried(*row[3:]) for row in rows if row[3] is not None]
        push_on_dead(connection, died)
        announce(connection, signals.dead, died)
    return int(rows[0][0])


def reap_process(
    connection: BaseDatabaseWrapper,
    wid: str,
    *,
    max_crashes: int,
    reason: str,
    blamed: Sequence[int] | None = None,
) -> int:
    """Take all that a process held that is known to have died; return how many jobs."""
    leases = [row[0] for row in execute(connection, HELD_BY, {"wid": wid})]
    return reap(connection, leases, max_crashes=max_crashes, reason=reason, blamed=blamed)


def reap_silent(
    connection: BaseDatabaseWrapper, *, silent_seconds: float, max_crashes: int, limit: int = 100
) -> int:
    """Take the leases of processes that have not beaten for silent_seconds, page by page."""
    reaped, after = 0, 0
    while True:
        params = {"after": after, "silent": silent_seconds, "limit": limit}
        page = execute(connection, SILENT, params)
        for lease, running in page:
            # what ran at the last beat; all of it when nobody knows
            reaped += reap(connection, [lease], max_crashes=max_crashes, blamed=running or None)
        if len(page) < limit:
            break
        after = page[-1][0]
    return reaped


def forget_silent(
    connection: BaseDatabaseWrapper, *, silent_seconds: float, wire_silent_seconds: float = 60
) -> int:
    """Forget processes that have not beaten for so long, and waiters that are none; count workers.

    The jobs of Python workers must have been taken before; wire servers close the connections of
    workers that they find forgotten.
    """
    params = {"silent": silent_seconds, "wire_silent": wire_silent_seconds}
    return int(execute(connection, FORGET_SILENT, params)[0][0])


def reap_silent_wire(
    connection: BaseDatabaseWrapper, *, silent_seconds: float, max_crashes: int, limit: int = 100
) -> int:
    """Take the jobs of wire workers that have not beaten for silent_seconds, page by page."""
    reaped, after = 0, 0
    while True:
        params = {"after": after, "silent": silent_seconds, "limit": limit}
        page = [row[0] for row in execute(connection, SILENT_WIRE, params)]
        for lease in page:
            reaped += reap(connection, [lease], max_crashes=max_crashes)
        if len(page) < limit:
            return reaped
        after = page[-1]


def expire(connection: BaseDatabaseWrapper, *, limit: int = 100) -> int:
    """Fail the jobs whose reservation has run out, as protocol section 6.2 says; count them."""
    expired = 0
    after: dict[str, Any] = {"after_at": "-infinity", "after_id": 0}
    while True:
        with transaction.atomic(using=connection.alias, savepoint=False):
            page = execute(connection, EXPIRED, after | {"limit": limit})
            expired += _fail_expired(connection, page)
            execute(connection, FREE, {"leases": [lease for lease, _ in page]})
        if len(page) < limit:
            return expired


def expire_overdue(
    connection: BaseDatabaseWrapper, *, margin_seconds: float = 60, limit: int = 100
) -> int:
    """Fail runs of beating processes that are margin_seconds past their reserve_for."""
    with transaction.atomic(using=connection.alias, savepoint=False):
        params = {"margin": margin_seconds, "limit": limit}
        return _fail_expired(connection, execute(connection, OVERDUE, params))


def _fail_expired(connection: BaseDatabaseWrapper, page: Sequence[tuple[Any, ...]]) -> int:
    lease_of = {job: lease for lease, ids in page for job in ids}
    if not lease_of:
        return 0
    failings = []
    for job, failure, body, jobtype in execute(connection, HELD_JOBS, {"ids": sorted(lease_of)}):
        delay = delay_of(registry.find(jobtype))
        verdict = judge(payload.retry_of(body), failure, EXPIRED_ERROR, delay=delay)
        failings.append(Failing(job, lease_of[job], verdict, error=EXPIRED_ERROR))
    moved = fail(connection, failings) if failings else []
    announce_moved(connection, moved)
    return len(moved)
