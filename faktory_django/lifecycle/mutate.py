"""Mutate: what a person does to jobs: retry now, add to queue, kill, discard.

Each statement names the state it expects: acting on a job that has moved on changes nothing,
and the count says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import transaction

from faktory_django import signals

from .announce import announce
from .connection import database, execute
from .dead import Buried, push_on_dead
from .push import READIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

TABLES: Final = {
    "scheduled": "faktory_django_scheduledjob",
    "retries": "faktory_django_retryjob",
    "dead": "faktory_django_deadjob",
}

_REQUEUE = """
WITH gone AS MATERIALIZED (
    DELETE FROM {table} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), entered AS (
    INSERT INTO faktory_django_job
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure)
    SELECT queue, priority, jid, jobtype, clock_timestamp(), reserve_for, body, failure
    FROM gone
    ORDER BY id
    RETURNING id, queue, priority
), {readied}
SELECT count(*), (SELECT count(*) FROM woken)
FROM readied
"""
_KILL = """
WITH gone AS MATERIALIZED (
    DELETE FROM {table} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), died AS (
    INSERT INTO faktory_django_deadjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, died_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure,
        clock_timestamp()
    FROM gone
    ORDER BY id
)
SELECT queue, jobtype, body, failure
FROM gone
"""
_DISCARD = """
WITH gone AS (
    DELETE FROM {table} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.queue, s.jobtype
), counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, discarded)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, count(*)
    FROM gone
    GROUP BY queue, jobtype
)
SELECT count(*)
FROM gone
"""
REQUEUE: Final = {
    name: _REQUEUE.format(table=table, readied=READIED) for name, table in TABLES.items()
}
KILL: Final = {name: _KILL.format(table=table) for name, table in TABLES.items()}
DISCARD: Final = {name: _DISCARD.format(table=table) for name, table in TABLES.items()}

# The ready entry is the proof that nobody has claimed the job. Its place is known, but for a job
# that has come back, which is looked for in its lane.
_TAKE_WAITING: Final = """
wanted AS MATERIALIZED (
    SELECT r.ctid AS entry
    FROM faktory_django_job j
    JOIN faktory_django_ready r ON r.queue = j.queue AND {place}
    WHERE j.id = ANY(%(ids)b::bigint[])
    ORDER BY j.id
    FOR UPDATE OF r SKIP LOCKED
), entries AS (
    DELETE FROM faktory_django_ready r
    WHERE r.ctid = ANY(ARRAY(SELECT entry FROM wanted))
    RETURNING r.job_id
), gone AS MATERIALIZED (
    DELETE FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT job_id FROM entries))
    RETURNING j.*
)
"""
_KILL_WAITING = f"""
WITH {_TAKE_WAITING}, died AS (
    INSERT INTO faktory_django_deadjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, died_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure,
        clock_timestamp()
    FROM gone
    ORDER BY id
)
SELECT queue, jobtype, body, failure
FROM gone
"""
_DISCARD_WAITING = f"""
WITH {_TAKE_WAITING}, counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, discarded)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, count(*)
    FROM gone
    GROUP BY queue, jobtype
)
SELECT 1
FROM gone
"""
_PLACES = (
    "r.rank = 2 * j.priority AND r.pos = j.id",
    "r.rank = 2 * j.priority + 1 AND r.job_id = j.id",
)
KILL_WAITING: Final = tuple(_KILL_WAITING.format(place=place) for place in _PLACES)
DISCARD_WAITING: Final = tuple(_DISCARD_WAITING.format(place=place) for place in _PLACES)


def requeue(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Put entries of "scheduled", "retries" or "dead" at the end of their queues; count them."""
    return int(execute(database(using), REQUEUE[target], {"ids": sorted(ids)})[0][0])


def kill(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Move entries of a set, or jobs that wait in a queue ("waiting"), to the dead; count them.

    From "dead" it makes them die again: they are kept from now on. A person kills, so the
    on_dead job is pushed too.
    """
    connection = database(using)
    with transaction.atomic(using=connection.alias, savepoint=False):
        if target == "waiting":
            rows = _take_waiting(connection, KILL_WAITING, ids)
        else:
            rows = execute(connection, KILL[target], {"ids": sorted(ids)})
        died = [Buried(*row) for row in rows]
        if target != "dead":
            push_on_dead(connection, died)
        announce(connection, signals.dead, died)
    return len(died)


def discard(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Delete entries of a set, or jobs that wait in a queue ("waiting"); count them."""
    connection = database(using)
    if target == "waiting":
        with transaction.atomic(using=connection.alias, savepoint=False):
            return len(_take_waiting(connection, DISCARD_WAITING, ids))
    return int(execute(connection, DISCARD[target], {"ids": sorted(ids)})[0][0])


def _take_waiting(
    connection: BaseDatabaseWrapper, statements: Sequence[str], ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Take jobs by their place; only when some are not there, those that have come back."""
    by_place, returned = statements
    wanted = sorted(set(ids))
    rows = execute(connection, by_place, {"ids": wanted})
    if len(rows) < len(wanted):
        rows += execute(connection, returned, {"ids": wanted})
    return rows
