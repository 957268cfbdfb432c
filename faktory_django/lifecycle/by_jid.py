"""ACK and FAIL by jid: how clients of the wire end their reservations (protocol section 4.4).

Each lease of the wire names one job and is found by its jid. Two jobs may share a jid: the oldest
reservation that the asker may end is ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import transaction

from faktory_django import payload, registry
from faktory_django.models import BUCKET_SECONDS

from .announce import announce_moved
from .connection import database, execute
from .fail import Failing, fail
from .retry import Error, delay_of, judge
from .settle import settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper


class Holding(NamedTuple):
    """A reservation that somebody wants to end; wid None may end anybody's."""

    jid: str
    wid: str | None = None


# Sorted by jid, so that two groups of acks lock in one order. What one asker waited for and
# another has ended is passed over: LIMIT counts the rows that could be locked.
_HELD: Final = """
SELECT a.nr, l.id AS lease, l.ids[1] AS job, l.claimed_at, l.wid, l.queue
FROM (
    SELECT * FROM unnest({jids}, {wids}) WITH ORDINALITY AS a(jid, wid, nr) ORDER BY a.jid, a.nr
) AS a
CROSS JOIN LATERAL (
    SELECT l.id, l.ids, l.claimed_at, l.wid, l.queue
    FROM faktory_django_lease l
    WHERE l.jid = a.jid AND (a.wid IS NULL OR l.wid = a.wid)
    ORDER BY l.id
    LIMIT 1
    FOR UPDATE
) AS l
"""

# What is known of a run on the wire, for features: it began when it was claimed.
_NOTE: Final = """CASE WHEN e.traits ? 'keep' THEN (
    SELECT jsonb_build_object('wid', c.wid, 'started', extract(epoch FROM c.at),
        'ran', extract(epoch FROM moment - c.at))
    FROM unnest(job_ids, claims, holders) AS c(id, at, wid)
    WHERE c.id = e.id
) END"""

# A function, for its plans: the table of leases swings between empty and full.
ACK_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_ack_v1(jids text[], wids text[])
RETURNS int LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    bounds CONSTANT float8[] := '{{{",".join(map(str, BUCKET_SECONDS))}}}';
    empty CONSTANT int[] := array_fill(0, ARRAY[{len(BUCKET_SECONDS) + 1}]);
    moment CONSTANT timestamptz := clock_timestamp();
    lease_ids bigint[];
    job_ids bigint[];
    claims timestamptz[];
    holders text[];
    freed text[];
    one record;
    last_queue text;
    last_jobtype text;
    total int := 0;
    done int := 0;
    waits int[];
    runs int[];
BEGIN
    SELECT array_agg(h.lease), array_agg(h.job), array_agg(h.claimed_at), array_agg(h.wid),
        array_agg(h.queue) FILTER (WHERE h.queue IS NOT NULL)
    INTO lease_ids, job_ids, claims, holders, freed
    FROM ({_HELD.format(jids="jids", wids="wids")}) AS h;
    IF lease_ids IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM faktory_django_lease l WHERE l.id = ANY(lease_ids);
    IF freed IS NOT NULL THEN
        -- permits of throttled queues
        PERFORM faktory_django_wake_v1(freed, cardinality(freed));
    END IF;
    FOR one IN
        WITH ended AS (
            DELETE FROM faktory_django_job j WHERE j.id = ANY(job_ids)
            RETURNING j.id, j.queue, j.jobtype, j.enqueued_at, j.traits,
                -- no copies of what is only read where there are traits
                CASE WHEN j.traits IS NOT NULL THEN j.jid END AS jid,
                CASE WHEN j.traits IS NOT NULL THEN j.body END AS body,
                CASE WHEN j.traits IS NOT NULL THEN j.failure END AS failure
        ), {settled("ended", outcome="'done'", note=_NOTE)}
        SELECT e.queue, e.jobtype,
            width_bucket(extract(epoch FROM c.at - e.enqueued_at)::float8, bounds) + 1 AS wait,
            width_bucket(extract(epoch FROM moment - c.at)::float8, bounds) + 1 AS run
        FROM ended e
        JOIN unnest(job_ids, claims) AS c(id, at) ON c.id = e.id
        CROSS JOIN (SELECT count(*) FROM settled) AS s
        ORDER BY e.queue, e.jobtype
    LOOP
        IF one.queue IS DISTINCT FROM last_queue OR one.jobtype IS DISTINCT FROM last_jobtype THEN
            IF done > 0 THEN
                INSERT INTO faktory_django_counterdelta
                    (starts_at, queue, jobtype, done, waits, runs)
                VALUES (date_trunc('minute', moment), last_queue, last_jobtype, done, waits, runs);
            END IF;
            last_queue := one.queue;
            last_jobtype := one.jobtype;
            done := 0;
            waits := empty;
            runs := empty;
        END IF;
        done := done + 1;
        waits[one.wait] := waits[one.wait] + 1;
        runs[one.run] := runs[one.run] + 1;
        total := total + 1;
    END LOOP;
    IF done > 0 THEN
        INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, done, waits, runs)
        VALUES (date_trunc('minute', moment), last_queue, last_jobtype, done, waits, runs);
    END IF;
    RETURN total;
END
$$
"""

ACK_JIDS: Final = "SELECT faktory_django_ack_v1(%(jids)b::text[], %(wids)b::text[])"

HELD_JIDS: Final = f"""
WITH held AS MATERIALIZED ({_HELD.format(jids="%(jids)b::text[]", wids="%(wids)b::text[]")})
SELECT h.nr, h.lease, j.id, j.failure, j.body, j.jobtype
FROM held h
JOIN faktory_django_job j ON j.id = h.job
ORDER BY h.nr
"""


def holding_params(holdings: Sequence[Holding]) -> dict[str, Any]:
    """Return reservations as the parameters of ACK_JIDS; a jid may stand there once only."""
    return {"jids": [h.jid for h in holdings], "wids": [h.wid for h in holdings]}


def ack_jids(holdings: Sequence[Holding], *, using: str | None = None) -> int:
    """End reservations, each the oldest of its jid that the asker may end; return how many."""
    return int(execute(database(using), ACK_JIDS, holding_params(holdings))[0][0])


def fail_jids(
    connection: BaseDatabaseWrapper, holdings: Sequence[Holding], errors: Sequence[Error]
) -> list[bool]:
    """Fail reservations, one error each; return which of them stood (protocol section 6.3)."""
    with transaction.atomic(using=connection.alias, savepoint=False):
        failings, places = [], {}
        for place, lease, job, failure, body, jobtype in execute(
            connection, HELD_JIDS, holding_params(holdings)
        ):
            delay = delay_of(registry.find(jobtype))
            verdict = judge(payload.retry_of(body), failure, errors[place - 1], delay=delay)
            failings.append(Failing(job, lease, verdict, error=errors[place - 1]))
            places[job] = place
        moved = fail(connection, failings) if failings else []
        announce_moved(connection, moved)
    stood = {places[job.id] for job in moved}
    return [place in stood for place in range(1, len(holdings) + 1)]
