"""Attempts: the runs of a job that failed, each written by the statement that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django import settings

from .connection import database, execute
from .partitions import ATTEMPTS

if TYPE_CHECKING:
    from datetime import datetime

    from .retry import Error

_INTO: Final = f"""INSERT INTO {ATTEMPTS}
        (bucket, jid, jobtype, queue, at, number, fate, errtype, message, backtrace, started_at,
        run_seconds, wid)"""
# Part of the statement that fails jobs, after its CTE `ended`. What the worker notes of the run
# counts; of a run on the wire it is known when it was claimed, and by whom.
RECORDED: Final = f"""
recorded AS (
    {_INTO}
    SELECT faktory_django_bucket_v1(%(attempt_days)s, e.at), e.jid, e.jobtype, e.queue, e.at,
        e.number, {{outcome}}, e.errtype, e.message, e.backtrace,
        coalesce(to_timestamp((e.note::jsonb ->> 'started')::float8), e.claimed_at),
        coalesce(
            (e.note::jsonb ->> 'ran')::float8, extract(epoch FROM e.at - e.claimed_at)::float8
        ),
        e.wid
    FROM ended e
    WHERE e.fate <> 'snooze' AND e.errtype <> '' AND %(attempt_days)s > 0
)
"""
# Part of the statement that takes jobs from processes that have died: of those that are blamed.
CRASHED: Final = f"""
crashed AS (
    {_INTO}
    SELECT faktory_django_bucket_v1(%(attempt_days)s, m.at), f.jid, f.jobtype, f.queue, m.at,
        coalesce(substring(f.failure FROM '"retry_count":(\\d{{1,6}})')::int + 1, 0) + 1,
        CASE WHEN f.crashes + 1 >= %(max_crashes)s THEN 'dead' ELSE 'crash' END,
        %(errtype)s, %(message)s, '', NULL, NULL, h.wid
    FROM (SELECT clock_timestamp()) AS m(at), judged f
    JOIN held h ON f.id = ANY(h.ids)
    WHERE f.guilty AND %(attempt_days)s > 0
)
"""
READ: Final = f"""
SELECT a.number, a.at, a.fate, a.errtype, a.message, a.backtrace, a.started_at, a.run_seconds,
    a.wid, a.queue, a.jobtype
FROM {ATTEMPTS} a
WHERE a.jid = %(jid)s
ORDER BY a.at DESC, a.id DESC
LIMIT %(limit)s
"""


class Attempt(NamedTuple):
    """A run that failed. fate is what became of the job; of a crash it went back."""

    number: int
    at: datetime
    fate: str
    errtype: str
    message: str
    backtrace: str
    started_at: datetime | None
    run_seconds: float | None
    wid: str
    queue: str
    jobtype: str


def crashed_params(error: Error) -> dict[str, Any]:
    """Return what CRASHED names beside what the statement around it does."""
    days = settings.get().attempt_days
    return {"attempt_days": days, "errtype": error.errtype, "message": error.message}


def of(jid: str, *, limit: int, using: str | None = None) -> list[Attempt]:
    """Return the failed runs of the jobs of a jid, the latest first."""
    rows = execute(database(using), READ, {"jid": jid, "limit": limit})
    return [Attempt(*row) for row in rows]
