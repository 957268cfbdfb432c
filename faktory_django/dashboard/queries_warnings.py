"""Queries for what is wrong. Each reads the heads of indexes, or tables that are small."""

from __future__ import annotations

from typing import Final

# In seconds, NULL for never: due jobs that nobody moves, counters that nobody adds up.
UPKEEP: Final = """
SELECT (
        SELECT extract(epoch FROM %(now)s - s.due_at)::float8
        FROM faktory_django_scheduledjob s ORDER BY s.due_at, s.id LIMIT 1
    ), (
        SELECT extract(epoch FROM %(now)s - r.due_at)::float8
        FROM faktory_django_retryjob r ORDER BY r.due_at, r.id LIMIT 1
    ), (
        SELECT extract(epoch FROM %(now)s - d.starts_at)::float8
        FROM faktory_django_counterdelta d ORDER BY d.id LIMIT 1
    )
"""
# Queues in which something waits that no live process of ours takes.
UNSERVED: Final = """
SELECT q.name, q.paused
FROM faktory_django_queue q
WHERE (EXISTS (SELECT FROM faktory_django_ready r WHERE r.queue = q.name)
    OR EXISTS (SELECT FROM faktory_django_limitedjob w WHERE w.queue = q.name))
AND (q.paused OR NOT EXISTS (
    SELECT FROM faktory_django_process p
    WHERE p.kind = 'python' AND p.state = 'running' AND q.name = ANY(p.queues)
))
ORDER BY q.name
LIMIT %(limit)s
"""
WORKERS: Final = """
SELECT count(*) FILTER (WHERE p.kind = 'python' AND p.state = 'running'),
    count(*) FILTER (WHERE p.kind = 'wire' AND p.state = 'running' AND p.connections > 0),
    coalesce(sum(p.concurrency) FILTER (WHERE p.kind = 'python' AND p.state = 'running'), 0)
FROM faktory_django_process p
"""
SILENT: Final = """
SELECT p.hostname, p.pid, extract(epoch FROM %(now)s - p.beat_at)::float8
FROM faktory_django_process p
WHERE p.kind <> 'wire' AND p.beat_at < %(now)s - %(late)s * interval '1 second'
ORDER BY p.beat_at, p.wid
LIMIT 1
"""
