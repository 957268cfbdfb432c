"""Stats: counters from deltas to minutes, hours and days, and totals of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from faktory_django.models import BUCKETS, Counter

from .connection import database, execute

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Sums histograms bucket by bucket; NULL is an empty one. A bucket that is full stays full: that
# is better than a day that cannot be counted.
ADD_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_add_v1(a int[], b int[])
RETURNS int[] LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a ELSE ARRAY(
    SELECT least(coalesce(x, 0)::bigint + coalesce(y, 0), 2147483647)::int
    FROM unnest(a, b) WITH ORDINALITY AS t(x, y, nr)
    ORDER BY nr
) END
$$
"""


def _histogram(name: str) -> str:
    # A sum for each bucket takes half the time of one row for each.
    sums = ", ".join(f"coalesce(sum(c.{name}[{nr}]), 0)" for nr in range(1, BUCKETS + 1))
    return f"CASE WHEN count(c.{name}) > 0 THEN ARRAY[{sums}]::int[] END AS {name}"


_SUMS: Final = f"""
    sum(c.pushed) AS pushed, sum(c.done) AS done, sum(c.failed) AS failed,
    sum(c.discarded) AS discarded, sum(c.reaped) AS reaped,
    {_histogram("waits")}, {_histogram("runs")}
"""
_RESOLUTIONS: Final = ", ".join(f"({seconds})" for seconds in Counter.Resolution.values)
# All folds write queues and spans in the same order, so that none waits for one that waits for it.
FOLD: Final = f"""
WITH taken AS MATERIALIZED (
    DELETE FROM faktory_django_counterdelta d
    WHERE d.id = ANY(ARRAY(
        SELECT d.id FROM faktory_django_counterdelta d ORDER BY d.id
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING d.*
), minutes AS MATERIALIZED (
    SELECT c.starts_at, c.queue, c.jobtype, count(*) AS deltas, {_SUMS}
    FROM taken c
    GROUP BY c.starts_at, c.queue, c.jobtype
), spans AS (
    SELECT r.resolution, s.starts_at, c.queue, c.jobtype, {_SUMS}
    FROM minutes c
    CROSS JOIN (VALUES {_RESOLUTIONS}) AS r(resolution)
    CROSS JOIN LATERAL date_bin(
        r.resolution * interval '1 second', c.starts_at, timestamptz '1970-01-01 00:00:00Z'
    ) AS s(starts_at)
    GROUP BY r.resolution, s.starts_at, c.queue, c.jobtype
), known AS (
    INSERT INTO faktory_django_queue (name)
    -- one that has only scheduled jobs is not there yet (protocol section 4.7)
    SELECT t.queue
    FROM (
        SELECT queue, sum(pushed) AS pushed, sum(done + failed) AS ran FROM minutes GROUP BY queue
    ) AS t
    WHERE t.pushed > 0
    AND NOT EXISTS (SELECT FROM faktory_django_queue q WHERE q.name = t.queue)
    AND (t.ran > 0 OR EXISTS (SELECT FROM faktory_django_ready r WHERE r.queue = t.queue)
        OR EXISTS (SELECT FROM faktory_django_limitedjob w WHERE w.queue = t.queue))
    ORDER BY t.queue
    ON CONFLICT (name) DO NOTHING
), folded AS (
    INSERT INTO faktory_django_counter AS c (resolution, starts_at, queue, jobtype,
        pushed, done, failed, discarded, reaped, waits, runs)
    SELECT s.resolution, s.starts_at, s.queue, s.jobtype,
        s.pushed, s.done, s.failed, s.discarded, s.reaped, s.waits, s.runs
    FROM spans s
    ORDER BY s.resolution, s.starts_at, s.queue, s.jobtype
    ON CONFLICT (resolution, starts_at, queue, jobtype) DO UPDATE SET
        pushed = c.pushed + excluded.pushed, done = c.done + excluded.done,
        failed = c.failed + excluded.failed, discarded = c.discarded + excluded.discarded,
        reaped = c.reaped + excluded.reaped,
        waits = faktory_django_add_v1(c.waits, excluded.waits),
        runs = faktory_django_add_v1(c.runs, excluded.runs)
)
SELECT coalesce(sum(deltas), 0)::bigint
FROM minutes
"""
# It waits for nobody: what a fold adds to goes the next time.
TRIM: Final = """
WITH gone AS (
    DELETE FROM faktory_django_counter c
    WHERE c.id = ANY(ARRAY(
        SELECT c.id FROM faktory_django_counter c
        WHERE c.resolution = %(resolution)s
        AND c.starts_at < (SELECT clock_timestamp() - %(keep_days)s * interval '1 day')
        ORDER BY c.starts_at
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING c.id
)
SELECT count(*)
FROM gone
"""
MERGE_LEVELS: Final = """
DELETE FROM faktory_django_level v
USING faktory_django_level w
WHERE v.queue = w.queue AND v.rank = w.rank AND v.id > w.id
"""
# A job is in its minute, its hour and its day: days are the fewest, and are kept longest.
TOTALS: Final = """
SELECT coalesce(sum(pushed), 0)::bigint, coalesce(sum(done), 0)::bigint,
    coalesce(sum(failed), 0)::bigint, coalesce(sum(discarded), 0)::bigint,
    coalesce(sum(reaped), 0)::bigint
FROM (
    SELECT pushed, done, failed, discarded, reaped FROM faktory_django_counter
    WHERE resolution = 86400
    UNION ALL
    SELECT pushed, done, failed, discarded, reaped FROM faktory_django_counterdelta
) AS c
"""


def fold(connection: BaseDatabaseWrapper, *, limit: int = 10_000) -> int:
    """Add deltas to their minutes, hours and days, make new queues known; return how many."""
    return int(execute(connection, FOLD, {"limit": limit})[0][0])


def trim(
    connection: BaseDatabaseWrapper, *, resolution: int, keep_days: int, limit: int = 10_000
) -> int:
    """Delete the oldest of the counters of this resolution that are too old; return how many."""
    params = {"resolution": resolution, "keep_days": keep_days, "limit": limit}
    return int(execute(connection, TRIM, params)[0][0])


def merge_levels(connection: BaseDatabaseWrapper) -> None:
    """Delete levels that are listed twice."""
    execute(connection, MERGE_LEVELS)


def totals(*, using: str | None = None) -> dict[str, int]:
    """Return pushed, done, failed, discarded and reaped since the beginning of the counters."""
    names = ("pushed", "done", "failed", "discarded", "reaped")
    return dict(zip(names, execute(database(using), TOTALS)[0], strict=True))
