"""Stats: counters from deltas to minutes to days, and capped counts of the sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from faktory_django.models import BUCKETS

from .connection import database, execute

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Sums histograms bucket by bucket; NULL is an empty one.
ADD_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_add_v1(a int[], b int[])
RETURNS int[] LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a ELSE ARRAY(
    SELECT coalesce(x, 0) + coalesce(y, 0)
    FROM unnest(a, b) WITH ORDINALITY AS t(x, y, nr)
    ORDER BY nr
) END
$$
"""

_SUMS = """
    sum(c.pushed) AS pushed, sum(c.done) AS done, sum(c.failed) AS failed,
    sum(c.discarded) AS discarded, sum(c.reaped) AS reaped
"""
_HISTOGRAMS = """
, buckets AS (
    SELECT c.span, c.queue, c.jobtype, b.nr, sum(c.waits[b.nr]) AS waits, sum(c.runs[b.nr]) AS runs
    FROM taken c
    CROSS JOIN generate_series(1, %(buckets)s) AS b(nr)
    WHERE c.waits IS NOT NULL
    GROUP BY c.span, c.queue, c.jobtype, b.nr
), histograms AS (
    SELECT span, queue, jobtype, array_agg(waits::int ORDER BY nr) AS waits,
        array_agg(runs::int ORDER BY nr) AS runs
    FROM buckets
    GROUP BY span, queue, jobtype
)
"""
_FOLD = (
    """
WITH taken AS MATERIALIZED (
    DELETE FROM {source} d
    WHERE d.id = ANY(ARRAY(
        SELECT d.id FROM {source} d WHERE {condition} ORDER BY d.id
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING d.*, {span} AS span
)"""
    + _HISTOGRAMS
    + """
, sums AS (
    SELECT c.span, c.queue, c.jobtype,"""
    + _SUMS
    + """
    FROM taken c
    GROUP BY c.span, c.queue, c.jobtype
), known AS (
    INSERT INTO faktory_django_queue (name)
    -- one that has only scheduled jobs is not there yet (protocol section 4.7)
    SELECT t.queue
    FROM (
        SELECT queue, sum(pushed) AS pushed, sum(done + failed) AS ran FROM taken GROUP BY queue
    ) AS t
    WHERE t.pushed > 0
    AND NOT EXISTS (SELECT FROM faktory_django_queue q WHERE q.name = t.queue)
    AND (t.ran > 0 OR EXISTS (SELECT FROM faktory_django_ready r WHERE r.queue = t.queue))
    ORDER BY t.queue
    ON CONFLICT (name) DO NOTHING
), folded AS (
    INSERT INTO faktory_django_counter AS c (resolution, starts_at, queue, jobtype,
        pushed, done, failed, discarded, reaped, waits, runs)
    SELECT {resolution}, s.span, s.queue, s.jobtype,
        s.pushed, s.done, s.failed, s.discarded, s.reaped, h.waits, h.runs
    FROM sums s
    LEFT JOIN histograms h USING (span, queue, jobtype)
    ORDER BY s.span, s.queue, s.jobtype
    ON CONFLICT (resolution, starts_at, queue, jobtype) DO UPDATE SET
        pushed = c.pushed + excluded.pushed, done = c.done + excluded.done,
        failed = c.failed + excluded.failed, discarded = c.discarded + excluded.discarded,
        reaped = c.reaped + excluded.reaped,
        waits = faktory_django_add_v1(c.waits, excluded.waits),
        runs = faktory_django_add_v1(c.runs, excluded.runs)
)
SELECT count(*)
FROM taken
"""
)
FOLD_DELTAS: Final = _FOLD.format(
    source="faktory_django_counterdelta",
    condition="true",
    span="d.starts_at",
    resolution=60,
)
FOLD_DAYS: Final = _FOLD.format(
    source="faktory_django_counter",
    condition="d.resolution = 60 AND d.starts_at < date_trunc('day', clock_timestamp(), 'UTC')"
    " - %(keep_days)s * interval '1 day'",
    span="date_trunc('day', d.starts_at, 'UTC')",
    resolution=86_400,
)
TRIM_DAYS: Final = """
DELETE FROM faktory_django_counter
WHERE resolution = 86400 AND starts_at < clock_timestamp() - %(keep_days)s * interval '1 day'
"""
MERGE_LEVELS: Final = """
DELETE FROM faktory_django_level v
USING faktory_django_level w
WHERE v.queue = w.queue AND v.rank = w.rank AND v.id > w.id
"""
TOTALS: Final = """
SELECT coalesce(sum(pushed), 0)::bigint, coalesce(sum(done), 0)::bigint,
    coalesce(sum(failed), 0)::bigint, coalesce(sum(discarded), 0)::bigint,
    coalesce(sum(reaped), 0)::bigint
FROM (
    SELECT pushed, done, failed, discarded, reaped FROM faktory_django_counter
    UNION ALL
    SELECT pushed, done, failed, discarded, reaped FROM faktory_django_counterdelta
) AS c
"""


def fold(connection: BaseDatabaseWrapper, *, limit: int = 10_000) -> int:
    """Add deltas up into minutes and make new queues known; return how many deltas."""
    return int(execute(connection, FOLD_DELTAS, {"limit": limit, "buckets": BUCKETS})[0][0])


def fold_days(connection: BaseDatabaseWrapper, *, keep_days: int, limit: int = 10_000) -> int:
    """Add minutes older than keep_days up into days; return how many minutes."""
    params = {"limit": limit, "buckets": BUCKETS, "keep_days": keep_days}
    return int(execute(connection, FOLD_DAYS, params)[0][0])


def trim_days(connection: BaseDatabaseWrapper, *, keep_days: int) -> None:
    """Delete days older than keep_days."""
    execute(connection, TRIM_DAYS, {"keep_days": keep_days})


def merge_levels(connection: BaseDatabaseWrapper) -> None:
    """Delete levels that are listed twice."""
    execute(connection, MERGE_LEVELS)


def totals(*, using: str | None = None) -> dict[str, int]:
    """Return pushed, done, failed, discarded and reaped since the beginning of the counters."""
    names = ("pushed", "done", "failed", "discarded", "reaped")
    return dict(zip(names, execute(database(using), TOTALS)[0], strict=True))
