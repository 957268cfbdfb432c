"""Lanes: what puts jobs into the lanes (queue, rank) of their queues, as parts of statements."""

from __future__ import annotations

from typing import Final

# The lane of what a person wants to run next: above every priority.
FIRST_RANK: Final = 201
_FRESH: Final = "nextval('faktory_django_job_id_seq')"


def _into_lanes(source: str, *, rank: str, pos: str) -> str:
    """Return the CTEs that make the jobs of a CTE ready (id, queue, priority), in its order of ids.

    Ranks other than 0 are listed for the claim; idle workers hear of it.
    """
    return f"""
levels AS (
    INSERT INTO faktory_django_level (queue, rank)
    SELECT DISTINCT e.queue, {rank}
    FROM {source} e
    WHERE {rank} <> 0 AND NOT EXISTS (
        SELECT FROM faktory_django_level v WHERE v.queue = e.queue AND v.rank = {rank}
    )
), readied AS (
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
    SELECT e.queue, {rank}, {pos}, e.id
    FROM {source} e
    ORDER BY e.id
    RETURNING queue
), woken AS MATERIALIZED (
    SELECT faktory_django_wake_v1(array_agg(DISTINCT queue), count(*)::int)
    FROM readied
    HAVING count(*) > 0
)
"""


_KNOWN: Final = """
known AS (
    INSERT INTO faktory_django_queue (name)
    SELECT DISTINCT e.queue
    FROM entered e
    WHERE NOT EXISTS (SELECT FROM faktory_django_queue q WHERE q.name = e.queue)
    ORDER BY e.queue
    ON CONFLICT (name) DO NOTHING
), """
# Job rows that a CTE `entered` has just made, at their place.
READIED: Final = _KNOWN + _into_lanes("entered", rank="2 * e.priority", pos="e.id")
# Jobs of a CTE `entered` in front of their queues. A fresh pos, here and below, so that no
# watermark of a worker lies above it.
IN_FRONT: Final = _KNOWN + _into_lanes("entered", rank=str(FIRST_RANK), pos=_FRESH)
# Jobs of a CTE `back` that return enter next in line: rank + 1.
RETURNED: Final = _into_lanes("back", rank="2 * e.priority + 1", pos=_FRESH)
