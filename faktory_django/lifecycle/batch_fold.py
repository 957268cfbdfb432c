"""Fold: the deltas of a batch are added up, and what follows from them is pushed, exactly once.

All of it is one transaction that has locked the row of the batch; the columns of state decide.
Who has ended jobs folds their batches soon after his commit; what a process leaves that dies in
between, and what nobody else folds, the upkeep finds within a second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from django.db import DatabaseError, InterfaceError, OperationalError

from .connection import execute

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

# Pushes jobs that were made ready when the batch was; returns the jids of those that a feature
# did not let in.
_PUSH_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_push_callbacks_v1(jobs jsonb, what text, result text)
RETURNS text[] LANGUAGE sql AS $$
SELECT coalesce(array_agg(a.jids[r.place + 1]), '{}')
FROM (
    SELECT array_agg(j.queue ORDER BY p.nr) AS queues,
        array_agg(j.priority ORDER BY p.nr) AS priorities,
        array_agg(j.jid ORDER BY p.nr) AS jids, array_agg(j.jobtype ORDER BY p.nr) AS jobtypes,
        array_agg(j.reserve_for ORDER BY p.nr) AS reserves,
        array_agg(
            CASE WHEN what IS NULL THEN j.body ELSE replace(j.body, what, result) END
            ORDER BY p.nr
        ) AS bodies,
        array_agg(NULL::text) AS failures, array_agg(j.at ORDER BY p.nr) AS ats,
        array_agg(j.delay ORDER BY p.nr) AS delays, array_agg(j.traits ORDER BY p.nr) AS traits
    FROM jsonb_array_elements(jobs) WITH ORDINALITY AS p(job, nr)
    CROSS JOIN LATERAL jsonb_to_record(p.job) AS j(
        queue text, priority smallint, jid text, jobtype text, reserve_for int, body text,
        at timestamptz, delay float8, traits jsonb
    )
) AS a
CROSS JOIN LATERAL faktory_django_push_traits_v1(
    a.queues, a.priorities, a.jids, a.jobtypes, a.reserves, a.bodies, a.failures, a.ats,
    -- a lock of a unique job that is held up for a second: the fold is left for later
    a.delays, a.traits, true, 1000, false
) AS r
$$
"""

# Pushes one of them, if there is one. Returns what has become of it: a callback that there is not,
# or that is not let in, is not waited for.
_PUSH_ONE_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_push_callback_v1(job jsonb)
RETURNS text LANGUAGE sql AS $$
SELECT CASE WHEN job IS NULL THEN '2'
WHEN cardinality(
    faktory_django_push_callbacks_v1(jsonb_build_array(job), NULL, NULL)
) > 0 THEN '2'
ELSE '1' END
$$
"""

# Returns the batches that somebody else has locked: they are to be folded again.
#
# With fast nobody waits for the disk: a fold that is lost with the server leaves its deltas, and
# what it has pushed was lost with it. Not so in a transaction of somebody else.
#
# Skipped, not waited for: an application may have a batch open in a long transaction. A fold goes
# from a child to its parent, never down.
FOLD_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_fold_batches_v1(bids text[], fast boolean)
RETURNS text[] LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    todo text[] := bids;
    busy text[] := '{}';
    one text;
    b faktory_django_batch;
    before faktory_django_batch;
    d record;
    following jsonb;
    results text;
    unrun int;
BEGIN
    IF fast THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    WHILE cardinality(todo) > 0 LOOP
        one := todo[1];
        todo := todo[2:];
        SELECT * INTO b
        FROM faktory_django_batch x
        WHERE x.bid = one
        FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            -- the deltas of a batch that is forgotten lead nowhere
            DELETE FROM faktory_django_batchdelta x
            WHERE x.bid = one
            AND NOT EXISTS (SELECT FROM faktory_django_batch y WHERE y.bid = one);
            IF EXISTS (SELECT FROM faktory_django_batchdelta x WHERE x.bid = one) THEN
                busy := busy || one;
            END IF;
            CONTINUE;
        END IF;
        before := b;

        -- a statement of its own: it sees what was committed while the lock was waited for
        WITH gone AS (
            DELETE FROM faktory_django_batchdelta x WHERE x.bid = one RETURNING x.*
        )
        SELECT coalesce(sum(g.total), 0)::int AS total,
            coalesce(sum(g.executed), 0)::int AS executed, coalesce(sum(g.done), 0)::int AS done,
            coalesce(sum(g.failed), 0)::int AS failed,
            coalesce(sum(g.discarded), 0)::int AS discarded,
            coalesce(sum(g.lost), 0)::int AS lost, coalesce(sum(g.deaths), 0)::int AS deaths,
            coalesce(sum(g.killed), 0)::int AS killed,
            coalesce(sum(g.children), 0)::int AS children,
            coalesce(sum(g.children_complete), 0)::int AS children_complete,
            coalesce(sum(g.children_success), 0)::int AS children_success,
            coalesce(array_agg(g.callback) FILTER (WHERE g.callback <> ''), '{}') AS callbacks
        INTO d
        FROM gone g;
        b.total := b.total + d.total;
        b.executed := b.executed + d.executed;
        b.done := b.done + d.done;
        b.failed := b.failed + d.failed;
        b.discarded := b.discarded + d.discarded;
        b.lost := b.lost + d.lost;
        b.deaths := b.deaths + d.deaths;
        b.killed := b.killed + d.killed;
        b.children := b.children + d.children;
        b.children_complete := b.children_complete + d.children_complete;
        b.children_success := b.children_success + d.children_success;
        -- a callback that has ended, however it did, is not waited for any more
        IF b.complete_st = '1' AND b.complete ->> 'jid' = ANY(d.callbacks) THEN
            b.complete_st := '2';
        END IF;
        IF b.success_st = '1' AND b.success ->> 'jid' = ANY(d.callbacks) THEN
            b.success_st := '2';
        END IF;
        IF b.dead_st = '1' AND b.dead ->> 'jid' = ANY(d.callbacks) THEN
            b.dead_st := '2';
        END IF;

        IF b.cancelled_at IS NULL AND b.deaths > 0 AND b.dead_st = '' THEN
            b.dead_st := faktory_django_push_callback_v1(b.dead);
        END IF;

        IF b.cancelled_at IS NULL AND b.committed_at IS NOT NULL AND b.opens = 0 THEN
            IF jsonb_array_length(coalesce(b.steps, '[]')) > 0 THEN
                IF b.done + b.discarded >= b.total AND b.children_success >= b.children THEN
                    following := b.steps -> 0;
                    IF following ->> 'takes' IS NOT NULL THEN
                        SELECT CASE WHEN (following ->> 'list')::boolean
                            THEN '[' || string_agg(coalesce(r.result, 'null'), ',' ORDER BY n.nr)
                                || ']'
                            ELSE coalesce(min(r.result), 'null') END
                        INTO results
                        FROM generate_series(0, (following ->> 'of')::int - 1) AS n(nr)
                        LEFT JOIN LATERAL (
                            SELECT x.result
                            FROM faktory_django_batchresult x
                            WHERE x.bid = one AND x.step = b.step AND x.nr = n.nr
                            ORDER BY x.id DESC
                            LIMIT 1
                        ) AS r ON true;
                        DELETE FROM faktory_django_batchresult x
                        WHERE x.bid = one AND x.step <= b.step;
                    END IF;
                    PERFORM faktory_django_push_callbacks_v1(
                        following -> 'jobs', following ->> 'takes', results);
                    b.steps := b.steps - 0;
                    b.step := b.step + 1;
                    -- its jobs are counted as deltas, of those that were let in
                    todo := one || todo;
                END IF;
            ELSE
                IF b.complete_st = '' AND b.children_complete >= b.children THEN
                    unrun := 0;
                    IF b.killed > 0 AND b.executed < b.total THEN
                        SELECT count(*) INTO unrun
                        FROM faktory_django_deadjob x
                        WHERE x.traits ->> 'bid' = one AND x.traits ? 'bid'
                        AND x.failure IS NULL;
                    END IF;
                    IF b.executed + unrun >= b.total THEN
                        b.complete_st := faktory_django_push_callback_v1(b.complete);
                    END IF;
                END IF;
                IF b.complete_st = '2' AND b.success_st = ''
                AND b.done + b.discarded >= b.total AND b.children_success >= b.children THEN
                    b.success_st := faktory_django_push_callback_v1(b.success);
                END IF;
            END IF;
        END IF;

        IF b.parent_bid <> '' AND b.cancelled_at IS NULL
        AND (b.complete_st, b.success_st) IS DISTINCT FROM (before.complete_st, before.success_st)
        AND '2' IN (b.complete_st, b.success_st) THEN
            INSERT INTO faktory_django_batchdelta (bid, children_complete, children_success)
            VALUES (
                b.parent_bid,
                (b.complete_st = '2' AND before.complete_st <> '2')::int,
                (b.success_st = '2' AND before.success_st <> '2')::int
            );
            todo := todo || b.parent_bid;
        END IF;
        IF b.success_st = '2' AND b.ended_at IS NULL THEN
            b.ended_at := clock_timestamp();
        END IF;
        IF b IS DISTINCT FROM before THEN
            UPDATE faktory_django_batch x
            SET total = b.total, executed = b.executed, done = b.done, failed = b.failed,
                discarded = b.discarded, lost = b.lost, deaths = b.deaths, killed = b.killed,
                children = b.children, children_complete = b.children_complete,
                children_success = b.children_success, complete_st = b.complete_st,
                success_st = b.success_st, dead_st = b.dead_st, steps = b.steps, step = b.step,
                ended_at = b.ended_at, changed_at = clock_timestamp()
            WHERE x.id = b.id;
        END IF;
    END LOOP;
    RETURN busy;
END
$$
"""
FUNCTIONS: Final = (_PUSH_FUNCTION, _PUSH_ONE_FUNCTION, FOLD_FUNCTION)

FOLD: Final = "SELECT faktory_django_fold_batches_v1(%(bids)b::text[], %(fast)b)"
# In the order of their ids: in an index that is emptied from its front.
DIRTY: Final = """
SELECT DISTINCT d.bid
FROM (SELECT d.bid FROM faktory_django_batchdelta d ORDER BY d.id LIMIT %(limit)s) AS d
ORDER BY d.bid
"""
# Deltas that are looked at in one round.
PAGE: Final = 1_000


def fold(connection: BaseDatabaseWrapper, bids: Collection[str]) -> list[str]:
    """Add up what was counted of batches, and push what follows; return those to fold again.

    Others hold those: an application that adds jobs, or another fold.
    """
    if not bids:
        return []
    params = {"bids": sorted(bids), "fast": not connection.in_atomic_block}
    return list(execute(connection, FOLD, params)[0][0])


def fold_all(connection: BaseDatabaseWrapper) -> list[str]:
    """Fold whatever was counted and not folded; return what has to be folded again."""
    found = [row[0] for row in execute(connection, DIRTY, {"limit": PAGE})]
    return fold_each(connection, found)


def fold_each(connection: BaseDatabaseWrapper, bids: Collection[str]) -> list[str]:
    """Fold batches; one that cannot be is logged and harms no other.

    Raises OperationalError or InterfaceError when the database has gone.
    """
    try:
        return fold(connection, bids)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as wrong:
        if len(bids) == 1:
            logger.error("batch %s cannot be folded: %s", *bids, wrong)
            return []
        return [busy for bid in sorted(bids) for busy in fold_each(connection, [bid])]
