"""Queries of the page of processes and what they run."""

from __future__ import annotations

from typing import Final

# A process after another one in the order of hosts; the table is as small as a fleet.
PROCESSES: Final = """
SELECT p.wid, p.kind, p.hostname, p.pid, p.labels, p.queues, p.version, p.concurrency, p.state,
    p.started_at, p.beat_at, p.connections, p.rss_kb, p.running,
    (SELECT coalesce(sum(cardinality(l.ids)), 0) FROM faktory_django_lease l WHERE l.wid = p.wid)
FROM faktory_django_process p
WHERE %(after)s = '' OR (p.hostname, p.pid, p.wid) > (
    SELECT a.hostname, a.pid, a.wid FROM faktory_django_process a WHERE a.wid = %(after)s
)
ORDER BY p.hostname, p.pid, p.wid
LIMIT %(limit)s
"""
# What clients of the wire hold: the reservations that end first.
RESERVED: Final = """
SELECT i.id, l.wid, coalesce(p.hostname || ':' || p.pid, l.wid), l.claimed_at, l.expires_at
FROM (
    SELECT l.ids, l.wid, l.claimed_at, l.expires_at, l.id
    FROM faktory_django_lease l
    WHERE l.expires_at IS NOT NULL
    ORDER BY l.expires_at, l.id
    LIMIT %(limit)s
) AS l
CROSS JOIN LATERAL unnest(l.ids) AS i(id)
LEFT JOIN faktory_django_process p ON p.wid = l.wid
ORDER BY l.expires_at, l.id, i.id
LIMIT %(limit)s
"""
# A text that is too long to be read for a list is left out.
JOBS: Final = """
SELECT j.id, j.jid, j.jobtype, j.queue, j.reserve_for,
    CASE WHEN octet_length(j.body) <= %(longest)s THEN j.body END, t.percent, t.description,
    EXISTS (SELECT FROM faktory_django_cancel c WHERE c.job_id = j.id)
FROM faktory_django_job j
LEFT JOIN faktory_django_track t ON t.jid = j.jid
WHERE j.id = ANY(%(ids)b::bigint[])
"""
