"""Push of jobs that have traits: features may refuse a job, and say where it goes.

Plain jobs that are pushed together with such jobs go this way too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django.features import unique

from .clock import RFC3339
from .lanes import ENTERING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Parallel arrays, a job each; due_ats are set for jobs that are to be scheduled. A feature that
# refuses jobs says so in a row each, and makes their place in `stored` false.
PUSH_TRAITS_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_push_traits_v1(
    queues text[], priorities smallint[], jids text[], jobtypes text[], reserve_fors int[],
    bodies text[], failures text[], ats timestamptz[], delays float8[], traits jsonb[],
    wake boolean, patience_ms int, apart boolean
)
RETURNS TABLE (place int, code text, message text, other text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    stamp CONSTANT text := '{{"created_at":"' || {RFC3339.format("moment")} || '",';
    due_ats timestamptz[];
    stored boolean[] := array_fill(true, ARRAY[cardinality(jids)]);
    entered_queues text[];
    holders text[];
    busy boolean[];
    batched boolean;
    kept_out record;
BEGIN
    -- a time that has come by the database's clock means now
    SELECT array_agg(
        nullif(greatest(coalesce(p.at, moment + p.delay * interval '1 s'), moment), moment)
        ORDER BY p.nr
    )
    INTO due_ats
    FROM unnest(ats, delays) WITH ORDINALITY AS p(at, delay, nr);
    traits := faktory_django_expiry_v1(traits, due_ats, moment);
    batched := EXISTS (SELECT FROM unnest(traits) AS t(traits) WHERE t.traits ? 'bid');
    IF batched THEN
        FOR kept_out IN SELECT * FROM faktory_django_refuse_batched_v1(traits) LOOP
            stored[kept_out.nr] := false;
            place := kept_out.nr - 1;
            code := 'BATCH';
            message := kept_out.message;
            RETURN NEXT;
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM unnest(traits) AS t(traits) WHERE t.traits ? 'unique') THEN
        -- the last that may refuse: no job that another feature has refused takes a lock
        SELECT l.holders, l.busy, l.taken
        INTO holders, busy, stored
        FROM faktory_django_unique_lock_v1(
            queues, jids, jobtypes, due_ats, traits, stored, patience_ms, apart) AS l;
        traits := faktory_django_unique_plain_v1(traits);
    END IF;
    -- only those count in their batches that are let in
    IF batched THEN
        PERFORM faktory_django_join_batches_v1(traits, stored);
    END IF;

    WITH given AS MATERIALIZED (
        SELECT p.*, CASE WHEN p.body ^@ '{{"created_at":' THEN p.body
            ELSE stamp || substr(p.body, 2) END AS stamped
        FROM unnest(
                queues, priorities, jids, jobtypes, reserve_fors, bodies, failures, delays,
                due_ats, traits, stored
            ) WITH ORDINALITY
            AS p(queue, priority, jid, jobtype, reserve_for, body, failure, delay, due_at, traits,
                stored, place)
    ), complete AS MATERIALIZED (
        SELECT queue, priority, jid, jobtype, reserve_for, failure, due_at, traits, place,
            CASE WHEN delay IS NULL THEN stamped
            ELSE overlay(
                stamped PLACING
                    ',"at":"' || {RFC3339.format("coalesce(due_at, moment)")} || '",'
                FROM strpos(stamped, '",') + 1 FOR 1
            ) END AS body
        FROM given
        WHERE stored
    ), scheduled AS (
        INSERT INTO faktory_django_scheduledjob
            (queue, priority, jid, jobtype, reserve_for, body, failure, traits, due_at)
        SELECT queue, priority, jid, jobtype, reserve_for, body, failure, traits, due_at
        FROM complete
        WHERE due_at IS NOT NULL
        ORDER BY place
    ), entered AS (
        INSERT INTO faktory_django_job
            (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits)
        SELECT queue, priority, jid, jobtype, moment, reserve_for, body, failure, traits
        FROM complete
        WHERE due_at IS NULL
        ORDER BY place
        RETURNING id, queue, priority, traits
    ), counted AS (
        INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, pushed)
        SELECT date_trunc('minute', moment), queue, jobtype, count(*)
        FROM complete
        GROUP BY queue, jobtype
    ), {ENTERING}
    SELECT array_agg(DISTINCT e.queue)
    INTO entered_queues
    FROM entered e
    CROSS JOIN (SELECT count(*) FROM placed) AS p;

    -- where nobody waits for the rest of a transaction, the queue is known and heard of at once
    IF wake AND entered_queues IS NOT NULL THEN
        INSERT INTO faktory_django_queue (name)
        SELECT DISTINCT q.name
        FROM unnest(entered_queues) AS q(name)
        WHERE NOT EXISTS (SELECT FROM faktory_django_queue k WHERE k.name = q.name)
        ORDER BY q.name
        ON CONFLICT (name) DO NOTHING;
        PERFORM faktory_django_wake_v1(entered_queues, cardinality(queues));
    END IF;

    IF holders IS NOT NULL AND false = ANY(stored) THEN
        -- when the rest is stored: a job may stand for a later one of the same push
        RETURN QUERY
        SELECT d.place, d.code, d.message, d.other
        FROM faktory_django_unique_duplicates_v1(holders, busy, bodies, due_ats, traits) AS d;
    END IF;
END
$$
"""

PUSH_TRAITS: Final = """
SELECT *
FROM faktory_django_push_traits_v1(
    %b::text[], %b::smallint[], %b::text[], %b::text[], %b::int[], %b::text[], %b::text[],
    %b::timestamptz[], %b::float8[], %b::text[]::jsonb[], %b, %b, %b)
"""


class Refusal(NamedTuple):
    """A job that a feature did not let in: the code and the words of the protocol's error.

    place is that of the job in its push; other is the jid of the job that stands for it, if there
    is one. Without a code it is no error: message is the word for what became of it.
    """

    place: int
    code: str
    message: str
    other: str | None = None

    @property
    def words(self) -> str:
        """What a client of the wire hears; a code of the protocol's own stands in front."""
        return f"{self.code} {self.message}" if self.code == unique.CODE else self.message


def refusals(rows: Sequence[tuple[Any, ...]]) -> list[Refusal]:
    """Return what a push of whatever kind refused, from the rows of its statement."""
    return [Refusal(*row) for row in rows if len(row) == len(Refusal._fields)]
