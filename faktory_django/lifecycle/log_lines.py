"""Log lines: what jobs say while they run, kept for a while by jid."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .connection import database, execute, now
from .partitions import LOG_LINES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

WRITE: Final = f"""
INSERT INTO {LOG_LINES} (bucket, jid, jobtype, queue, number, at, text)
SELECT faktory_django_bucket_v1(%(days)s, clock_timestamp()), g.jid, g.jobtype, g.queue,
    g.number, to_timestamp(g.at), g.text
FROM unnest(
    %(jids)b::text[], %(jobtypes)b::text[], %(queues)b::text[], %(numbers)b::int[],
    %(ats)b::float8[], %(texts)b::text[]
) WITH ORDINALITY AS g(jid, jobtype, queue, number, at, text, nr)
ORDER BY g.nr
"""
# The first lines of the latest runs.
READ: Final = f"""
SELECT l.number, l.at, l.text, l.queue, l.jobtype
FROM {LOG_LINES} l
WHERE l.jid = %(jid)s
ORDER BY l.number DESC, l.id
LIMIT %(limit)s
"""


class Said(NamedTuple):
    """A line that a run has said, at a time of the monotonic clock."""

    jid: str
    jobtype: str
    queue: str
    number: int
    said_at: float
    text: str


class Line(NamedTuple):
    """A line that is kept; number is which run of its job said it."""

    number: int
    at: datetime
    text: str
    queue: str
    jobtype: str


def ahead(connection: BaseDatabaseWrapper) -> float:
    """Return how many seconds the database's clock, in Unix seconds, is ahead of the monotonic.

    Asked for once and not with each write, so that lines are as far apart as they were said.
    """
    return now(connection).timestamp() - time.monotonic()


def write(
    connection: BaseDatabaseWrapper, lines: Sequence[Said], *, ahead: float, days: int
) -> None:
    """Keep lines for so many days."""
    params: dict[str, Any] = {
        "days": days,
        "jids": [line.jid for line in lines],
        "jobtypes": [line.jobtype for line in lines],
        "queues": [line.queue for line in lines],
        "numbers": [line.number for line in lines],
        "ats": [ahead + line.said_at for line in lines],
        "texts": [line.text for line in lines],
    }
    execute(connection, WRITE, params)


def of(jid: str, *, limit: int, using: str | None = None) -> list[Line]:
    """Return lines of a jid: those of the latest run first, each run's in order."""
    rows = execute(database(using), READ, {"jid": jid, "limit": limit})
    return [Line(*row) for row in rows]
