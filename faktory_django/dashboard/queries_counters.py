"""Queries over the counters: what happened by the minute and by the day."""

from __future__ import annotations

from typing import Final

# Minutes of the last hour by queue; deltas that maintenance has not added up yet are in it.
# step 0 is the minute that has begun.
MINUTES: Final = """
SELECT c.queue, (extract(epoch FROM date_trunc('minute', %(now)s) - c.starts_at) / 60)::int,
    sum(c.pushed)::bigint, sum(c.done)::bigint, sum(c.failed)::bigint
FROM (
    SELECT m.queue, m.starts_at, m.pushed, m.done, m.failed
    FROM faktory_django_counter m
    WHERE m.resolution = 60 AND m.starts_at > %(now)s - interval '60 minutes'
    AND m.starts_at <= %(now)s
    UNION ALL
    SELECT d.queue, d.starts_at, d.pushed, d.done, d.failed
    FROM faktory_django_counterdelta d
    WHERE d.starts_at > %(now)s - interval '60 minutes' AND d.starts_at <= %(now)s
) AS c
GROUP BY c.queue, c.starts_at
"""
# Days, in UTC. step 0 is today.
DAYS: Final = """
SELECT c.step, sum(c.done)::bigint, sum(c.failed)::bigint
FROM (
    SELECT m.done, m.failed,
        (extract(epoch FROM date_trunc('day', %(now)s, 'UTC') - m.starts_at) / 86400)::int AS step
    FROM faktory_django_counter m
    WHERE m.resolution = 86400 AND m.starts_at > %(now)s - %(days)s * interval '24 hours'
    UNION ALL
    SELECT d.done, d.failed, (extract(epoch FROM date_trunc('day', %(now)s, 'UTC')
        - date_trunc('day', d.starts_at, 'UTC')) / 86400)::int
    FROM faktory_django_counterdelta d
) AS c
WHERE c.step >= 0 AND c.step < %(days)s
GROUP BY c.step
ORDER BY c.step
"""
