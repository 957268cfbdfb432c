"""Fail: a run did not succeed; the job moves to the retries, the dead or the scheduled, or goes.

One statement for all that a worker has to say; the standing lease is the fence, as for ack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import transaction

from faktory_django import settings
from faktory_django.features import tracking

from . import track
from .attempts import RECORDED
from .clock import RFC3339
from .connection import execute
from .dead import push_on_dead
from .retry import Fate
from .settle import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .retry import Error, Verdict


@dataclass(frozen=True, slots=True)
class Failing:
    """One job, the lease that names it, and what becomes of it; a snooze does not count.

    outcome is what features are told of a job that is gone, note what they are told of its run.
    error is kept among its attempts; number is which run it was, when that is not as its retries
    say.
    """

    id: int
    lease: int
    verdict: Verdict
    counts: bool = True
    outcome: str = ""
    note: str | None = None
    error: Error | None = None
    number: int | None = None


class Moved(NamedTuple):
    """A job that was moved; failure is the whole hash now."""

    id: int
    fate: str
    queue: str
    jobtype: str
    body: str
    failure: str | None
    jid: str = ""


# What features are told.
OUTCOME: Final = """
CASE WHEN e.fate <> 'gone' THEN e.fate
WHEN e.outcome <> '' THEN e.outcome
WHEN e.counts THEN 'failed'
ELSE 'discarded' END
"""
# Of a job that is kept who held it is known here, and when it was claimed on the wire.
NOTE: Final = """
CASE WHEN e.traits ? 'keep' THEN
jsonb_strip_nulls(jsonb_build_object('wid', e.wid, 'started', extract(epoch FROM e.claimed_at),
    'ran', extract(epoch FROM e.at - e.claimed_at), 'attempt', e.number,
    'error', CASE WHEN e.errtype <> '' THEN
        jsonb_build_object('errtype', e.errtype, 'message', e.message) END))
    || coalesce(e.note::jsonb, '{}')
ELSE e.note::jsonb END
"""
FAIL: Final = f"""
WITH given AS MATERIALIZED (
    -- what was cancelled in good time is neither retried nor kept
    SELECT g.id, g.lease, g.failure, g.failed_at, g.delay, g.counts, g.outcome, g.note,
        g.number, g.errtype, g.message, g.backtrace,
        CASE WHEN EXISTS (
            SELECT FROM faktory_django_cancel c WHERE c.job_id = g.id
        ) THEN 'cancelled' ELSE g.fate END AS fate
    FROM unnest(
        %(ids)b::bigint[], %(leases)b::bigint[], %(fates)b::text[], %(failures)b::text[],
        %(failed_ats)b::text[], %(delays)b::float8[], %(counts)b::boolean[],
        %(outcomes)b::text[], %(notes)b::text[], %(numbers)b::int[], %(errtypes)b::text[],
        %(messages)b::text[], %(backtraces)b::text[]
    ) AS g(id, lease, fate, failure, failed_at, delay, counts, outcome, note, number, errtype,
        message, backtrace)
), batches AS MATERIALIZED (
    SELECT l.id, l.ids, l.wid
    FROM faktory_django_lease l
    WHERE l.id = ANY(%(leases)b::bigint[]) AND l.expires_at IS NULL
    ORDER BY l.id
    FOR KEY SHARE
), singles AS MATERIALIZED (
    -- these go with their job: two who hold KEY SHARE and then delete would deadlock
    SELECT l.id, l.ids, l.wid, l.claimed_at
    FROM faktory_django_lease l
    WHERE l.id = ANY(%(leases)b::bigint[])
    -- so said, the index of expiries does not offer itself, with its dead entries
    AND coalesce(l.expires_at, 'infinity') < 'infinity'
    ORDER BY l.id
    FOR UPDATE
), held AS MATERIALIZED (
    SELECT id, ids, wid, NULL::timestamptz AS claimed_at FROM batches
    UNION ALL
    SELECT id, ids, wid, claimed_at FROM singles
), moment AS MATERIALIZED (
    SELECT clock_timestamp() AS at
), ended AS MATERIALIZED (
    DELETE FROM faktory_django_job j
    USING given g
    JOIN held h ON h.id = g.lease AND g.id = ANY(h.ids)
    CROSS JOIN moment m
    WHERE j.id = g.id AND j.id = ANY(%(ids)b::bigint[])
    RETURNING j.id, j.queue, j.priority, j.jid, j.jobtype, j.enqueued_at, j.reserve_for, j.body,
        j.traits, j.failure AS before, g.fate, g.counts, g.outcome, g.note,
        g.number, g.errtype, g.message, g.backtrace, h.wid, h.claimed_at,
        m.at + g.delay * interval '1 s' AS due_at, m.at,
        -- the times of a failure are the database's
        CASE WHEN g.failure <> '' THEN
            '{{"failed_at":'
            || to_json(coalesce(nullif(g.failed_at, ''), {RFC3339.format("m.at")})) || ','
            || coalesce('"next_at":"' || {RFC3339.format("(m.at + g.delay * interval '1 s')")}
                || '",', '')
            || g.failure
        END AS failure
), retried AS (
    INSERT INTO faktory_django_retryjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, due_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, due_at
    FROM ended
    WHERE fate = 'retry'
), died AS (
    INSERT INTO faktory_django_deadjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, died_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, at
    FROM ended
    WHERE fate = 'dead'
), snoozed AS (
    INSERT INTO faktory_django_scheduledjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, due_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, before, traits, due_at
    FROM ended
    WHERE fate = 'snooze'
), spent AS (
    DELETE FROM faktory_django_lease l
    WHERE l.id = ANY(ARRAY(SELECT id FROM singles))
    RETURNING l.queue
), woken AS MATERIALIZED (
    -- permits of throttled queues are free
    SELECT faktory_django_wake_v1(array_agg(DISTINCT queue), count(*)::int)
    FROM spent
    WHERE queue IS NOT NULL
    HAVING count(*) > 0
), counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, failed, discarded)
    SELECT date_trunc('minute', at), queue, jobtype,
        count(*) FILTER (WHERE counts), count(*) FILTER (WHERE NOT counts)
    FROM ended
    WHERE fate <> 'snooze'
    GROUP BY at, queue, jobtype
), {RECORDED.format(outcome=OUTCOME)}, {settled("ended", outcome=OUTCOME, note=NOTE)}
SELECT id, fate, queue, jobtype, body, coalesce(failure, before), jid,
    (SELECT count(*) FROM settled), (SELECT count(*) FROM woken)
FROM ended
"""


def fail(connection: BaseDatabaseWrapper, failings: Sequence[Failing]) -> list[Moved]:
    """Move jobs whose run did not succeed; return those whose lease stood.

    A job that is missing from the result was lost: another process holds it, or it has ended.
    The on_dead jobs of those that died are pushed in the same transaction.
    """
    with transaction.atomic(using=connection.alias, savepoint=False):
        params: dict[str, Any] = dict(zip(_NAMES, _columns(failings), strict=True))
        params["attempt_days"] = settings.get().attempt_days
        moved = [Moved(*row[:7]) for row in execute(connection, FAIL, params)]
        push_on_dead(connection, [m for m in moved if m.fate == Fate.DEAD])
        if any(m.fate in _ENDED for m in moved):
            _note_end(connection, moved, failings)
    return moved


def _note_end(
    connection: BaseDatabaseWrapper, moved: Sequence[Moved], failings: Sequence[Failing]
) -> None:
    """Tell those who track the jobs that are gone that it was not success."""
    by_id = {f.id: f for f in failings}
    ends = [(m.jid, _end(m.fate, by_id[m.id])) for m in moved if m.fate in _ENDED]
    track.end(connection, ends)


def _end(fate: str, failing: Failing) -> str:
    if fate == Fate.CANCELLED:
        return tracking.CANCELLED
    return failing.outcome or (tracking.FAILED if failing.counts else tracking.DISCARDED)


MAX_RUNS: Final = 2**31 - 1
_ENDED: Final = (Fate.GONE, Fate.CANCELLED)
_NAMES: Final = (
    "ids",
    "leases",
    "fates",
    "failures",
    "failed_ats",
    "delays",
    "counts",
    "outcomes",
    "notes",
    "numbers",
    "errtypes",
    "messages",
    "backtraces",
)


def _columns(failings: Sequence[Failing]) -> Iterator[list[Any]]:
    yield [f.id for f in failings]
    yield [f.lease for f in failings]
    yield [f.verdict.fate.value for f in failings]
    yield [f.verdict.failure for f in failings]
    yield [f.verdict.failed_at for f in failings]
    yield [f.verdict.delay_seconds for f in failings]
    yield [f.counts for f in failings]
    yield [f.outcome for f in failings]
    yield [f.note for f in failings]
    runs = [f.verdict.retry_count + 1 if f.number is None else f.number for f in failings]
    # a count that came with a job from elsewhere may be absurd
    yield [min(max(number, 0), MAX_RUNS) for number in runs]
    yield [f.error.errtype if f.error else "" for f in failings]
    yield [f.error.message if f.error else "" for f in failings]
    yield ["\n".join(f.error.backtrace) if f.error else "" for f in failings]
