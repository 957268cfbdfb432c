"""Lanes: what puts jobs into the lanes (queue, rank) of their queues, as parts of statements."""

from __future__ import annotations

from typing import Final

# The lane of what a person wants to run next: above every priority.
FIRST_RANK: Final = 201
# The lane of jobs that take turns by a key: of priority 0, so claims look at it and at rank 0 in
# either order. The number lies below every priority's, none is free between.
FAIR_RANK: Final = -201
# In lists of a queue, what waits for a limit comes last, as if this were its lane.
LIMITED_RANK: Final = -202
_FRESH: Final = "nextval('faktory_django_job_id_seq')"
# Jobs whose features say where they go: those that may have to wait, or that have turns.
PLACED: Final = "ARRAY['limit', 'fair']"


def _into_lanes(
    source: str, *, rank: str, pos: str, where: str = "", order: str = "", more: str = ""
) -> str:
    """Return the CTEs that make the jobs of a CTE ready (id, queue, priority).

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
    FROM {source} e{where}{order}
    RETURNING queue
), {more}woken AS MATERIALIZED (
    SELECT faktory_django_wake_v1(array_agg(DISTINCT queue), count(*)::int)
    FROM readied
    HAVING count(*) > 0
)
"""


# A statement that uses this has to read `placed`, or features do not place their jobs.
_PLACING: Final = f"""placed AS MATERIALIZED (
    SELECT faktory_django_place_v1(array_agg(e.id ORDER BY e.id), {{front}})
    FROM entered e
    WHERE e.traits ?| {PLACED}
    HAVING count(*) > 0
), """
_KNOWN: Final = """
known AS (
    INSERT INTO faktory_django_queue (name)
    SELECT DISTINCT e.queue
    FROM entered e
    WHERE NOT EXISTS (SELECT FROM faktory_django_queue q WHERE q.name = e.queue)
    ORDER BY e.queue
    ON CONFLICT (name) DO NOTHING
), """
_PLAIN: Final = f"\n    WHERE e.traits IS NULL OR NOT e.traits ?| {PLACED}"
# Job rows that a CTE `entered` has just made, at their place.
ENTERING: Final = _into_lanes(
    "entered",
    rank="2 * e.priority",
    pos="e.id",
    where=_PLAIN,
    more=_PLACING.format(front="false"),
)
READIED: Final = _KNOWN + ENTERING
# Jobs of a CTE `entered` in front of their queues. A fresh pos, here and below, so that no
# watermark of a worker lies above it.
_IN_ORDER: Final = "\n    ORDER BY e.id"
IN_FRONT: Final = _KNOWN + _into_lanes(
    "entered",
    rank=str(FIRST_RANK),
    pos=_FRESH,
    where=_PLAIN,
    order=_IN_ORDER,
    more=_PLACING.format(front="true"),
)
# Jobs of a CTE `back` that return enter next in line: rank + 1.
RETURNED: Final = _into_lanes("back", rank="2 * e.priority + 1", pos=_FRESH, order=_IN_ORDER)

# Where features put jobs that have just entered their queues, or whose turn is first (front).
PLACE_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_place_v1(ids bigint[], front boolean)
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    limited bigint[];
BEGIN
    -- those that have limits wait for them first
    SELECT coalesce(array_agg(j.id), '{{}}') INTO limited
    FROM faktory_django_job j
    WHERE j.id = ANY(ids) AND j.traits ? 'limit';
    IF cardinality(limited) > 0 THEN
        PERFORM faktory_django_limit_place_v1(limited, front);
        ids := ARRAY(SELECT i FROM unnest(ids) AS i WHERE i <> ALL(limited) ORDER BY i);
        IF cardinality(ids) = 0 THEN
            RETURN;
        END IF;
    END IF;
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
    SELECT j.queue, CASE WHEN front THEN {FIRST_RANK} ELSE 2 * j.priority END,
        CASE WHEN front THEN {_FRESH} ELSE j.id END, j.id
    FROM faktory_django_job j
    WHERE j.id = ANY(ids) AND (front OR j.priority <> 0 OR NOT j.traits ? 'fair')
    ORDER BY j.id;
    IF NOT front THEN
        PERFORM faktory_django_place_fair_v1(ARRAY(
            SELECT j.id
            FROM faktory_django_job j
            WHERE j.id = ANY(ids) AND j.priority = 0 AND j.traits ? 'fair'
        ));
    END IF;
    PERFORM faktory_django_wake_v1(
        ARRAY(SELECT DISTINCT j.queue FROM faktory_django_job j WHERE j.id = ANY(ids)),
        cardinality(ids)
    );
END
$$
"""
