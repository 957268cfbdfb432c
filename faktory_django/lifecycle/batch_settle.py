"""Batches at push and at the end of a job: a delta is written, and nobody waits for anybody.

The row of a batch would be the hottest there is, so only a fold writes it (batch_fold.py). What
ends the last jobs of a batch at one moment are different statements: each appends what it has
counted, and whoever folds after the last commit finds all of it.
"""

from __future__ import annotations

from typing import Final

# Why jobs may not join the batches that they name; nr is their place. A batch that is committed
# takes jobs from its own jobs only, and those say so: one that runs keeps it from ending.
REFUSE_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_refuse_batched_v1(traits jsonb[])
RETURNS TABLE (nr int, message text) LANGUAGE sql STABLE AS $$
SELECT g.nr::int, CASE
    WHEN b.bid IS NULL THEN 'No such batch ' || (g.traits ->> 'bid')
    WHEN b.cancelled_at IS NOT NULL THEN 'batch ' || b.bid || ' is cancelled'
    ELSE 'batch ' || b.bid || ' is committed: open it to add jobs'
END
FROM unnest(traits) WITH ORDINALITY AS g(traits, nr)
LEFT JOIN faktory_django_batch b ON b.bid = g.traits ->> 'bid'
WHERE g.traits ? 'bid' AND (
    b.bid IS NULL
    OR b.cancelled_at IS NOT NULL
    OR (b.opens = 0 AND NOT (g.traits ? 'bid_by' AND b.complete_st = ''))
)
ORDER BY g.nr
$$
"""

# For the jobs that are stored.
JOIN_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_join_batches_v1(traits jsonb[], stored boolean[])
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO faktory_django_batchdelta (bid, total)
    SELECT g.traits ->> 'bid', count(*)
    FROM unnest(traits, stored) AS g(traits, stored)
    WHERE g.traits ? 'bid' AND g.stored
    GROUP BY g.traits ->> 'bid'
    ORDER BY g.traits ->> 'bid';
END
$$
"""

# Each job counts as executed once. A first run that fails leaves a row, which the end of the job
# takes away; a job that ends without such a row was run the first time. One that is killed unrun
# has no failure, and counts as executed as long as it is dead: the fold looks for it.
#
# discarded, expired, cancelled: somebody has decided that nobody waits for the job. failed: it
# may not be retried and is gone; purged: it was dead for too long. Both are lost to success.
SETTLE_BATCHES_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_settle_batches_v1(
    jids text[], failures text[], traits jsonb[], outcomes text[], notes jsonb[]
)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    members boolean;
    callbacks boolean;
    steps boolean;
BEGIN
    SELECT bool_or(t ? 'bid'), bool_or(t ? 'callback'), bool_or(t ? 'step')
    INTO members, callbacks, steps
    FROM unnest(traits) AS t;

    IF callbacks THEN
        INSERT INTO faktory_django_batchdelta (bid, callback)
        SELECT DISTINCT g.traits ->> 'callback', g.jid
        FROM unnest(jids, traits, outcomes) AS g(jid, traits, outcome)
        WHERE g.traits ? 'callback' AND g.outcome NOT IN ('retry', 'dead', 'snooze')
        ORDER BY 1, 2;
    END IF;
    IF NOT members THEN
        RETURN;
    END IF;

    WITH given AS MATERIALIZED (
        SELECT g.traits ->> 'bid' AS bid, g.jid, g.outcome,
            g.outcome IN ('done', 'discarded', 'expired', 'cancelled') AS ended,
            g.outcome IN ('retry', 'failed', 'purged')
            OR (g.outcome = 'dead' AND g.failure IS NOT NULL) AS fails
        FROM unnest(jids, failures, traits, outcomes) AS g(jid, failure, traits, outcome)
        WHERE g.traits ? 'bid' AND g.outcome <> 'snooze'
    ), failing AS (
        INSERT INTO faktory_django_batchfailure (bid, jid)
        SELECT DISTINCT g.bid, g.jid
        FROM given g
        WHERE g.fails
        ORDER BY g.bid, g.jid
        ON CONFLICT (bid, jid) DO NOTHING
        RETURNING bid
    ), recovered AS (
        DELETE FROM faktory_django_batchfailure f
        USING given g
        WHERE g.ended AND f.bid = g.bid AND f.jid = g.jid
        -- one look for all, instead of one for each, where nothing has failed
        AND (SELECT EXISTS (
            SELECT
            FROM faktory_django_batchfailure x
            WHERE x.bid = ANY(ARRAY(SELECT DISTINCT y.bid FROM given y))
        ))
        RETURNING f.bid
    ), counts AS (
        SELECT g.bid,
            count(*) FILTER (WHERE g.ended) AS executed,
            count(*) FILTER (WHERE g.outcome = 'done') AS done,
            0 AS failed,
            count(*) FILTER (WHERE g.ended AND g.outcome <> 'done') AS discarded,
            count(*) FILTER (WHERE g.outcome IN ('failed', 'purged')) AS lost,
            count(*) FILTER (WHERE g.outcome IN ('failed', 'dead')) AS deaths,
            count(*) FILTER (WHERE g.outcome = 'dead' AND NOT g.fails) AS killed
        FROM given g
        GROUP BY g.bid
        UNION ALL
        SELECT f.bid, count(*), 0, count(*), 0, 0, 0, 0 FROM failing f GROUP BY f.bid
        UNION ALL
        SELECT r.bid, -count(*), 0, -count(*), 0, 0, 0, 0 FROM recovered r GROUP BY r.bid
    )
    INSERT INTO faktory_django_batchdelta
        (bid, executed, done, failed, discarded, lost, deaths, killed)
    SELECT c.bid, sum(c.executed), sum(c.done), sum(c.failed), sum(c.discarded), sum(c.lost),
        sum(c.deaths), sum(c.killed)
    FROM counts c
    GROUP BY c.bid
    ORDER BY c.bid;

    IF steps THEN
        INSERT INTO faktory_django_batchresult (bid, step, nr, result)
        SELECT g.traits ->> 'bid', (g.traits -> 'step' ->> 0)::int, (g.traits -> 'step' ->> 1)::int,
            g.note ->> 'result'
        FROM unnest(traits, outcomes, notes) AS g(traits, outcome, note)
        WHERE g.traits ? 'step' AND g.outcome = 'done' AND g.note ? 'result'
        -- a token is of no use to the next step
        AND NOT coalesce((g.note ->> 'mark')::jsonb ? 'encrypted', false)
        ORDER BY 1, 2, 3;
    END IF;
END
$$
"""
FUNCTIONS: Final = (REFUSE_FUNCTION, JOIN_FUNCTION, SETTLE_BATCHES_FUNCTION)
