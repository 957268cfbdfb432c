"""Queues: pause, resume, clear, remove, and what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from faktory_django.errors import InvalidQueueName
from faktory_django.settings import check_queue_name

from .connection import database, execute
from .discarded import DISCARDED
from .lanes import FAIR_RANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DECLARE: Final = """
INSERT INTO faktory_django_queue (name)
SELECT n FROM unnest(%(names)b::text[]) AS n ORDER BY n
ON CONFLICT (name) DO NOTHING
"""
SET_PAUSED: Final = """
INSERT INTO faktory_django_queue AS q (name, paused)
SELECT n, %(paused)s FROM unnest(%(names)b::text[]) AS n ORDER BY n
ON CONFLICT (name) DO UPDATE SET paused = excluded.paused
WHERE q.paused <> excluded.paused
RETURNING (SELECT faktory_django_wake_v1(%(names)b::text[], 1000))::text
"""
# For the wire, whose pause of a queue that is not known has no effect (section 4.8).
SET_KNOWN_PAUSED: Final = """
UPDATE faktory_django_queue q
SET paused = %(paused)s
WHERE (%(every)s OR q.name = ANY(%(names)b::text[])) AND q.paused <> %(paused)s
RETURNING (SELECT faktory_django_wake_v1(ARRAY[q.name], 1000))::text
"""
NAMES: Final = "SELECT q.name FROM faktory_django_queue q ORDER BY q.name"
# A bounded number at a time; entries that a claim is taking are left to it.
CLEAR: Final = f"""
WITH entries AS MATERIALIZED (
    DELETE FROM faktory_django_ready r
    WHERE r.ctid = ANY(ARRAY(
        SELECT r.ctid
        FROM faktory_django_ready r
        WHERE r.queue = %(queue)s
        ORDER BY r.queue, r.rank, r.pos
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING r.job_id
), gone AS (
    DELETE FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT job_id FROM entries))
    RETURNING j.*
), {DISCARDED}
SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM gone), (SELECT count(*) FROM settled)
"""
CLEAR_LIMITED: Final = f"""
WITH entries AS MATERIALIZED (
    DELETE FROM faktory_django_limitedjob w
    WHERE w.job_id = ANY(ARRAY(
        SELECT w.job_id
        FROM faktory_django_limitedjob w
        WHERE w.queue = %(queue)s
        ORDER BY w.queue, w.job_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING w.job_id
), gone AS (
    DELETE FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT job_id FROM entries))
    RETURNING j.*
), {DISCARDED}
SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM gone), (SELECT count(*) FROM settled)
"""
FORGET: Final = "DELETE FROM faktory_django_queue WHERE name = %(queue)s"

# The oldest of a lane is the head of the index; lanes are few. Where jobs take turns it is the one
# with the lowest id.
LATENCY: Final = f"""
SELECT q.name, coalesce(greatest(
    max(extract(epoch FROM clock_timestamp() - j.enqueued_at)),
    max(extract(epoch FROM clock_timestamp() - held.enqueued_at))
), 0)::float8
FROM unnest(%(names)b::text[]) AS q(name)
LEFT JOIN LATERAL (
    SELECT 0::smallint AS rank
    UNION
    SELECT v.rank FROM faktory_django_level v WHERE v.queue = q.name
) AS l ON true
LEFT JOIN LATERAL (
    (SELECT r.job_id
    FROM faktory_django_ready r
    WHERE r.queue = q.name AND r.rank = l.rank AND l.rank <> {FAIR_RANK}
    ORDER BY r.pos
    LIMIT 1)
    UNION ALL
    (SELECT r.job_id
    FROM faktory_django_ready r
    WHERE r.queue = q.name AND r.fair_key IS NOT NULL AND l.rank = {FAIR_RANK}
    ORDER BY r.job_id
    LIMIT 1)
) AS head ON true
LEFT JOIN faktory_django_job j ON j.id = head.job_id
LEFT JOIN LATERAL (
    SELECT w.job_id
    FROM faktory_django_limitedjob w
    WHERE w.queue = q.name
    ORDER BY w.job_id
    LIMIT 1
) AS limited ON true
LEFT JOIN faktory_django_job held ON held.id = limited.job_id
GROUP BY q.name
"""
SIZES: Final = """
SELECT q.name, least(%(cap)s, (
    SELECT count(*)
    FROM (
        SELECT 1 FROM faktory_django_ready r WHERE r.queue = q.name LIMIT %(cap)s
    ) AS capped
) + (
    SELECT count(*)
    FROM (
        SELECT 1 FROM faktory_django_limitedjob w WHERE w.queue = q.name LIMIT %(cap)s
    ) AS capped
))
FROM unnest(%(names)b::text[]) AS q(name)
"""


def declare(names: Iterable[str], *, using: str | None = None) -> None:
    """Make queues known. Raises InvalidQueueName."""
    execute(database(using), DECLARE, {"names": _checked(names)})


def pause(*names: str, using: str | None = None) -> None:
    """Let workers take no more jobs from these queues; pushes go on. Raises InvalidQueueName."""
    execute(database(using), SET_PAUSED, {"names": _checked(names), "paused": True})


def resume(*names: str, using: str | None = None) -> None:
    """Let workers take jobs from these queues again. Raises InvalidQueueName."""
    execute(database(using), SET_PAUSED, {"names": _checked(names), "paused": False})


def set_known_paused(
    names: Sequence[str], *, paused: bool, every: bool = False, using: str | None = None
) -> None:
    """Pause or resume those of these queues that are known; with every, all that are known."""
    params = {"names": list(names), "paused": paused, "every": every}
    execute(database(using), SET_KNOWN_PAUSED, params)


def known(*, using: str | None = None) -> list[str]:
    """Return the names of all known queues, in order."""
    return [row[0] for row in execute(database(using), NAMES)]


def clear(name: str, *, using: str | None = None, limit: int = 1_000) -> int:
    """Delete all jobs that wait in a queue, not those in work; return how many."""
    connection = database(using)
    cleared: int = 0
    # those that wait for a limit first: they would come into the queue
    for sql in (CLEAR_LIMITED, CLEAR):
        entries = limit
        while entries >= limit:
            entries, jobs, _settled = execute(connection, sql, {"queue": name, "limit": limit})[0]
            cleared += int(jobs)
    return cleared


def remove(name: str, *, using: str | None = None) -> int:
    """Clear a queue, forget its pause and take it off the list; return how many jobs went."""
    cleared = clear(name, using=using)
    execute(database(using), FORGET, {"queue": name})
    return cleared


def latencies(names: Sequence[str], *, using: str | None = None) -> dict[str, float]:
    """Return how many seconds the oldest job of each queue has waited; 0 when it is empty."""
    found = execute(database(using), LATENCY, {"names": list(names)})
    return {name: max(seconds, 0.0) for name, seconds in found}


def sizes(names: Sequence[str], *, using: str | None = None, cap: int = 10_001) -> dict[str, int]:
    """Return how many jobs wait in each queue, counted up to cap."""
    return dict(execute(database(using), SIZES, {"names": list(names), "cap": cap}))


def _checked(names: Iterable[str]) -> list[str]:
    names = sorted(set(names))
    for name in names:
        if wrong := check_queue_name(name):
            raise InvalidQueueName(wrong)
    return names
