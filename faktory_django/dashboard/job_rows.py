"""Job rows: all that the tables know of the jobs of one jid. Several jobs may share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from faktory_django.contents import Contents
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.holders import Hold, holds
from faktory_django.lifecycle.lanes import FAIR_RANK, FIRST_RANK
from faktory_django.lifecycle.limits import Wait, waits
from faktory_django.models import DeadJob, Job, RetryJob, ScheduledJob

from . import access
from .counts import CAP, Count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest

    AnyJob = Job | ScheduledJob | RetryJob | DeadJob

# As verbs call the places; jobs in work are among those of the queues.
MODELS: Final[dict[str, type[AnyJob]]] = {
    "waiting": Job,
    "retries": RetryJob,
    "scheduled": ScheduledJob,
    "dead": DeadJob,
}
# How many jobs of one jid are shown from each table.
MAX_SHARED: Final = 20

# The entry of a job is at its place of the push, or in a lane of what came back or was put in
# front: these are short; or it waits for its turn, and an index knows it. What takes turns is of
# priority 0.
AHEAD: Final = f"""
SELECT j.id, (
    SELECT count(*)
    FROM (
        (SELECT FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.rank > e.level LIMIT %(cap)s)
        UNION ALL
        (SELECT FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.rank = {FAIR_RANK} AND e.level < 0 LIMIT %(cap)s)
        UNION ALL
        (SELECT FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.rank = e.rank AND r.pos < e.pos LIMIT %(cap)s)
    ) AS before
), CASE WHEN e.fair_key IS NOT NULL THEN (
    SELECT count(*) FILTER (WHERE b.fair_key <> e.fair_key)
    FROM (
        SELECT r.fair_key
        FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.rank = e.rank AND r.pos < e.pos
        ORDER BY r.pos
        LIMIT %(cap)s
    ) AS b
) END
FROM faktory_django_job j
CROSS JOIN LATERAL (
    (SELECT r.rank, r.pos, r.rank AS level, r.fair_key FROM faktory_django_ready r
    WHERE r.queue = j.queue AND r.rank = 2 * j.priority AND r.pos = j.id)
    UNION ALL
    (SELECT r.rank, r.pos, r.rank, r.fair_key FROM faktory_django_ready r
    WHERE r.queue = j.queue AND r.rank = {FIRST_RANK} AND r.job_id = j.id LIMIT 1)
    UNION ALL
    (SELECT r.rank, r.pos, r.rank, r.fair_key FROM faktory_django_ready r
    WHERE r.queue = j.queue AND r.rank = 2 * j.priority + 1 AND r.job_id = j.id LIMIT 1)
    UNION ALL
    (SELECT r.rank, r.pos, 0::smallint, r.fair_key FROM faktory_django_ready r
    WHERE r.queue = j.queue AND r.fair_key IS NOT NULL AND r.job_id = j.id LIMIT 1)
    LIMIT 1
) AS e
WHERE j.id = ANY(%(ids)b::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One job, where it is, who holds it, and how many come before it while it waits.

    others is how many of those before it have another fairness key, when it waits for its turn;
    limit is what it waits for before it enters its queue.
    """

    place: str
    job: AnyJob
    hold: Hold | None = None
    ahead: Count | None = None
    others: Count | None = None
    limit: Wait | None = None

    @property
    def key(self) -> str:
        """Its key as it stands in forms, whatever the language."""
        return str(self.job.pk)

    @property
    def contents(self) -> Contents:
        """What the job carries, secrets hidden."""
        return Contents.of(self.job)


def rows(request: HttpRequest, jid: str) -> list[Row]:
    """Return the jobs of a jid in queues that this person may see, the latest first.

    Seven queries at most.
    """
    return [row for row in _rows(jid) if access.opens(request, row.job.queue, "view")]


def queues_of(jid: str) -> set[str]:
    """Return the queues of all jobs of a jid that can still run."""
    living = [model for place, model in MODELS.items() if place != "dead"]
    return {queue for model in living for queue in _of(model, jid).values_list("queue", flat=True)}


def _rows(jid: str) -> Iterator[Row]:
    for place, model in MODELS.items():
        found = list(_of(model, jid).order_by("-pk")[:MAX_SHARED])
        if place == "waiting":
            yield from _in_queues(found)
        else:
            yield from (Row(place, job) for job in found)


def _in_queues(found: Sequence[AnyJob]) -> Iterable[Row]:
    ids = [job.pk for job in found]
    held = holds(ids)
    waiting = [key for key in ids if key not in held]
    before = _ahead(waiting) if waiting else {}
    limits = waits([key for key in waiting if key not in before])
    shown = []
    for job in found:
        ahead, others = before.get(job.pk, (None, None))
        shown.append(Row("waiting", job, held.get(job.pk), ahead, others, limits.get(job.pk)))
    return shown


def _ahead(ids: Sequence[int]) -> dict[int, tuple[Count, Count | None]]:
    """Return how many come before each job, and how many of these have another fairness key."""
    found = execute(database(None), AHEAD, {"ids": list(ids), "cap": CAP + 1})
    return {key: (_capped(n), None if m is None else _capped(m)) for key, n, m in found}


def _capped(size: int) -> Count:
    return Count(min(size, CAP), roughly=size > CAP)


def _of(model: type[AnyJob], jid: str) -> QuerySet[AnyJob]:
    return model._default_manager.using(database(None).alias).filter(jid=jid)
