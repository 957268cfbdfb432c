"""Queries over the counters of one resolution by jobtype, and deltas that are not in it yet."""

from __future__ import annotations

from typing import Final

from faktory_django.models import BUCKETS


def _sums(column: str) -> str:
    sums = ", ".join(f"coalesce(sum(c.{column}[{nr}]), 0)::bigint" for nr in range(1, BUCKETS + 1))
    return f"ARRAY[{sums}]"


_COUNTED = """
    SELECT m.starts_at, m.queue, m.jobtype, m.pushed, m.done, m.failed, m.waits, m.runs
    FROM faktory_django_counter m
    WHERE m.resolution = %(span)s AND m.starts_at >= %(since)s
    UNION ALL
    SELECT d.starts_at, d.queue, d.jobtype, d.pushed, d.done, d.failed, d.waits, d.runs
    FROM faktory_django_counterdelta d
    WHERE d.starts_at >= %(since)s
"""
_NUMBERS = f"""
    sum(c.pushed)::bigint, sum(c.done)::bigint, sum(c.failed)::bigint,
    {_sums("waits")}, {_sums("runs")}
"""
TYPES: Final = f"""
SELECT c.jobtype, {_NUMBERS}
FROM ({_COUNTED}) AS c
WHERE %(queues)b::text[] IS NULL OR c.queue = ANY(%(queues)b::text[])
GROUP BY c.jobtype
ORDER BY sum(c.done + c.failed) DESC, c.jobtype
LIMIT %(limit)s
"""
# step 0 is the first span after since.
TYPE: Final = f"""
SELECT floor(extract(epoch FROM c.starts_at - %(since)s) / %(span)s)::int AS step, {_NUMBERS}
FROM ({_COUNTED}) AS c
WHERE c.jobtype = %(jobtype)s
AND (%(queues)b::text[] IS NULL OR c.queue = ANY(%(queues)b::text[]))
GROUP BY step
ORDER BY step
"""
TYPE_QUEUES: Final = f"""
SELECT c.queue, sum(c.done)::bigint, sum(c.failed)::bigint
FROM ({_COUNTED}) AS c
WHERE c.jobtype = %(jobtype)s
AND (%(queues)b::text[] IS NULL OR c.queue = ANY(%(queues)b::text[]))
GROUP BY c.queue
ORDER BY c.queue
LIMIT 100
"""
