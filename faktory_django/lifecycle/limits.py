"""Limits per key: jobs wait for slots and rates outside of their queues, and are let in.

A push takes no slot and no lock. After its commit the pusher admits; who ends a job passes its
slot on in the same transaction; a chore admits what was missed. Rules: docs/explanation/storage.md.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from faktory_django.features.limits import MARK

from .connection import database, execute
from .lanes import FIRST_RANK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

_PLANS: Final = """SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan"""
# One at a time makes slots of a key: what it counts cannot grow meanwhile.
_LOCK: Final = "hashtextextended('faktory_django_limit.' || current_schema() || '.' || {key}, 0)"
# Those that ask for a lock wait for it in the order of keys; one transaction takes so many.
KEYS_AT_A_TIME: Final = 100

# Job rows that have just been made, or come back from a set, wait for the first of their limits.
PLACE_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_limit_place_v1(ids bigint[], front boolean)
RETURNS void LANGUAGE plpgsql {_PLANS} AS $$
BEGIN
    INSERT INTO faktory_django_limitedjob
        (job_id, key, queue, rank, allowed, per_seconds, rest, since)
    SELECT j.id, s.stage ->> 'k', j.queue,
        CASE WHEN front THEN {FIRST_RANK} ELSE 2 * j.priority END,
        (s.stage ->> 'n')::int, (s.stage ->> 'per')::float8,
        nullif((j.traits -> 'limit') - 0, '[]'), clock_timestamp()
    FROM faktory_django_job j
    CROSS JOIN LATERAL (SELECT j.traits -> 'limit' -> 0 AS stage) AS s
    WHERE j.id = ANY(ids) AND s.stage IS NOT NULL
    ORDER BY j.id;
END
$$
"""

# What has been let go by one limit waits for the next, or enters its queue: at its own place when
# it has hardly waited, else next in line. Returns the keys of the next limits.
GO_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_limit_go_v1(
    ids bigint[], queues text[], ranks smallint[], rests jsonb[], sinces timestamptz[]
)
RETURNS text[] LANGUAGE plpgsql {_PLANS} AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    next_keys text[];
    heard text[];
    n int;
BEGIN
    WITH onward AS (
        INSERT INTO faktory_django_limitedjob
            (job_id, key, queue, rank, allowed, per_seconds, rest, since)
        SELECT g.id, g.rest -> 0 ->> 'k', g.queue, g.rank, (g.rest -> 0 ->> 'n')::int,
            (g.rest -> 0 ->> 'per')::float8, nullif(g.rest - 0, '[]'), g.since
        FROM unnest(ids, queues, ranks, rests, sinces) AS g(id, queue, rank, rest, since)
        WHERE g.rest IS NOT NULL
        ORDER BY g.id
        RETURNING key
    )
    SELECT coalesce(array_agg(DISTINCT key), '{{}}') INTO next_keys FROM onward;
    WITH going AS MATERIALIZED (
        SELECT g.id, g.queue, w.waited, g.rank AS line,
            CASE WHEN w.waited THEN g.rank | 1::smallint ELSE g.rank END AS rank
        FROM unnest(ids, queues, ranks, rests, sinces) AS g(id, queue, rank, rest, since)
        CROSS JOIN LATERAL (
            SELECT mod(g.rank, 2) <> 0 OR g.since < moment - interval '1 s' AS waited
        ) AS w
        WHERE g.rest IS NULL
    ), levels AS (
        INSERT INTO faktory_django_level (queue, rank)
        SELECT DISTINCT r.queue, r.rank
        FROM going r
        WHERE r.rank <> 0 AND NOT EXISTS (
            SELECT FROM faktory_django_level v WHERE v.queue = r.queue AND v.rank = r.rank
        )
    ), readied AS (
        INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
        SELECT r.queue, r.rank,
            CASE WHEN r.waited THEN nextval('faktory_django_job_id_seq') ELSE r.id END, r.id
        FROM (SELECT * FROM going ORDER BY line DESC, id) AS r
        RETURNING queue
    )
    SELECT count(*), array_agg(DISTINCT queue) INTO n, heard FROM readied;
    IF n > 0 THEN
        PERFORM faktory_django_wake_v1(heard, n);
    END IF;
    RETURN next_keys;
END
$$
"""

# The key's lock is held. Jobs of one key may bring other limits: each goes by its own, in line.
ADMIT_KEY_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_admit_key_v1(
    wanted text, OUT admitted int, OUT next_keys text[]
)
LANGUAGE plpgsql {_PLANS} AS $$
DECLARE
    head record;
    room int;
    going record;
    n int;
BEGIN
    admitted := 0;
    next_keys := '{{}}';
    LOOP
        SELECT w.allowed, w.per_seconds INTO head
        FROM faktory_django_limitedjob w
        WHERE w.key = wanted
        ORDER BY w.rank DESC, w.job_id
        LIMIT 1;
        EXIT WHEN NOT FOUND;
        IF head.per_seconds IS NULL THEN
            SELECT head.allowed - count(*) INTO room
            FROM faktory_django_limitslot s
            WHERE s.key = wanted;
        ELSE
            DELETE FROM faktory_django_rateuse u
            WHERE u.key = wanted AND u.until <= clock_timestamp();
            SELECT head.allowed - coalesce(sum(u.jobs), 0) INTO room
            FROM faktory_django_rateuse u
            WHERE u.key = wanted;
        END IF;
        EXIT WHEN room <= 0;
        WITH gone AS (
            DELETE FROM faktory_django_limitedjob w
            WHERE w.job_id = ANY(ARRAY(
                SELECT w.job_id
                FROM faktory_django_limitedjob w
                WHERE w.key = wanted AND w.allowed = head.allowed
                AND w.per_seconds IS NOT DISTINCT FROM head.per_seconds
                ORDER BY w.rank DESC, w.job_id
                LIMIT least(room, 1000)
                FOR UPDATE SKIP LOCKED
            ))
            RETURNING *
        )
        SELECT count(*) AS n, array_agg(g.job_id ORDER BY g.rank DESC, g.job_id) AS ids,
            array_agg(g.queue ORDER BY g.rank DESC, g.job_id) AS queues,
            array_agg(g.rank ORDER BY g.rank DESC, g.job_id) AS ranks,
            array_agg(g.rest ORDER BY g.rank DESC, g.job_id) AS rests,
            array_agg(g.since ORDER BY g.rank DESC, g.job_id) AS sinces
        INTO going
        FROM gone g;
        n := going.n;
        EXIT WHEN n = 0;
        IF head.per_seconds IS NULL THEN
            INSERT INTO faktory_django_limitslot (key, job_id, taken_at)
            SELECT wanted, g.id, clock_timestamp()
            FROM unnest(going.ids) AS g(id)
            ON CONFLICT (key, job_id) DO NOTHING;
        END IF;
        next_keys := next_keys || faktory_django_limit_go_v1(
            going.ids, going.queues, going.ranks, going.rests, going.sinces);
        IF head.per_seconds IS NOT NULL THEN
            -- when they are ready, so that no window of the period sees more
            INSERT INTO faktory_django_rateuse (key, jobs, until)
            VALUES (wanted, n, clock_timestamp() + head.per_seconds * interval '1 s');
        END IF;
        admitted := admitted + n;
    END LOOP;
END
$$
"""

# patient: waits for others that admit to these keys. Keys that come up on the way are only tried:
# who holds a lock of one key out of order may not wait for another.
ADMIT_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_admit_v1(keys text[], patient boolean)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    one text;
    found record;
    total int := 0;
    next_keys text[] := '{{}}';
BEGIN
    IF patient THEN
        -- a transaction of its own, and what is lost of it is done again
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    FOR one IN SELECT DISTINCT k FROM unnest(keys) AS k ORDER BY k LOOP
        IF patient THEN
            PERFORM pg_advisory_xact_lock({_LOCK.format(key="one")});
        ELSE
            CONTINUE WHEN NOT pg_try_advisory_xact_lock({_LOCK.format(key="one")});
        END IF;
        SELECT * INTO found FROM faktory_django_admit_key_v1(one);
        total := total + found.admitted;
        next_keys := next_keys || found.next_keys;
    END LOOP;
    IF cardinality(next_keys) > 0 THEN
        total := total + faktory_django_admit_v1(next_keys, false);
    END IF;
    RETURN total;
END
$$
"""

# Jobs have ended, or left for a set: each slot goes to the next of its key, else it is free.
# Only to one with the same limit: whether there is room by another one is counted anew.
RELEASE_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_limit_release_v1(ids bigint[], all_traits jsonb[])
RETURNS void LANGUAGE plpgsql {_PLANS} AS $$
DECLARE
    keys text[];
    jobs bigint[];
    allows int[];
    next_keys text[];
    left_keys text[];
    going record;
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(all_traits) AS t WHERE t ? 'limit') THEN
        RETURN;
    END IF;
    WITH ended AS MATERIALIZED (
        SELECT i.id, l.stage ->> 'k' AS key, (l.stage ->> 'n')::int AS allowed
        FROM unnest(ids, all_traits) AS i(id, traits)
        CROSS JOIN LATERAL jsonb_array_elements(i.traits -> 'limit') AS l(stage)
        WHERE NOT l.stage ? 'per'
    )
    SELECT array_agg(h.key ORDER BY h.key, h.job_id), array_agg(h.job_id ORDER BY h.key, h.job_id),
        array_agg(h.allowed ORDER BY h.key, h.job_id)
    INTO keys, jobs, allows
    FROM (
        SELECT s.key, s.job_id, e.allowed
        FROM ended e
        JOIN faktory_django_limitslot s ON s.key = e.key AND s.job_id = e.id
        ORDER BY s.key, s.job_id
        FOR UPDATE OF s
    ) AS h;
    IF keys IS NULL THEN
        RETURN;
    END IF;
    WITH ended AS MATERIALIZED (
        SELECT e.key, e.job_id, e.allowed,
            row_number() OVER (PARTITION BY e.key ORDER BY e.job_id) AS nr
        FROM unnest(keys, jobs, allows) AS e(key, job_id, allowed)
    ), counted AS MATERIALIZED (
        SELECT e.key, count(*) AS n FROM ended e GROUP BY e.key
    ), next AS MATERIALIZED (
        SELECT n.*
        FROM counted c
        CROSS JOIN LATERAL (
            SELECT w.job_id, w.key, w.rank, w.allowed
            FROM faktory_django_limitedjob w
            WHERE w.key = c.key AND w.per_seconds IS NULL
            ORDER BY w.rank DESC, w.job_id
            LIMIT c.n
            FOR UPDATE SKIP LOCKED
        ) AS n
    ), passed AS MATERIALIZED (
        SELECT e.key, e.job_id, n.job_id AS heir
        FROM ended e
        JOIN (
            SELECT x.*, row_number() OVER (PARTITION BY x.key ORDER BY x.rank DESC, x.job_id) AS nr
            FROM next x
        ) AS n ON n.key = e.key AND n.nr = e.nr AND n.allowed = e.allowed
    ), inherited AS (
        UPDATE faktory_django_limitslot s
        SET job_id = p.heir, taken_at = clock_timestamp()
        FROM passed p
        WHERE s.key = p.key AND s.job_id = p.job_id
    ), freed AS (
        DELETE FROM faktory_django_limitslot s
        USING ended e
        WHERE s.key = e.key AND s.job_id = e.job_id
        AND NOT EXISTS (SELECT FROM passed p WHERE p.key = e.key AND p.job_id = e.job_id)
    ), gone AS (
        DELETE FROM faktory_django_limitedjob w
        WHERE w.job_id = ANY(ARRAY(SELECT p.heir FROM passed p))
        RETURNING *
    ), others AS (
        SELECT DISTINCT n.key
        FROM next n
        WHERE NOT EXISTS (SELECT FROM passed p WHERE p.heir = n.job_id)
    )
    SELECT (SELECT array_agg(o.key) FROM others o) AS left_keys,
        array_agg(g.job_id ORDER BY g.job_id) AS ids,
        array_agg(g.queue ORDER BY g.job_id) AS queues,
        array_agg(g.rank ORDER BY g.job_id) AS ranks, array_agg(g.rest ORDER BY g.job_id) AS rests,
        array_agg(g.since ORDER BY g.job_id) AS sinces
    INTO going
    FROM gone g;
    left_keys := going.left_keys;
    IF going.ids IS NOT NULL THEN
        next_keys := faktory_django_limit_go_v1(
            going.ids, going.queues, going.ranks, going.rests, going.sinces);
        left_keys := left_keys || next_keys;
    END IF;
    IF cardinality(left_keys) > 0 THEN
        PERFORM faktory_django_admit_v1(left_keys, false);
    END IF;
END
$$
"""

# What was missed: a pusher died before it admitted, a push met the end of a job, a period is over.
# Looks at some keys after one; says how far it came (NULL: to the end), and when a rate lets more
# jobs go.
MISSED_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_admit_missed_v1(
    after text, most int, OUT last_key text, OUT admitted int, OUT next_seconds float8
)
LANGUAGE plpgsql {_PLANS} AS $$
DECLARE
    one text := after;
    due timestamptz;
    soonest timestamptz;
BEGIN
    admitted := 0;
    FOR i IN 1 .. most LOOP
        one := (
            SELECT w.key FROM faktory_django_limitedjob w WHERE w.key > one ORDER BY w.key LIMIT 1
        );
        EXIT WHEN one IS NULL;
        admitted := admitted + faktory_django_admit_v1(ARRAY[one], false);
        due := (
            SELECT min(u.until)
            FROM faktory_django_rateuse u
            WHERE u.key = one
            AND EXISTS (SELECT FROM faktory_django_limitedjob w WHERE w.key = one)
        );
        soonest := least(soonest, due);
    END LOOP;
    last_key := one;
    next_seconds := extract(epoch FROM soonest - clock_timestamp());
END
$$
"""
FUNCTIONS: Final = (
    PLACE_FUNCTION,
    GO_FUNCTION,
    ADMIT_KEY_FUNCTION,
    ADMIT_FUNCTION,
    RELEASE_FUNCTION,
    MISSED_FUNCTION,
)

ADMIT: Final = "SELECT faktory_django_admit_v1(%(keys)b::text[], true)"
MISSED: Final = "SELECT * FROM faktory_django_admit_missed_v1(%(after)s, %(most)s)"

# Of jobs that are gone, by whatever way: nobody will pass these on. A page at a time, by key.
REPAIR_SLOTS: Final = """
DELETE FROM faktory_django_limitslot s
WHERE (s.key, s.job_id) IN (
    SELECT s.key, s.job_id
    FROM faktory_django_limitslot s
    WHERE NOT EXISTS (SELECT FROM faktory_django_job j WHERE j.id = s.job_id)
    ORDER BY s.key, s.job_id
    LIMIT %(limit)s
    FOR UPDATE OF s SKIP LOCKED
)
RETURNING 1
"""
REPAIR_WAITING: Final = """
DELETE FROM faktory_django_limitedjob w
WHERE w.job_id IN (
    SELECT w.job_id
    FROM faktory_django_limitedjob w
    WHERE NOT EXISTS (SELECT FROM faktory_django_job j WHERE j.id = w.job_id)
    ORDER BY w.job_id
    LIMIT %(limit)s
    FOR UPDATE OF w SKIP LOCKED
)
RETURNING 1
"""
TRIM_RATES: Final = """
DELETE FROM faktory_django_rateuse u
WHERE u.id IN (
    SELECT u.id
    FROM faktory_django_rateuse u
    WHERE u.until < clock_timestamp()
    ORDER BY u.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING 1
"""
# What a person does about a key that is stuck: its holders and uses no longer count.
FREE_SLOTS: Final = """
WITH slots AS (
    DELETE FROM faktory_django_limitslot s
    WHERE (s.key, s.job_id) IN (
        SELECT s.key, s.job_id
        FROM faktory_django_limitslot s
        WHERE s.key = %(key)s
        ORDER BY s.key, s.job_id
        FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
), uses AS (
    DELETE FROM faktory_django_rateuse u WHERE u.key = %(key)s RETURNING u.jobs
)
SELECT (SELECT count(*) FROM slots) + (SELECT coalesce(sum(jobs), 0) FROM uses)
"""
# The busiest keys, of those that hold something or wait: each counted up to a bound.
BUSIEST: Final = """
WITH RECURSIVE keys AS (
    (SELECT w.key, 1 AS nr FROM faktory_django_limitedjob w ORDER BY w.key LIMIT 1)
    UNION ALL
    SELECT (
        SELECT w.key FROM faktory_django_limitedjob w WHERE w.key > k.key ORDER BY w.key LIMIT 1
    ), k.nr + 1
    FROM keys k
    WHERE k.key IS NOT NULL AND k.nr < %(scanned)s
), held AS (
    (SELECT s.key, 1 AS nr FROM faktory_django_limitslot s ORDER BY s.key LIMIT 1)
    UNION ALL
    SELECT (
        SELECT s.key FROM faktory_django_limitslot s WHERE s.key > h.key ORDER BY s.key LIMIT 1
    ), h.nr + 1
    FROM held h
    WHERE h.key IS NOT NULL AND h.nr < %(scanned)s
), used AS (
    (SELECT u.key, 1 AS nr FROM faktory_django_rateuse u ORDER BY u.key LIMIT 1)
    UNION ALL
    SELECT (
        SELECT u.key FROM faktory_django_rateuse u WHERE u.key > h.key ORDER BY u.key LIMIT 1
    ), h.nr + 1
    FROM used h
    WHERE h.key IS NOT NULL AND h.nr < %(scanned)s
)
SELECT k.key, head.allowed, head.per_seconds, (
    SELECT count(*) FROM faktory_django_limitslot s WHERE s.key = k.key
) + (
    SELECT coalesce(sum(u.jobs), 0)
    FROM faktory_django_rateuse u
    WHERE u.key = k.key AND u.until > clock_timestamp()
) AS taken, (
    SELECT count(*)
    FROM (
        SELECT FROM faktory_django_limitedjob w WHERE w.key = k.key LIMIT %(counted)s
    ) AS capped
) AS waiting
FROM (
    SELECT key FROM keys WHERE key IS NOT NULL
    UNION
    SELECT key FROM held WHERE key IS NOT NULL
    UNION
    SELECT key FROM used WHERE key IS NOT NULL
) AS k
LEFT JOIN LATERAL (
    SELECT w.allowed, w.per_seconds
    FROM faktory_django_limitedjob w
    WHERE w.key = k.key
    ORDER BY w.rank DESC, w.job_id
    LIMIT 1
) AS head ON true
ORDER BY waiting DESC, taken DESC, k.key
LIMIT %(limit)s
"""
# What jobs wait for: the key, how many it lets go, and how many it has let go.
WAITED_FOR: Final = """
SELECT w.job_id, w.key, w.allowed, w.per_seconds, (
    SELECT count(*) FROM faktory_django_limitslot s WHERE s.key = w.key
) + (
    SELECT coalesce(sum(u.jobs), 0)
    FROM faktory_django_rateuse u
    WHERE u.key = w.key AND u.until > clock_timestamp()
), (
    SELECT count(*)
    FROM (
        SELECT
        FROM faktory_django_limitedjob b
        WHERE b.key = w.key
        AND (b.rank > w.rank OR (b.rank = w.rank AND b.job_id < w.job_id))
        LIMIT %(counted)s
    ) AS before
), w.since
FROM faktory_django_limitedjob w
WHERE w.job_id = ANY(%(ids)b::bigint[])
ORDER BY w.job_id
"""
COUNTED: Final = 10_001


class Busy(NamedTuple):
    """A key: what its next job allows (None when none waits), how many count, how many wait."""

    key: str
    allowed: int | None
    per_seconds: float | None
    taken: int
    waiting: int


class Wait(NamedTuple):
    """What a job waits for; before: how many of the key wait before it, up to a bound."""

    key: str
    allowed: int
    per_seconds: float | None
    taken: int
    before: int
    since: datetime


class Missed(NamedTuple):
    """How far a look at waiting keys came, "" to the end; when a rate lets more jobs go."""

    after: str
    admitted: int
    next_seconds: float | None


class _HasTraits(Protocol):
    @property
    def traits(self) -> str | None: ...


def limit_keys(jobs: Iterable[_HasTraits]) -> set[str]:
    """Return the keys that jobs wait for first when they enter their queues."""
    found = (json.loads(job.traits).get(MARK) for job in jobs if job.traits is not None)
    return {stages[0]["k"] for stages in found if stages}


def admit(connection: BaseDatabaseWrapper, keys: Collection[str]) -> int:
    """Let in what waits for these keys and has room; return how many. Not in a transaction."""
    wanted = sorted(set(keys))
    pages = [wanted[n : n + KEYS_AT_A_TIME] for n in range(0, len(wanted), KEYS_AT_A_TIME)]
    return sum(int(execute(connection, ADMIT, {"keys": page})[0][0]) for page in pages)


def admit_missed(
    connection: BaseDatabaseWrapper, *, after: str = "", most: int = KEYS_AT_A_TIME
) -> Missed:
    """Let in what nobody has, for some keys after one."""
    last, admitted, seconds = execute(connection, MISSED, {"after": after, "most": most})[0]
    return Missed(last or "", admitted, seconds)


def admit_placed(connection: BaseDatabaseWrapper, placed: int) -> None:
    """Let in what a statement has just placed; in a transaction that is left to upkeep."""
    if placed and not connection.in_atomic_block:
        admit_missed(connection)


def repair(connection: BaseDatabaseWrapper, *, limit: int = 1_000) -> int:
    """Give up what is held by jobs that are gone, and uses of rates whose period is over."""
    statements = (REPAIR_SLOTS, REPAIR_WAITING, TRIM_RATES)
    return max(len(execute(connection, sql, {"limit": limit})) for sql in statements)


def release_key(key: str, *, using: str | None = None) -> int:
    """Let the jobs that hold a key no longer count, though they go on; return how many those were.

    Those that wait come in their place.
    """
    connection = database(using)
    freed = int(execute(connection, FREE_SLOTS, {"key": key})[0][0])
    admit(connection, [key])
    return freed


def busiest(*, using: str | None = None, limit: int = 50, scanned: int = 2_000) -> list[Busy]:
    """Return the keys for which most jobs wait, of the first so many keys."""
    params = {"limit": limit, "scanned": scanned, "counted": COUNTED}
    return [Busy(*row) for row in execute(database(using), BUSIEST, params)]


def waits(ids: Sequence[int], *, using: str | None = None) -> dict[int, Wait]:
    """Return what these jobs wait for; those that are missing wait for no limit."""
    if not ids:
        return {}
    params = {"ids": list(ids), "counted": COUNTED}
    return {row[0]: Wait(*row[1:]) for row in execute(database(using), WAITED_FOR, params)}
