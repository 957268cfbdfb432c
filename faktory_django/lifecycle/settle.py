"""Settle: what features do when a job of theirs ends, or when its fate changes.

Every statement that ends jobs settles those that have traits; plain jobs are passed over.
"""

from __future__ import annotations

from typing import Final

# Parallel arrays, a job each. outcomes: done, retry, dead, failed (it may not be retried),
# discarded, expired, cancelled, snooze, purged (it was dead for too long). notes: what the worker
# says of the run, NULL when nothing.
SETTLE_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_settle_v1(
    ids bigint[], jids text[], queues text[], jobtypes text[], enqueued_ats timestamptz[],
    bodies text[], failures text[], traits jsonb[], outcomes text[], notes jsonb[]
)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- a PERFORM for each feature, in lock order
    PERFORM faktory_django_settle_batches_v1(jids, failures, traits, outcomes, notes);
    PERFORM faktory_django_limit_release_v1(ids, traits);
    PERFORM faktory_django_unique_unlock_v1(array_agg(e.jid), array_agg(e.traits))
    FROM unnest(jids, traits, outcomes) AS e(jid, traits, outcome)
    WHERE e.traits ? 'unique' AND e.outcome NOT IN ('retry', 'dead', 'snooze')
    HAVING count(*) > 0;
    IF EXISTS (SELECT FROM unnest(traits) AS t(held) WHERE t.held ? 'keep') THEN
        PERFORM faktory_django_keep_v1(
            jids, queues, jobtypes, enqueued_ats, bodies, failures, traits, outcomes, notes);
    END IF;
END
$$
"""


# Entries of sets have numbers of their own, which may be those of other jobs.
OF_A_SET: Final = "NULL::bigint"


def settled(
    source: str,
    *,
    outcome: str,
    failure: str = "e.failure",
    note: str = "NULL::jsonb",
    key: str = "e.id",
    name: str = "settled",
) -> str:
    """Return a CTE for the jobs of another one, whose rows are called e in what is given.

    The statement has to read it, or it is not run. The CTE has the columns of a job; key is that of
    its job row, OF_A_SET where it has none.
    """
    return f"""
{name} AS MATERIALIZED (
    SELECT faktory_django_settle_v1(
        array_agg({key} ORDER BY e.id), array_agg(e.jid ORDER BY e.id),
        array_agg(e.queue ORDER BY e.id), array_agg(e.jobtype ORDER BY e.id),
        array_agg(e.enqueued_at ORDER BY e.id),
        -- large, and read of what is kept alone
        array_agg(CASE WHEN e.traits ? 'keep' THEN e.body END ORDER BY e.id),
        array_agg({failure} ORDER BY e.id), array_agg(e.traits ORDER BY e.id),
        array_agg(({outcome})::text ORDER BY e.id), array_agg({note} ORDER BY e.id)
    )
    FROM {source} e
    WHERE e.traits IS NOT NULL
    HAVING count(*) > 0
)
"""


# Ends jobs that succeeded, in the hands of whoever has locked their lease; returns how many.
END_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_end_v1(
    ended_ids bigint[], note_ids bigint[], note_texts text[]
)
RETURNS int LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ended int;
BEGIN
    WITH gone AS (
        DELETE FROM faktory_django_job j
        WHERE j.id = ANY(ended_ids)
        RETURNING j.id, j.jid, j.queue, j.jobtype, j.enqueued_at, j.failure, j.traits,
            CASE WHEN j.traits ? 'keep' THEN j.body END AS body,
            note_texts[array_position(note_ids, j.id)]::jsonb AS note
    ), {settled("gone", outcome="'done'", note="e.note")}
    SELECT count(*) + 0 * (SELECT count(*) FROM settled)
    INTO ended
    FROM gone;
    RETURN ended;
END
$$
"""
