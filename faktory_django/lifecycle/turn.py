"""One turn of a worker: ends the jobs that are done and claims the next, in one round trip.

The verbs ack and fetch are its two ends. Rules: docs/explanation/storage.md.
"""

from __future__ import annotations

from typing import Final

# Lock order, here and everywhere: lease, then job rows by id, then ready.
#
# Acks come per lease. ends[i]: the rest of the lease is done, deleting it is the fence and says
# which jobs; else the next counts[i] of ids are, while the lease stands. Counters of a lease are
# kept only if it ended all that it said, so a job is counted by the process that ended it.
#
# The claim walks lanes (queue, rank) in order, each above the caller's watermark, and stops when
# it has wanted jobs. Below the watermark lie late commits, and the dead index entries that make a
# look slow. With sweep it looks from 0, also when it would fill up without: a late commit must not
# wait for the end of a backlog.
#
# The lane of fair jobs (lanes.FAIR_RANK) and that of the plain ones of priority 0 take turns, by
# chance: neither keeps the other from running.
#
# In a throttled queue each job has a lease of its own that names the queue: those that stand are
# the permits in use, counted while the throttle's row is locked. So a permit comes back with its
# lease, however that ends. Somebody else is at the row: the queue is passed over, and contended
# says so. There no more jobs are claimed than can start at once (startable).
TURN_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_turn_v1(
    leases bigint[], ends boolean[], counts int[], ids bigint[],
    counted_leases int[], counted_queues text[], counted_jobtypes text[], dones int[],
    waits int[], runs int[], buckets int,
    holder text, wanted int, queues text[],
    lane_queues text[], lane_ranks smallint[], lane_afters bigint[],
    sweep boolean, waiting boolean, fast boolean, wids text[],
    traited boolean[], note_ids bigint[], note_texts text[], startable int
)
RETURNS TABLE (
    id bigint, lease bigint, queue text, rank smallint, pos bigint, crashes smallint,
    enqueued float8, failure text, body text, traits text, acked int[], moment float8,
    sweep_ms float8, registered boolean, place int, contended boolean
)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    n int;
    done_ids int := 0;
    missing int := wanted;
    lanes_q text[];
    lanes_r smallint[];
    lanes_a bigint[];
    lanes_t boolean[];
    got bigint[] := '{}';
    got_q text[] := '{}';
    got_r smallint[] := '{}';
    got_p bigint[] := '{}';
    entries tid[];
    some_ids bigint[];
    some_pos bigint[];
    lease_id bigint;
    done bigint[];
    counted int[] := '{}';
    fair_level float4 := CASE WHEN random() < 0.5 THEN 0.5 ELSE -0.5 END;
    started timestamptz;
    freed text;
    freed_queues text[] := '{}';
    throttled text;
    granted record;
    room int;
    held bigint[] := '{}';
    held_queues text[] := '{}';
    held_leases bigint[];
    rest bigint[];
    placed bigint[] := '{}';
    places int[] := '{}';
    open_places int[];
BEGIN
    -- A lost claim is only fetched again, so a claim alone need not wait for the disk.
    IF fast OR cardinality(leases) = 0 THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    FOR i IN 1 .. cardinality(leases) LOOP
        IF traited[i] THEN
            -- features have a word in it
            IF ends[i] THEN
                DELETE FROM faktory_django_lease l
                WHERE l.id = leases[i]
                RETURNING l.ids, l.queue INTO done, freed;
            ELSE
                done := ids[done_ids + 1 : done_ids + counts[i]];
                PERFORM FROM faktory_django_lease l WHERE l.id = leases[i] FOR KEY SHARE;
                IF NOT FOUND THEN
                    done := '{}';
                END IF;
            END IF;
            n := faktory_django_end_v1(done, note_ids, note_texts);
        ELSIF ends[i] THEN
            DELETE FROM faktory_django_lease l
            WHERE l.id = leases[i]
            RETURNING l.ids, l.queue INTO done, freed;
            DELETE FROM faktory_django_job j WHERE j.id = ANY(done);
        ELSE
            DELETE FROM faktory_django_job j
            WHERE j.id = ANY(ids[done_ids + 1 : done_ids + counts[i]])
            AND EXISTS (
                SELECT FROM faktory_django_lease l WHERE l.id = leases[i] FOR KEY SHARE
            );
        END IF;
        IF NOT traited[i] THEN
            GET DIAGNOSTICS n = ROW_COUNT;
        END IF;
        counted := counted || n;
        IF NOT ends[i] THEN
            done_ids := done_ids + counts[i];
        ELSIF freed IS NOT NULL THEN
            freed_queues := freed_queues || freed;
        END IF;
    END LOOP;
    IF cardinality(counted_leases) > 0 THEN
        INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, done, waits, runs)
        SELECT date_trunc('minute', clock_timestamp()), c.queue, c.jobtype, c.done,
            waits[(c.nr - 1) * buckets + 1 : c.nr * buckets],
            runs[(c.nr - 1) * buckets + 1 : c.nr * buckets]
        FROM unnest(counted_leases, counted_queues, counted_jobtypes, dones)
            WITH ORDINALITY AS c(lease, queue, jobtype, done, nr)
        WHERE counted[c.lease] = counts[c.lease];
    END IF;

    registered := waiting;
    contended := false;
    IF wanted > 0 THEN
        SELECT array_agg(q.queue ORDER BY q.nr, l.level DESC),
            array_agg(l.rank ORDER BY q.nr, l.level DESC),
            array_agg(coalesce(w.after, 0) ORDER BY q.nr, l.level DESC),
            array_agg(t.queue IS NOT NULL ORDER BY q.nr, l.level DESC)
        INTO lanes_q, lanes_r, lanes_a, lanes_t
        FROM unnest(queues) WITH ORDINALITY AS q(queue, nr)
        CROSS JOIN LATERAL (
            SELECT 0::smallint AS rank, 0::float4 AS level
            UNION
            SELECT v.rank, CASE v.rank WHEN -201 THEN fair_level ELSE v.rank END
            FROM faktory_django_level v
            WHERE v.queue = q.queue
        ) AS l
        LEFT JOIN unnest(lane_queues, lane_ranks, lane_afters) AS w(queue, rank, after)
            ON w.queue = q.queue AND w.rank = l.rank
        LEFT JOIN faktory_django_throttle t ON t.queue = q.queue
        WHERE NOT EXISTS (
            SELECT FROM faktory_django_queue p WHERE p.name = q.queue AND p.paused
        );
        started := clock_timestamp();
        FOR i IN 1 .. coalesce(cardinality(lanes_q), 0) LOOP
            room := missing;
            IF lanes_t[i] THEN
                IF lanes_q[i] IS DISTINCT FROM throttled THEN
                    throttled := lanes_q[i];
                    SELECT * INTO granted FROM faktory_django_permits_v1(
                        throttled, coalesce(wids, array_fill(holder, ARRAY[wanted])), places);
                    contended := contended OR granted.contended;
                END IF;
                room := least(missing, granted.permits, startable - cardinality(got));
                CONTINUE WHEN room <= 0;
            END IF;
            -- ARRAY(...) so that LIMIT and SKIP LOCKED are evaluated once
            entries := ARRAY(
                SELECT r.ctid
                FROM faktory_django_ready r
                WHERE r.queue = lanes_q[i] AND r.rank = lanes_r[i]
                AND r.pos > CASE WHEN sweep THEN 0 ELSE lanes_a[i] END
                ORDER BY r.pos
                LIMIT room
                FOR UPDATE SKIP LOCKED
            );
            IF cardinality(entries) > 0 THEN
                WITH taken AS (
                    DELETE FROM faktory_django_ready r
                    WHERE r.ctid = ANY(entries)
                    RETURNING r.job_id, r.pos
                )
                SELECT array_agg(t.job_id ORDER BY t.pos), array_agg(t.pos ORDER BY t.pos)
                INTO some_ids, some_pos
                FROM taken t;
                n := cardinality(some_ids);
                got := got || some_ids;
                got_p := got_p || some_pos;
                got_q := got_q || array_fill(lanes_q[i], ARRAY[n]);
                got_r := got_r || array_fill(lanes_r[i], ARRAY[n]);
                missing := missing - n;
                IF lanes_t[i] THEN
                    held := held || some_ids;
                    held_queues := held_queues || array_fill(throttled, ARRAY[n]);
                    granted.permits := granted.permits - n;
                    IF granted.places IS NOT NULL AND wids IS NOT NULL THEN
                        placed := placed || some_ids;
                        places := places || granted.places[1 : n];
                        granted.places := granted.places[n + 1 :];
                    END IF;
                END IF;
                EXIT WHEN missing <= 0;
            END IF;
        END LOOP;
        IF sweep THEN
            sweep_ms := 1000 * extract(epoch FROM clock_timestamp() - started);
        END IF;

        -- Registered while it has room and finds nothing; then it claims once more and waits.
        IF missing > 0 AND NOT waiting THEN
            INSERT INTO faktory_django_waiter AS w (wid, queues) VALUES (holder, queues)
            ON CONFLICT (wid) DO UPDATE SET queues = excluded.queues;
            registered := true;
        ELSIF missing <= 0 AND waiting THEN
            DELETE FROM faktory_django_waiter w WHERE w.wid = holder;
            registered := false;
        END IF;

        IF cardinality(got) > 0 AND wids IS NOT NULL THEN
            -- the wire: one job a lease, which ends by itself and is found by its jid; the n-th
            -- job that there is, for an entry may have none, is for the n-th wid that no throttle
            -- has chosen
            IF cardinality(places) > 0 THEN
                open_places := ARRAY(
                    SELECT p FROM generate_series(1, wanted) AS p WHERE p <> ALL(places) ORDER BY p
                );
            END IF;
            RETURN QUERY
            WITH dealt AS MATERIALIZED (
                SELECT j.id, j.jid, j.reserve_for, g.nr, CASE WHEN j.id = ANY(held) THEN g.queue END
                    AS queue, coalesce(
                        places[array_position(placed, j.id)],
                        open_places[row_number() OVER among_open],
                        row_number() OVER among_open
                    )::int AS place
                FROM unnest(got, got_q) WITH ORDINALITY AS g(id, queue, nr)
                JOIN faktory_django_job j ON j.id = g.id
                WINDOW among_open AS (PARTITION BY j.id = ANY(placed) ORDER BY g.nr)
            ), leased AS (
                INSERT INTO faktory_django_lease AS l
                    (wid, server, claimed_at, expires_at, ids, jid, queue)
                SELECT wids[d.place], holder, clock_timestamp(),
                    clock_timestamp() + d.reserve_for * interval '1 s', ARRAY[d.id], d.jid, d.queue
                FROM dealt d
                ORDER BY d.nr
                RETURNING l.id, l.ids[1] AS job_id
            )
            SELECT j.id, l.id, g.queue, g.rank, g.pos, j.crashes,
                extract(epoch FROM j.enqueued_at)::float8, j.failure, j.body, j.traits::text,
                NULL::int[], NULL::float8, NULL::float8, NULL::boolean, d.place, NULL::boolean
            FROM unnest(got, got_q, got_r, got_p) WITH ORDINALITY AS g(id, queue, rank, pos, nr)
            JOIN leased l ON l.job_id = g.id
            JOIN dealt d ON d.id = g.id
            JOIN faktory_django_job j ON j.id = g.id
            ORDER BY g.nr;
        ELSIF cardinality(got) > 0 THEN
            rest := got;
            IF cardinality(held) > 0 THEN
                WITH leased AS (
                    INSERT INTO faktory_django_lease AS l (wid, claimed_at, ids, queue)
                    SELECT holder, clock_timestamp(), ARRAY[j.id], h.queue
                    FROM unnest(held, held_queues) WITH ORDINALITY AS h(id, queue, nr)
                    JOIN faktory_django_job j ON j.id = h.id
                    ORDER BY h.nr
                    RETURNING l.id, l.ids[1] AS job_id
                )
                SELECT array_agg(l.id ORDER BY l.id), array_agg(l.job_id ORDER BY l.id)
                INTO held_leases, some_ids
                FROM leased l;
                rest := ARRAY(
                    SELECT g.id
                    FROM unnest(got) WITH ORDINALITY AS g(id, nr)
                    WHERE g.id <> ALL(held)
                    ORDER BY g.nr
                );
            END IF;
            IF cardinality(rest) > 0 THEN
                INSERT INTO faktory_django_lease AS l (wid, claimed_at, ids)
                VALUES (holder, clock_timestamp(), rest)
                RETURNING l.id INTO lease_id;
            END IF;
            -- an entry without a job row is one whose job was discarded
            RETURN QUERY
            SELECT j.id, CASE WHEN held_leases IS NULL THEN lease_id ELSE
                    coalesce(held_leases[array_position(some_ids, j.id)], lease_id) END,
                g.queue, g.rank, g.pos, j.crashes,
                extract(epoch FROM j.enqueued_at)::float8, j.failure, j.body, j.traits::text,
                NULL::int[], NULL::float8, NULL::float8, NULL::boolean, NULL::int, NULL::boolean
            FROM unnest(got, got_q, got_r, got_p) WITH ORDINALITY AS g(id, queue, rank, pos, nr)
            JOIN faktory_django_job j ON j.id = g.id
            ORDER BY g.nr;
        END IF;
    END IF;
    IF cardinality(freed_queues) > 0 THEN
        -- what this turn has not taken itself is for another who waits
        SELECT array_agg(f.queue) INTO freed_queues
        FROM (
            SELECT unnest(freed_queues) AS queue
            EXCEPT ALL
            SELECT unnest(held_queues)
        ) AS f;
        IF freed_queues IS NOT NULL THEN
            PERFORM faktory_django_wake_v1(freed_queues, cardinality(freed_queues));
        END IF;
    END IF;
    id := NULL;
    lease := lease_id;
    acked := counted;
    moment := extract(epoch FROM clock_timestamp());
    RETURN NEXT;
END
$$
"""

# Of a job first, then of the turn.
_COLUMNS: Final = """
SELECT id, lease, queue, rank, pos, crashes, enqueued, failure, body, traits, place,
    acked, moment, sweep_ms, registered, contended
"""
TURN: Final = (
    _COLUMNS
    + """FROM faktory_django_turn_v1(
    %(leases)b::bigint[], %(ends)b::boolean[], %(counts)b::int[], %(ids)b::bigint[],
    %(counted_leases)b::int[], %(counted_queues)b::text[], %(counted_jobtypes)b::text[],
    %(dones)b::int[], %(waits)b::int[], %(runs)b::int[], %(buckets)b::int,
    %(holder)b::text, %(wanted)b::int, %(queues)b::text[],
    %(lane_queues)b::text[], %(lane_ranks)b::smallint[], %(lane_afters)b::bigint[],
    %(sweep)b, %(waiting)b, %(fast)b, NULL,
    %(traited)b::boolean[], %(note_ids)b::bigint[], %(notes)b::text[], %(startable)b::int)
"""
)

# For the wire: it acks by jid and registers for all who wait, so this only claims.
CLAIM_EACH: Final = (
    _COLUMNS
    + """FROM faktory_django_turn_v1(
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 0,
    %(holder)b::text, %(wanted)b::int, %(queues)b::text[],
    %(lane_queues)b::text[], %(lane_ranks)b::smallint[], %(lane_afters)b::bigint[],
    %(sweep)b, true, false, %(wids)b::text[], '{}', '{}', '{}', %(wanted)b::int)
"""
)
