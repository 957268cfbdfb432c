"""Dead: jobs kept for a person to look at, for 180 days or the newest N; and their hooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from faktory_django import payload, registry

from .connection import execute
from .push import Push, push
from .settle import OF_A_SET, settled
from .track import FORGOTTEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper


class Died(Protocol):
    """What the hook needs of a job that died."""

    @property
    def queue(self) -> str: ...
    @property
    def jobtype(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def failure(self) -> str | None: ...


class Buried(NamedTuple):
    """A job that another statement than a failure moved to the dead."""

    queue: str
    jobtype: str
    body: str
    failure: str | None


def push_on_dead(connection: BaseDatabaseWrapper, died: Iterable[Died]) -> None:
    """Push the on_dead job of each job that has one, in the transaction that buried it.

    A job of its own: it is not lost with the process, and is retried like any other. A web process
    that kills may not have imported the hooks that jobs.py of the apps declare.
    """
    pushes = []
    for job in died:
        definition = registry.discovered(job.jobtype)
        if definition is not None and definition.on_dead is not None:
            whole = payload.with_failure(job.body, job.failure)
            args = f"[{json.dumps(job.jobtype, ensure_ascii=False)},{whole}]"
            jid = payload.new_jid()
            body = payload.canonical(registry.ON_DEAD, jid, args, queue=job.queue, retry=25)
            pushes.append(Push(job.queue, jid, registry.ON_DEAD, body))
    push(pushes, using=connection.alias)


# The oldest go first, a bounded number at a time. There is one bound, where the index scan ends.
PURGE: Final = f"""
WITH newest AS (
    SELECT died_at, id
    FROM faktory_django_deadjob
    ORDER BY died_at DESC, id DESC
    OFFSET %(max_jobs)s
    LIMIT 1
), last AS (
    SELECT clock_timestamp() - %(max_days)s * interval '1 day' AS died_at, 0::bigint AS id
    UNION ALL
    SELECT died_at, id FROM newest
    ORDER BY died_at DESC, id DESC
    LIMIT 1
), old AS MATERIALIZED (
    SELECT id
    FROM faktory_django_deadjob d
    WHERE (d.died_at, d.id) <= (SELECT died_at, id FROM last)
    ORDER BY d.died_at, d.id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM faktory_django_deadjob d
    WHERE d.id = ANY(ARRAY(SELECT id FROM old))
    RETURNING d.*
), {FORGOTTEN}, {settled("gone", outcome="'purged'", key=OF_A_SET)}
SELECT count(*), (SELECT count(*) FROM settled)
FROM gone
"""


def purge(
    connection: BaseDatabaseWrapper, *, max_days: int, max_jobs: int, limit: int = 1_000
) -> int:
    """Delete dead jobs older than max_days, and all but the newest max_jobs; return how many."""
    params = {"max_days": max_days, "max_jobs": max_jobs, "limit": limit}
    return int(execute(connection, PURGE, params)[0][0])
