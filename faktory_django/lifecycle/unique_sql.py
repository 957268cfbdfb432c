"""The functions of the database behind unique locks; lifecycle.unique calls them and others do.

Nothing here waits for anybody but a push, for a push with the same key that has not committed.
"""

from __future__ import annotations

from typing import Final

from faktory_django import payload
from faktory_django.features import unique

from .clock import RFC3339
from .lanes import FIRST_RANK

# What a client of the wire hears of a key that a push holds which does not come to an end.
BUSY: Final = "another transaction is pushing the same unique job; push it again later"

# Keys are taken in their order, first the free ones, then those whose time is over, so that two
# pushes never wait for each other. A lock that somebody holds is not touched: whoever ends its job
# must not wait for a long transaction of ours.
#
# Returns who has the key, for each job: NULL for a job that got it, or wants none, or has it from
# an earlier statement ("held"); '' when the holder has gone meanwhile.
TAKE_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_unique_take_v1(
    queues text[], jids text[], jobtypes text[], due_ats timestamptz[], traits jsonb[]
)
RETURNS text[] LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    keys text[];
    ends timestamptz[];
    untils text[];
    taken int;
BEGIN
    SELECT array_agg(p.said ->> 'key' ORDER BY p.nr),
        array_agg(
            coalesce(p.due_at, moment) + (p.said ->> 'for')::float8 * interval '1 s' ORDER BY p.nr
        ),
        array_agg(coalesce(p.said ->> 'until', 'success') ORDER BY p.nr)
    INTO keys, ends, untils
    FROM (
        SELECT t.nr, t.due_at,
            CASE WHEN NOT t.traits -> 'unique' ? 'held' THEN t.traits -> 'unique' END AS said
        FROM unnest(traits, due_ats) WITH ORDINALITY AS t(traits, due_at, nr)
    ) AS p;
    INSERT INTO faktory_django_uniquelock (key, jid, queue, jobtype, until, taken_at, expires_at)
    SELECT w.key, w.jid, w.queue, w.jobtype, w.until, moment, w.expires_at
    FROM (
        SELECT DISTINCT ON (p.key) p.*
        FROM unnest(keys, jids, queues, jobtypes, untils, ends) WITH ORDINALITY
            AS p(key, jid, queue, jobtype, until, expires_at, nr)
        WHERE p.key IS NOT NULL
        ORDER BY p.key, p.nr
    ) AS w
    ORDER BY w.key
    ON CONFLICT (key) DO NOTHING;
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken = cardinality(array_remove(keys, NULL)) THEN
        RETURN array_fill(NULL::text, ARRAY[cardinality(keys)]);
    END IF;
    WITH over AS MATERIALIZED (
        SELECT u.key
        FROM faktory_django_uniquelock u
        WHERE u.key = ANY(keys) AND u.expires_at <= moment
        ORDER BY u.key
        FOR UPDATE
    )
    UPDATE faktory_django_uniquelock u
    SET jid = w.jid, queue = w.queue, jobtype = w.jobtype, until = w.until, taken_at = moment,
        expires_at = w.expires_at
    FROM (
        SELECT DISTINCT ON (p.key) p.*
        FROM unnest(keys, jids, queues, jobtypes, untils, ends) WITH ORDINALITY
            AS p(key, jid, queue, jobtype, until, expires_at, nr)
        JOIN over o ON o.key = p.key
        ORDER BY p.key, p.nr
    ) AS w
    WHERE u.key = w.key;
    RETURN ARRAY(
        SELECT CASE WHEN p.key IS NULL OR (p.first AND u.jid = p.jid AND u.taken_at = moment)
            THEN NULL ELSE coalesce(u.jid, '') END
        FROM (
            SELECT k.*, row_number() OVER (PARTITION BY k.key ORDER BY k.nr) = 1 AS first
            FROM unnest(keys, jids) WITH ORDINALITY AS k(key, jid, nr)
        ) AS p
        LEFT JOIN faktory_django_uniquelock u ON u.key = p.key
        ORDER BY p.nr
    );
END
$$
"""

# Takes what is wanted, and waits for a push that has not committed no longer than patience; then it
# raises lock_not_available. With apart, for a statement that commits by itself and holds jobs of
# many, it tells then which are busy, and they harm no other.
LOCK_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_unique_lock_v1(
    queues text[], jids text[], jobtypes text[], due_ats timestamptz[], traits jsonb[],
    wanted boolean[], patience_ms int, apart boolean,
    OUT holders text[], OUT busy boolean[], OUT taken boolean[]
)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    before CONSTANT text := current_setting('lock_timeout');
    asked jsonb[] := traits;
    found text[];
    place int;
BEGIN
    IF false = ANY(wanted) THEN
        asked := ARRAY(
            SELECT CASE WHEN t.wanted THEN t.traits END
            FROM unnest(traits, wanted) WITH ORDINALITY AS t(traits, wanted, nr)
            ORDER BY t.nr
        );
    END IF;
    busy := array_fill(false, ARRAY[cardinality(jids)]);
    PERFORM set_config('lock_timeout', patience_ms::text, true);
    IF NOT apart THEN
        holders := faktory_django_unique_take_v1(queues, jids, jobtypes, due_ats, asked);
    ELSE
        BEGIN
            holders := faktory_django_unique_take_v1(queues, jids, jobtypes, due_ats, asked);
        EXCEPTION WHEN lock_not_available THEN
            holders := array_fill(NULL::text, ARRAY[cardinality(jids)]);
            PERFORM set_config('lock_timeout', '1', true);
            FOR place IN
                SELECT t.nr
                FROM unnest(asked) WITH ORDINALITY AS t(traits, nr)
                WHERE t.traits ? 'unique'
                ORDER BY t.traits #>> '{unique,key}', t.nr
            LOOP
                BEGIN
                    found := faktory_django_unique_take_v1(
                        queues[place : place], jids[place : place], jobtypes[place : place],
                        due_ats[place : place], asked[place : place]);
                    holders[place] := found[1];
                EXCEPTION WHEN lock_not_available THEN
                    busy[place] := true;
                END;
            END LOOP;
        END;
    END IF;
    PERFORM set_config('lock_timeout', before, true);
    IF true = ANY(busy) OR cardinality(array_remove(holders, NULL)) > 0 THEN
        taken := ARRAY(
            SELECT h.wanted AND h.holder IS NULL AND NOT h.busy
            FROM unnest(holders, busy, wanted) WITH ORDINALITY AS h(holder, busy, wanted, nr)
            ORDER BY h.nr
        );
    ELSE
        taken := wanted;
    END IF;
END
$$
"""

# Traits as they are stored: that a lock was taken by an earlier statement is of no use any more.
PLAIN_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_unique_plain_v1(traits jsonb[])
RETURNS jsonb[] LANGUAGE plpgsql IMMUTABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(traits) AS t(traits) WHERE t.traits -> 'unique' ? 'held') THEN
        RETURN traits;
    END IF;
    RETURN ARRAY(
        SELECT t.traits #- '{unique,held}'
        FROM unnest(traits) WITH ORDINALITY AS t(traits, nr)
        ORDER BY t.nr
    );
END
$$
"""

# A body with the arguments of another of its kind: of what it says itself, all else stays as it is
# written. PostgreSQL reads no JSON with a NUL in it, so that is something else meanwhile.
RENEWED_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_unique_renewed_v1(old text, new text, due_at timestamptz)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    nul CONSTANT text := '\\u0000';
    no_nul CONSTANT text := '\\ufdd0\\ufdd1\\ufdd2';
    before CONSTANT json := replace(old, nul, no_nul);
    after CONSTANT json := replace(new, nul, no_nul);
    mark CONSTANT text := after -> 'custom' -> '{payload.MARK}';
    customs text;
BEGIN
    -- how Python's arguments are to be read is noted there
    IF mark IS DISTINCT FROM (before -> 'custom' -> '{payload.MARK}')::text THEN
        SELECT '{{' || string_agg(e.part, ',' ORDER BY e.nr) || '}}'
        INTO customs
        FROM (
            SELECT c.nr, to_json(c.key)::text || ':' || c.value::text AS part
            FROM json_each(before -> 'custom') WITH ORDINALITY AS c(key, value, nr)
            WHERE c.key <> '{payload.MARK}'
            UNION ALL
            SELECT 0, '"{payload.MARK}":' || mark
            WHERE mark IS NOT NULL
        ) AS e;
    END IF;
    RETURN (
        SELECT replace(replace('{{' || string_agg(
            to_json(e.key)::text || ':' || CASE e.key
                WHEN 'args' THEN (after -> 'args')::text
                WHEN 'custom' THEN coalesce(customs, e.value::text)
                WHEN 'at' THEN coalesce('"' || {RFC3339.format("due_at")} || '"', e.value::text)
                ELSE e.value::text
            END, ',' ORDER BY e.nr
        ) || '}}', no_nul, nul), U&'\\FDD0\\FDD1\\FDD2', nul)
        FROM json_each(before) WITH ORDINALITY AS e(key, value, nr)
    );
END
$$
"""

# What a push did not store renews the job that stands for it, while nobody has it in hand. Where
# the job is, is locked first: what ends a job passes a lock of ours over. Nothing is waited for.
#
# Returns for each what became of it: 'replaced', 'debounced', or NULL: somebody works on it.
RENEW_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_unique_renew_v1(
    holders text[], bodies text[], due_ats timestamptz[], traits jsonb[]
)
RETURNS text[] LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    done text[] := array_fill(NULL::text, ARRAY[cardinality(holders)]);
    place int;
    said jsonb;
    kept jsonb;
    found bigint;
    later timestamptz;
BEGIN
    FOR place IN
        SELECT t.nr
        FROM unnest(holders, traits) WITH ORDINALITY AS t(holder, traits, nr)
        WHERE t.holder <> '' AND t.traits #>> '{{unique,or}}' IN ('replace', 'debounce')
        ORDER BY t.nr
    LOOP
        said := traits[place] -> 'unique';
        later := CASE WHEN said ->> 'or' = 'debounce' THEN coalesce(due_ats[place], moment) END;
        -- when it expires is told anew
        kept := CASE WHEN traits[place] ? 'expires_at'
            THEN jsonb_build_object('expires_at', traits[place] -> 'expires_at') ELSE '{{}}' END;

        SELECT s.id INTO found
        FROM faktory_django_scheduledjob s
        WHERE s.jid = holders[place] AND s.traits #>> '{{unique,key}}' = said ->> 'key'
        ORDER BY s.id
        LIMIT 1
        FOR UPDATE SKIP LOCKED;
        IF found IS NOT NULL THEN
            UPDATE faktory_django_scheduledjob s
            SET body = faktory_django_unique_renewed_v1(s.body, bodies[place], later),
                traits = s.traits || kept, due_at = coalesce(later, s.due_at)
            WHERE s.id = found;
            IF later IS NOT NULL THEN
                UPDATE faktory_django_uniquelock u
                SET expires_at = later + (said ->> 'for')::float8 * interval '1 s'
                WHERE u.key = (
                    SELECT l.key
                    FROM faktory_django_uniquelock l
                    WHERE l.key = said ->> 'key' AND l.jid = holders[place]
                    FOR UPDATE SKIP LOCKED
                );
            END IF;
            done[place] := CASE WHEN later IS NULL THEN 'replaced' ELSE 'debounced' END;
            CONTINUE;
        END IF;

        -- it waits in its queue: its entry is the proof that nobody has claimed it
        SELECT j.id INTO found
        FROM faktory_django_job j
        JOIN faktory_django_ready r
            ON r.queue = j.queue AND r.rank = 2 * j.priority AND r.pos = j.id
        WHERE j.jid = holders[place] AND j.traits #>> '{{unique,key}}' = said ->> 'key'
        ORDER BY j.id
        LIMIT 1
        FOR UPDATE OF r SKIP LOCKED;
        IF found IS NULL THEN
            -- or has come back to it, or was put elsewhere in it
            SELECT j.id INTO found
            FROM faktory_django_job j
            JOIN faktory_django_ready r ON r.queue = j.queue AND r.job_id = j.id
                AND r.rank IN (2 * j.priority, 2 * j.priority + 1, {FIRST_RANK})
            WHERE j.jid = holders[place] AND j.traits #>> '{{unique,key}}' = said ->> 'key'
            AND NOT EXISTS (SELECT FROM faktory_django_lease l WHERE l.ids @> ARRAY[j.id])
            ORDER BY j.id
            LIMIT 1
            FOR UPDATE OF r SKIP LOCKED;
        END IF;
        IF found IS NOT NULL THEN
            UPDATE faktory_django_job j
            SET body = faktory_django_unique_renewed_v1(j.body, bodies[place], NULL),
                traits = j.traits || kept
            WHERE j.id = found;
            done[place] := 'replaced';
            CONTINUE;
        END IF;

        SELECT e.id INTO found
        FROM faktory_django_retryjob e
        WHERE e.jid = holders[place] AND e.traits #>> '{{unique,key}}' = said ->> 'key'
        ORDER BY e.id
        LIMIT 1
        FOR UPDATE SKIP LOCKED;
        IF found IS NOT NULL THEN
            UPDATE faktory_django_retryjob e
            SET body = faktory_django_unique_renewed_v1(e.body, bodies[place], NULL),
                traits = e.traits || kept
            WHERE e.id = found;
            done[place] := 'replaced';
        END IF;
    END LOOP;
    RETURN done;
END
$$
"""

# What is said of jobs that a push did not store, in the order of their places.
DUPLICATES_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_unique_duplicates_v1(
    holders text[], busy boolean[], bodies text[], due_ats timestamptz[], traits jsonb[]
)
RETURNS TABLE (place int, code text, message text, other text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    renewed CONSTANT text[] := faktory_django_unique_renew_v1(holders, bodies, due_ats, traits);
BEGIN
    RETURN QUERY
    SELECT d.nr::int - 1,
        CASE WHEN d.busy THEN 'ERR' WHEN d.became IS NULL THEN '{unique.CODE}' ELSE '' END,
        CASE WHEN d.busy THEN '{BUSY}' ELSE coalesce(d.became, '{unique.REFUSED}') END,
        nullif(d.holder, '')
    FROM (
        SELECT t.*, CASE WHEN t.holder <> '' AND t.traits #>> '{{unique,or}}' = '{unique.EXISTING}'
            THEN '{unique.EXISTING}' ELSE t.renewed END AS became
        FROM unnest(holders, busy, renewed, traits) WITH ORDINALITY
            AS t(holder, busy, renewed, traits, nr)
    ) AS d
    WHERE d.holder IS NOT NULL OR d.busy
    ORDER BY d.nr;
END
$$
"""

# Passed over, not waited for: what another has locked is being taken from a job whose time is
# over, or freed by hand.
UNLOCK_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_unique_unlock_v1(jids text[], traits jsonb[])
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH mine AS MATERIALIZED (
        SELECT u.key
        FROM unnest(jids, traits) AS e(jid, traits)
        JOIN faktory_django_uniquelock u ON u.key = e.traits #>> '{unique,key}' AND u.jid = e.jid
        ORDER BY u.key
        FOR UPDATE OF u SKIP LOCKED
    )
    DELETE FROM faktory_django_uniquelock u
    WHERE u.key = ANY(ARRAY(SELECT key FROM mine));
END
$$
"""

FUNCTIONS: Final = (
    TAKE_FUNCTION,
    LOCK_FUNCTION,
    PLAIN_FUNCTION,
    RENEWED_FUNCTION,
    RENEW_FUNCTION,
    DUPLICATES_FUNCTION,
    UNLOCK_FUNCTION,
)
