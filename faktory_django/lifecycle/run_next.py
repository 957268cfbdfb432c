"""Run next: a person puts jobs in front of their queues, before every priority.

They stand in a lane of their own, in the order in which they were put there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import transaction

from .connection import database, execute
from .mutate import AT_PUSH, FIRST_RANK, TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

# Fresh numbers, so that no watermark of a worker lies above them.
_IN_FRONT: Final = f"""
levels AS (
    INSERT INTO faktory_django_level (queue, rank)
    SELECT DISTINCT e.queue, {FIRST_RANK}
    FROM entered e
    WHERE NOT EXISTS (
        SELECT FROM faktory_django_level v WHERE v.queue = e.queue AND v.rank = {FIRST_RANK}
    )
), known AS (
    INSERT INTO faktory_django_queue (name)
    SELECT DISTINCT e.queue
    FROM entered e
    WHERE NOT EXISTS (SELECT FROM faktory_django_queue q WHERE q.name = e.queue)
    ORDER BY e.queue
    ON CONFLICT (name) DO NOTHING
), readied AS (
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
    SELECT e.queue, {FIRST_RANK}, nextval('faktory_django_job_id_seq'), e.id
    FROM entered e
    ORDER BY e.id
    RETURNING queue
), woken AS MATERIALIZED (
    SELECT faktory_django_wake_v1(array_agg(DISTINCT queue), count(*)::int)
    FROM readied
    HAVING count(*) > 0
)
SELECT count(*), (SELECT count(*) FROM woken)
FROM readied
"""
_FROM_SET = f"""
WITH gone AS MATERIALIZED (
    DELETE FROM {{table}} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), entered AS (
    INSERT INTO faktory_django_job
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure)
    SELECT queue, priority, jid, jobtype, clock_timestamp(), reserve_for, body, failure
    FROM gone
    ORDER BY id
    RETURNING id, queue
), {_IN_FRONT}
"""
# The ready entry is the proof that nobody has claimed the job.
_FROM_QUEUE = f"""
WITH wanted AS MATERIALIZED (
    SELECT r.ctid AS entry
    FROM faktory_django_job j
    JOIN faktory_django_ready r ON r.queue = j.queue AND {{place}}
    WHERE j.id = ANY(%(ids)b::bigint[])
    ORDER BY j.id
    FOR UPDATE OF r SKIP LOCKED
), entered AS (
    DELETE FROM faktory_django_ready r
    WHERE r.ctid = ANY(ARRAY(SELECT entry FROM wanted))
    RETURNING r.job_id AS id, r.queue
), {_IN_FRONT}
"""
FROM_SET: Final = {name: _FROM_SET.format(table=table) for name, table in TABLES.items()}
# What is in front already stays where it is.
_PLACES: Final = (
    AT_PUSH,
    f"r.rank = 2 * j.priority + 1 AND r.rank <> {FIRST_RANK} AND r.job_id = j.id",
)
FROM_QUEUE: Final = tuple(_FROM_QUEUE.format(place=place) for place in _PLACES)


def run_next(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Put entries of a set, or jobs that wait ("waiting"), in front of their queues; count them.

    What stands in front already is left alone.
    """
    connection = database(using)
    wanted = {"ids": sorted(set(ids))}
    if target != "waiting":
        return int(execute(connection, FROM_SET[target], wanted)[0][0])
    with transaction.atomic(using=connection.alias, savepoint=False):
        return sum(int(execute(connection, sql, wanted)[0][0]) for sql in FROM_QUEUE)
