"""Attempts: the runs of a job that failed, each written by the statement that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .connection import database, execute
from .partitions import ATTEMPTS

if TYPE_CHECKING:
    from datetime import datetime

COLUMNS: Final = (
    "bucket, jid, jobtype, queue, at, number, fate, errtype, message, backtrace, started_at, "
    "run_seconds, wid"
)
# How many runs of a job have failed, of its latest failure.
FAILED: Final = "coalesce(({failure}::json ->> 'retry_count')::int + 1, 0)"
READ: Final = f"""
SELECT a.number, a.at, a.fate, a.errtype, a.message, a.backtrace, a.started_at, a.run_seconds,
    a.wid, a.queue, a.jobtype
FROM {ATTEMPTS} a
WHERE a.jid = %(jid)s
ORDER BY a.at DESC, a.id DESC
LIMIT %(limit)s
"""


class Attempt(NamedTuple):
    """A run that failed. fate is retry, dead, gone, or crash: then the job went back."""

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


def of(jid: str, *, limit: int, using: str | None = None) -> list[Attempt]:
    """Return the failed runs of the jobs of a jid, the latest first."""
    rows = execute(database(using), READ, {"jid": jid, "limit": limit})
    return [Attempt(*row) for row in rows]
