"""Throttles: how many jobs of a queue may be in work at a time (protocol section 9.6).

A permit is a standing lease that names the queue, so it comes back with the lease, however that
ends. The claim counts them: PERMITS_FUNCTION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django.errors import InvalidQueueName
from faktory_django.settings import check_queue_name
from faktory_django.throttling import Limits, check

from .connection import database, execute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.backends.base.base import BaseDatabaseWrapper

# Counted by a statement that begins when the row is locked: it sees all that was claimed before.
# places: which of the workers may have a job, where each worker has permits of its own; those
# that have been chosen already (taken) are passed over.
PERMITS_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_permits_v1(
    throttled text, workers text[], taken int[],
    OUT permits int, OUT places int[], OUT contended boolean
)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    throttle record;
    since timestamptz;
BEGIN
    SELECT * INTO throttle
    FROM faktory_django_throttle t
    WHERE t.queue = throttled
    FOR UPDATE SKIP LOCKED;
    contended := NOT FOUND;
    IF contended THEN
        permits := 0;
        RETURN;
    END IF;
    since := coalesce(
        clock_timestamp() - throttle.timeout_seconds * interval '1 s', '-infinity');
    permits := cardinality(workers);
    IF throttle.concurrency IS NOT NULL THEN
        permits := least(permits, greatest(0, throttle.concurrency - (
            SELECT count(*)
            FROM faktory_django_lease l
            WHERE l.queue = throttled AND l.claimed_at > since
        )));
    END IF;
    IF throttle.per_worker IS NOT NULL AND permits > 0 THEN
        places := ARRAY(
            SELECT w.place
            FROM (
                SELECT a.wid, a.place,
                    row_number() OVER (PARTITION BY a.wid ORDER BY a.place) AS nr
                FROM unnest(workers) WITH ORDINALITY AS a(wid, place)
                WHERE a.place <> ALL(taken)
            ) AS w
            JOIN LATERAL (
                SELECT count(*) AS n
                FROM faktory_django_lease l
                WHERE l.queue = throttled AND l.wid = w.wid AND l.claimed_at > since
            ) AS standing ON w.nr + standing.n <= throttle.per_worker
            ORDER BY w.place
        );
        permits := least(permits, cardinality(places));
    END IF;
END
$$
"""

# What a person has said stays. Those of the settings are what the process that started last says.
DECLARE: Final = """
WITH wanted AS MATERIALIZED (
    SELECT *
    FROM unnest(
        %(queues)b::text[], %(concurrencies)b::int[], %(per_workers)b::int[], %(timeouts)b::float8[]
    ) AS w(queue, concurrency, per_worker, timeout_seconds)
), dropped AS (
    DELETE FROM faktory_django_throttle t
    WHERE t.source = 'code' AND t.queue <> ALL(%(queues)b::text[])
)
INSERT INTO faktory_django_throttle AS t
    (queue, concurrency, per_worker, timeout_seconds, source, updated_at)
SELECT w.queue, w.concurrency, w.per_worker, w.timeout_seconds, 'code', clock_timestamp()
FROM wanted w
ORDER BY w.queue
ON CONFLICT (queue) DO UPDATE
SET concurrency = excluded.concurrency, per_worker = excluded.per_worker,
    timeout_seconds = excluded.timeout_seconds, updated_at = excluded.updated_at
WHERE t.source = 'code' AND (t.concurrency, t.per_worker, t.timeout_seconds)
    IS DISTINCT FROM (excluded.concurrency, excluded.per_worker, excluded.timeout_seconds)
"""
# More may be allowed than before.
SET: Final = """
INSERT INTO faktory_django_throttle AS t
    (queue, concurrency, per_worker, timeout_seconds, source, updated_at)
VALUES (%(queue)s, %(concurrency)s, %(per_worker)s, %(timeout)s, 'person', clock_timestamp())
ON CONFLICT (queue) DO UPDATE
SET concurrency = excluded.concurrency, per_worker = excluded.per_worker,
    timeout_seconds = excluded.timeout_seconds, source = 'person',
    updated_at = excluded.updated_at
RETURNING (SELECT faktory_django_wake_v1(ARRAY[t.queue], 1000))::text
"""
REMOVE: Final = """
DELETE FROM faktory_django_throttle t
WHERE t.queue = %(queue)s
RETURNING (SELECT faktory_django_wake_v1(ARRAY[t.queue], 1000))::text
"""
RELEASE: Final = """
WITH freed AS (
    UPDATE faktory_django_lease l
    SET queue = NULL
    WHERE l.id = ANY(ARRAY(
        SELECT l.id
        FROM faktory_django_lease l
        WHERE l.queue = %(queue)s
        ORDER BY l.id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING l.id
)
SELECT count(*), (SELECT faktory_django_wake_v1(ARRAY[%(queue)s::text], count(*)::int))::text
FROM freed
"""
LISTED: Final = """
SELECT t.queue, t.concurrency, t.per_worker, t.timeout_seconds, t.source, (
    SELECT count(*)
    FROM faktory_django_lease l
    WHERE l.queue = t.queue
    AND l.claimed_at > coalesce(
        clock_timestamp() - t.timeout_seconds * interval '1 s', '-infinity')
)
FROM faktory_django_throttle t
ORDER BY t.queue
LIMIT %(limit)s
"""


class Throttled(NamedTuple):
    """A throttle, and how many of its permits are taken."""

    queue: str
    concurrency: int | None
    per_worker: int | None
    timeout_seconds: float | None
    source: str
    taken: int


def declare(connection: BaseDatabaseWrapper, throttles: Mapping[str, Limits]) -> None:
    """Make the throttles of the settings what this process's settings say."""
    names = sorted(throttles)
    params = {
        "queues": names,
        "concurrencies": [throttles[name].concurrency for name in names],
        "per_workers": [throttles[name].per_worker for name in names],
        "timeouts": [throttles[name].timeout_seconds for name in names],
    }
    execute(connection, DECLARE, params)


def throttle(
    queue: str,
    *,
    concurrency: int | None = None,
    worker: int | None = None,
    timeout: float | None = None,
    using: str | None = None,
) -> None:
    """Let at most so many jobs of a queue be in work at a time, in all and in each process.

    A job in work for longer than timeout seconds no longer counts. Raises InvalidQueueName and
    InvalidOption.
    """
    said = _checked(queue, {"concurrency": concurrency, "worker": worker, "timeout": timeout})
    params: dict[str, Any] = {
        "queue": queue,
        "concurrency": said.concurrency,
        "per_worker": said.per_worker,
        "timeout": said.timeout_seconds,
    }
    execute(database(using), SET, params)


def unthrottle(queue: str, *, using: str | None = None) -> bool:
    """Let a queue's jobs be in work without a limit; return whether it was throttled."""
    return bool(execute(database(using), REMOVE, {"queue": queue}))


def release_permits(queue: str, *, using: str | None = None) -> int:
    """Give the permits of a queue back, though their jobs go on; return how many."""
    return int(execute(database(using), RELEASE, {"queue": queue})[0][0])


def listed(*, using: str | None = None, limit: int = 1_000) -> list[Throttled]:
    """Return the throttles by queue."""
    return [Throttled(*row) for row in execute(database(using), LISTED, {"limit": limit})]


def _checked(queue: str, said: Mapping[str, Any]) -> Limits:
    if wrong := check_queue_name(queue):
        raise InvalidQueueName(wrong)
    return check(f"the throttle of {queue!r}", said)
