"""Counts: how much is in each place: exact while it is little, else an estimate that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from faktory_django.lifecycle import queues
from faktory_django.lifecycle.connection import database, execute

from . import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.http import HttpRequest

CAP: Final = 10_000
# Many queues are counted up to less, so that they cost as much as a few.
FEW_QUEUES: Final = 3
MANY_CAP: Final = 1_000

_UP_TO: Final = """(
        SELECT count(*) FROM (SELECT FROM faktory_django_{table} LIMIT %(cap)s + 1) AS capped
    ), (
        SELECT c.reltuples::bigint FROM pg_class c WHERE c.oid = 'faktory_django_{table}'::regclass
    )"""
COUNTS: Final = f"""
SELECT {_UP_TO.format(table="ready")},
    {_UP_TO.format(table="scheduledjob")},
    {_UP_TO.format(table="retryjob")},
    {_UP_TO.format(table="deadjob")},
    (
        -- a worker claims more than it can run at a time
        SELECT coalesce(sum(
            CASE WHEN p.kind = 'python' THEN least(held.jobs, p.concurrency) ELSE held.jobs END
        ), 0)
        FROM (
            SELECT l.wid, count(*) AS jobs
            FROM faktory_django_lease l
            CROSS JOIN LATERAL unnest(l.ids) AS i(id)
            JOIN faktory_django_job j ON j.id = i.id
            GROUP BY l.wid
        ) AS held
        LEFT JOIN faktory_django_process p ON p.wid = held.wid
    ), (
        SELECT coalesce(sum(p.concurrency), 0) FROM faktory_django_process p
        WHERE p.kind = 'python'
    ),
    {_UP_TO.format(table="limitedjob")}
"""
PLACES: Final = ("queues", "scheduled", "retries", "dead")


# What the planner knows of the queues that hold most, for the table as large as it is.
QUEUE_ESTIMATES: Final = """
SELECT v.name, (
    v.part * c.reltuples / greatest(c.relpages, 1)
    * pg_relation_size(c.oid) / current_setting('block_size')::int
)::bigint
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
CROSS JOIN LATERAL unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS v(name, part)
WHERE c.oid = 'faktory_django_ready'::regclass AND s.attname = 'queue'
"""


class Count(NamedTuple):
    """A number of jobs; roughly says that it is an estimate, least that there are just more."""

    number: int
    roughly: bool = False
    least: bool = False

    def text(self, shown: Callable[[float], str] = figures.tile) -> str:
        """Return it for people: 1,204, ≈ 1,200,000 for an estimate, > 10,000 without one."""
        if self.least:
            return f"> {shown(self.number)}"
        if not self.roughly:
            return shown(self.number)
        return f"≈ {shown(round(self.number, 2 - len(str(self.number))))}"


def counts(request: HttpRequest) -> dict[str, Count]:
    """Return how many jobs are in "queues", "scheduled", "retries", "dead" and "busy".

    "slots" is how many jobs our processes can run at a time. One query for each request.
    """
    if "faktory_counts" not in vars(request):
        row = execute(database(None), COUNTS, {"cap": CAP})[0]
        # what waits for a limit waits in its queue too
        row = (row[0] + row[10], row[1] + max(row[11], 0), *row[2:])
        pairs = zip(PLACES, row[0:8:2], row[1:8:2], strict=True)
        found = {place: capped(size, estimate) for place, size, estimate in pairs}
        found |= {"busy": Count(int(row[8])), "slots": Count(int(row[9]))}
        vars(request)["faktory_counts"] = found
    known: dict[str, Count] = vars(request)["faktory_counts"]
    return known


def capped(size: int, estimate: int, cap: int = CAP) -> Count:
    """Return a count up to the cap, beyond it the planner's estimate, if that is beyond it too."""
    if size <= cap:
        return Count(size)
    if estimate > size:
        return Count(estimate, roughly=True)
    return Count(cap, roughly=True, least=True)


def queue_counts(names: Sequence[str]) -> dict[str, Count]:
    """Return how much waits in each queue; one query, two when one is large."""
    if not names:
        return {}
    cap = CAP if len(names) <= FEW_QUEUES else MANY_CAP
    sizes = queues.sizes(names, cap=cap + 1)
    large = any(size > cap for size in sizes.values())
    estimates = dict(execute(database(None), QUEUE_ESTIMATES)) if large else {}
    return {name: capped(sizes[name], estimates.get(name, 0), cap) for name in names}
