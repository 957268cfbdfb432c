"""Fairness: jobs that have a key get a virtual time for their place, in a lane of their own.

Nothing is counted and nothing locked: where the lane is, and where the last job of a key stands, is
read from the entries that wait. The claim takes the lane by place, as it takes any other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from faktory_django.features.fairness import ROUND, START_BITS, TIE_BITS

from .connection import database, execute
from .lanes import FAIR_RANK

# How long a session goes on from where it found the head before it looks from the beginning again,
# past the dead entries of what was claimed.
HINT_SECONDS: Final = 1.0

# The virtual time of the first job that waits; of an empty lane, what the ids have come to. The
# session remembers it under a name of the queue's, so that a push of one job is a probe.
FAIR_NOW_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_fair_now_v1(lane text, id bigint)
RETURNS bigint LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    name text := 'faktory_django.fair_' || (hashtext(lane)::bigint & 4294967295);
    told text[] := string_to_array(current_setting(name, true), ' ');
    moment float8 := extract(epoch FROM clock_timestamp());
    looked float8;
    lower bigint := 0;
    head bigint;
BEGIN
    IF told[1] = lane AND told[2]::float8 > moment - {HINT_SECONDS} THEN
        looked := told[2];
        lower := told[3];
    END IF;
    SELECT r.pos INTO head
    FROM faktory_django_ready r
    WHERE r.queue = lane AND r.rank = {FAIR_RANK} AND r.pos >= lower
    ORDER BY r.pos
    LIMIT 1;
    IF head IS NULL AND lower > 0 THEN
        looked := NULL;
        SELECT r.pos INTO head
        FROM faktory_django_ready r
        WHERE r.queue = lane AND r.rank = {FAIR_RANK} AND r.pos >= 0
        ORDER BY r.pos
        LIMIT 1;
    END IF;
    IF head IS NULL THEN
        RETURN mod(id, {2**START_BITS}) * {ROUND};
    END IF;
    IF looked IS NULL OR head <> lower THEN
        PERFORM set_config(
            name, lane || ' ' || coalesce(looked, moment) || ' ' || head, false);
    END IF;
    RETURN head >> {TIE_BITS};
END
$$
"""

# Those of one key follow each other at its stride, the first of them behind the last that waits.
# One of which nothing waits comes a stride behind the head, just before those that do: it waits for
# one job of each other key, and who comes again when its job has been served gets no more.
# A place that is taken, by a job of the same moment and the same last bits, is passed over.
PLACE_FAIR_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_place_fair_v1(ids bigint[])
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    lane record;
    moment bigint;
    todo bigint[];
    bump int;
BEGIN
    FOR lane IN
        SELECT j.queue, array_agg(j.id ORDER BY j.id) AS ids
        FROM faktory_django_job j
        WHERE j.id = ANY(faktory_django_place_fair_v1.ids)
        GROUP BY j.queue
        ORDER BY j.queue
    LOOP
        IF NOT EXISTS (
            SELECT FROM faktory_django_level v
            WHERE v.queue = lane.queue AND v.rank = {FAIR_RANK}
        ) THEN
            INSERT INTO faktory_django_level (queue, rank) VALUES (lane.queue, {FAIR_RANK});
        END IF;
        moment := faktory_django_fair_now_v1(lane.queue, lane.ids[1]);
        todo := lane.ids;
        bump := 0;
        WHILE todo IS NOT NULL LOOP
            WITH given AS MATERIALIZED (
                SELECT j.id, j.traits #>> '{{fair,key}}' AS key, greatest(1, floor(
                    {ROUND} / coalesce((j.traits #>> '{{fair,weight}}')::float8, 1) + 0.5
                )::bigint) AS stride
                FROM faktory_django_job j
                WHERE j.id = ANY(todo)
            ), lasts AS MATERIALIZED (
                SELECT k.key, coalesce((
                    SELECT r.pos >> {TIE_BITS}
                    FROM faktory_django_ready r
                    WHERE r.queue = lane.queue AND r.fair_key = k.key
                    AND r.pos >= moment << {TIE_BITS}
                    ORDER BY r.pos DESC
                    LIMIT 1
                ), moment - 1) + bump AS last
                FROM (SELECT DISTINCT g.key FROM given g) AS k
            ), placed AS (
                INSERT INTO faktory_django_ready (queue, rank, pos, job_id, fair_key)
                SELECT lane.queue, {FAIR_RANK}, ((
                    l.last + sum(g.stride) OVER (PARTITION BY g.key ORDER BY g.id)::bigint
                ) << {TIE_BITS}) | (g.id & {2**TIE_BITS - 1}), g.id, g.key
                FROM given g
                JOIN lasts l ON l.key = g.key
                ORDER BY g.id
                ON CONFLICT (queue, rank, pos) DO NOTHING
                RETURNING job_id
            )
            SELECT array_agg(g.id)
            INTO todo
            FROM given g
            WHERE NOT EXISTS (SELECT FROM placed p WHERE p.job_id = g.id);
            bump := bump + 1;
        END LOOP;
    END LOOP;
END
$$
"""

# Those that have waited longest, whichever key they have: a bounded look at a queue of any size.
WAITING: Final = """
SELECT w.fair_key, count(*), count(*) OVER (), (sum(count(*)) OVER ())::int
FROM (
    SELECT r.fair_key
    FROM faktory_django_ready r
    WHERE r.queue = %(queue)s AND r.fair_key IS NOT NULL
    ORDER BY r.job_id
    LIMIT %(window)s
) AS w
GROUP BY w.fair_key
ORDER BY count(*) DESC, w.fair_key
LIMIT %(limit)s
"""


class Waiting(NamedTuple):
    """The keys with most jobs among those that have waited longest: (key, jobs), and in all."""

    most: list[tuple[str, int]]
    keys: int = 0
    jobs: int = 0


def waiting(
    queue: str, *, limit: int = 10, window: int = 10_000, using: str | None = None
) -> Waiting:
    """Return whose jobs wait in a queue, looking at no more than window of them."""
    params = {"queue": queue, "limit": limit, "window": window}
    rows = execute(database(using), WAITING, params)
    if not rows:
        return Waiting([])
    return Waiting([(key, jobs) for key, jobs, _, _ in rows], rows[0][2], rows[0][3])
