"""Queries over the counters: what happened by the minute and by the day."""

from __future__ import annotations

from typing import Final

# Minutes of the last hour by queue; deltas that maintenance has not added up yet are in it.
# step 0 is the minute that has begun.
MINUTES: Final = """
SELECT c.queue, c.step, sum(c.pushed)::bigint, sum(c.done)::bigint, sum(c.failed)::bigint
FROM (
    SELECT m.queue, m.pushed, m.done, m.failed,
        (extract(epoch FROM date_trunc('minute', %(now)s) - m.starts_at) / 60)::int AS step
    FROM faktory_django_counter m
    WHERE m.resolution = 60 AND m.starts_at > %(now)s - interval '61 minutes'
    UNION ALL
    SELECT d.queue, d.pushed, d.done, d.failed,
        (extract(epoch FROM date_trunc('minute', %(now)s) - d.starts_at) / 60)::int
    FROM faktory_django_counterdelta d
    WHERE d.starts_at > %(now)s - interval '61 minutes'
) AS c
WHERE c.step BETWEEN 0 AND 59
GROUP BY c.queue, c.step
ORDER BY c.queue, c.step
"""
# Days, in UTC, as maintenance folds them. step 0 is today.
DAYS: Final = """
SELECT c.step, sum(c.done)::bigint, sum(c.failed)::bigint
FROM (
    SELECT b.done, b.failed, today.at::date - (b.starts_at AT TIME ZONE 'UTC')::date AS step
    FROM faktory_django_counter b
    CROSS JOIN (SELECT %(now)s AT TIME ZONE 'UTC' AS at) AS today
    WHERE b.resolution IN (60, 86400) AND b.starts_at > %(now)s - %(days)s * interval '1 day'
    UNION ALL
    SELECT d.done, d.failed, today.at::date - (d.starts_at AT TIME ZONE 'UTC')::date
    FROM faktory_django_counterdelta d
    CROSS JOIN (SELECT %(now)s AT TIME ZONE 'UTC' AS at) AS today
) AS c
WHERE c.step BETWEEN 0 AND %(days)s - 1
GROUP BY c.step
ORDER BY c.step
"""
