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
# Days, in UTC, whether maintenance has folded their minutes or not. step 0 is today. A range of the
# index for each day: to reckon the day of each of many minutes would cost five times as much.
DAYS: Final = """
WITH day AS (
    SELECT d.step, date_trunc('day', clock_timestamp(), 'UTC') - d.step * interval '24 hours' AS at
    FROM generate_series(0, %(days)s::int - 1) AS d(step)
)
SELECT day.at, day.step, coalesce(sum(c.done), 0)::bigint, coalesce(sum(c.failed), 0)::bigint
FROM day
LEFT JOIN (
    SELECT day.step, m.done, m.failed
    FROM day
    CROSS JOIN (VALUES (60), (86400)) AS r(resolution)
    CROSS JOIN LATERAL (
        SELECT sum(b.done) AS done, sum(b.failed) AS failed
        FROM faktory_django_counter b
        WHERE b.resolution = r.resolution
        AND b.starts_at >= day.at AND b.starts_at < day.at + interval '24 hours'
    ) AS m
    UNION ALL
    SELECT day.step, d.done, d.failed
    FROM day
    JOIN faktory_django_counterdelta d ON date_trunc('day', d.starts_at, 'UTC') = day.at
) AS c USING (step)
GROUP BY day.at, day.step
ORDER BY day.step DESC
"""
# All that was done up to the hour before this one. It stays as it is, but for what is folded late.
SETTLED: Final = """
SELECT hour.at, coalesce(sum(c.done), 0)::bigint, coalesce(sum(c.failed), 0)::bigint
FROM (SELECT date_trunc('hour', clock_timestamp()) - interval '1 hour' AS at) AS hour
LEFT JOIN faktory_django_counter c ON c.starts_at < hour.at
GROUP BY hour.at
"""
# All that was done since.
RECENT: Final = """
SELECT coalesce(sum(c.done), 0)::bigint, coalesce(sum(c.failed), 0)::bigint
FROM (
    SELECT b.done, b.failed
    FROM faktory_django_counter b
    WHERE b.resolution IN (60, 86400) AND b.starts_at >= %(since)s
    UNION ALL
    SELECT d.done, d.failed FROM faktory_django_counterdelta d
) AS c
"""
