"""Fleet: processes as their page shows them, and the jobs that they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from faktory_django import contents
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.holders import limits, running
from faktory_django.models import Process

from . import access, queries_busy
from .page import now
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from django.http import HttpRequest

MAX_ARGS: Final = 120
LONGEST_BODY: Final = 65_536
# No fleet is larger; it bounds what "all" means.
MAX_WORKERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One process; held are the jobs that its leases name."""

    wid: str
    kind: str
    hostname: str
    pid: int
    labels: list[str]
    queues: list[str]
    version: str
    concurrency: int
    state: str
    started_at: datetime
    beat_at: datetime
    connections: int
    rss_kb: int
    running: str
    held: int

    @property
    def name(self) -> str:
        """Host and process id; the wid where a client says neither."""
        return f"{self.hostname}:{self.pid}" if self.hostname or self.pid else self.wid

    @property
    def busy(self) -> int:
        """How many jobs it runs; what a client of the wire holds, it runs."""
        return self.held if self.kind == Process.Kind.WIRE else len(running(self.running))

    @property
    def kind_label(self) -> str:
        """What it is, in words."""
        return str(Process.Kind(self.kind).label)

    @property
    def state_label(self) -> str:
        """What was asked of it, in words."""
        return str(Process.State(self.state).label)

    @property
    def may_quiet(self) -> bool:
        """Whether it would understand: a server is stopped where it runs."""
        return self.kind != Process.Kind.SERVER and self.state == Process.State.RUNNING

    @property
    def may_stop(self) -> bool:
        """Whether it has not been asked to stop yet."""
        return self.kind != Process.Kind.SERVER and self.state != Process.State.TERMINATE


class Start(NamedTuple):
    """Who began a run and when; limit_seconds is the time that it has asked for, 0 for none."""

    process: str
    at: datetime
    limit_seconds: float


class Job(NamedTuple):
    """A job in work; body is None when it is too long."""

    id: int
    jid: str
    jobtype: str
    queue: str
    reserve_for: int
    body: str | None
    percent: int | None
    text: str | None
    cancelling: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A job in work; part is how much of its time it has used, from 0 to 1 and beyond.

    reserve_for is what it may take in all, also when it has asked for more; progress is what it
    says of itself.
    """

    jid: str
    name: str
    queue: str
    args: str
    process: str
    started_at: datetime
    age_seconds: float
    reserve_for: float
    progress: Progress
    cancelling: bool
    may_cancel: bool

    @property
    def part(self) -> float:
        """How much of its reservation it has used."""
        return self.age_seconds / self.reserve_for if self.reserve_for else 0.0

    @property
    def part_value(self) -> str:
        """The same for HTML, whatever the language writes for a point."""
        return f"{min(self.part, 1):.3f}"

    @property
    def late(self) -> bool:
        """Whether it has used nine tenths of its time."""
        return self.part > 0.9


def processes(*, after: str, limit: int) -> tuple[list[Row], bool]:
    """Return processes by host and pid, those after another one, and whether more follow."""
    params = {"after": after, "limit": limit + 1}
    found = [Row(*row) for row in execute(database(None), queries_busy.PROCESSES, params)]
    return found[:limit], len(found) > limit


def workers(wid: str | None = None) -> list[str]:
    """Return the processes that can be asked to be quiet or to stop, or the one of them."""
    rows = Process.objects.using(database(None).alias).exclude(kind=Process.Kind.SERVER)
    if wid is not None:
        rows = rows.filter(wid=wid)
    return list(rows.order_by("wid").values_list("wid", flat=True)[:MAX_WORKERS])


def runs(request: HttpRequest, found: Sequence[Row], *, limit: int) -> tuple[list[Run], bool]:
    """Return what these processes, and all clients of the wire, run: the longest first."""
    started = dict(_started(found))
    reserved = execute(database(None), queries_busy.RESERVED, {"limit": limit})
    for job, wid, process, claimed_at, expires_at in reserved:
        limit_seconds = (expires_at - claimed_at).total_seconds()
        started[job] = Start(process or wid or "-", claimed_at, limit_seconds)
    oldest = sorted(started, key=lambda job: started[job].at)
    jobs = _jobs(request, oldest[:limit])
    at = now(request)
    shown = [_run(request, jobs[job], started[job], at) for job in oldest[:limit] if job in jobs]
    return shown, len(oldest) > limit


def _started(found: Sequence[Row]) -> Iterator[tuple[int, Start]]:
    for row in found:
        more = limits(row.running)
        for job, at in running(row.running).items():
            if 0 < job < 2**63:
                yield job, Start(row.name, at, more.get(job, 0.0))


def _jobs(request: HttpRequest, ids: Sequence[int]) -> dict[int, Job]:
    params = {"ids": list(ids), "longest": LONGEST_BODY}
    found = [Job(*row) for row in execute(database(None), queries_busy.JOBS, params)]
    visible = set(access.opened(request, {job.queue for job in found}, "view"))
    return {job.id: job for job in found if job.queue in visible}


def _run(request: HttpRequest, job: Job, start: Start, now: datetime) -> Run:
    args, body = "", contents.loads(job.body)
    if access.may(request, "args") and access.opens(request, job.queue, "args"):
        args = contents.args_line(job.jobtype, job.body, body)
    return Run(
        jid=job.jid,
        name=contents.name(job.jobtype, body),
        queue=job.queue,
        args=args if len(args) <= MAX_ARGS else f"{args[:MAX_ARGS]}…",
        process=start.process,
        started_at=start.at,
        age_seconds=max(0.0, (now - start.at).total_seconds()),
        reserve_for=max(job.reserve_for, start.limit_seconds),
        progress=Progress(job.percent, job.text),
        cancelling=job.cancelling,
        may_cancel=not job.cancelling and access.opens(request, job.queue, "act"),
    )
