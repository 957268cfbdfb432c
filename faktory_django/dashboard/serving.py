"""Serving: which workers take jobs from a queue, and how much room they have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from faktory_django import settings
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.holders import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

MAX_PROCESSES: Final = 1_000

PROCESSES: Final = """
SELECT p.kind, p.queues, p.state, p.concurrency, p.running, p.beat_at, p.connections
FROM faktory_django_process p
ORDER BY p.wid
LIMIT %(limit)s
"""
FLAGS: Final = """
SELECT n.name, coalesce(q.paused, false), EXISTS (
    SELECT FROM faktory_django_waiter w WHERE n.name = ANY(w.queues)
), t.concurrency, t.per_worker, CASE WHEN t.concurrency IS NULL THEN 0 ELSE (
    SELECT count(*)
    FROM faktory_django_lease l
    WHERE l.queue = n.name AND l.claimed_at > coalesce(
        clock_timestamp() - t.timeout_seconds * interval '1 s', '-infinity')
) END
FROM unnest(%(names)b::text[]) AS n(name)
LEFT JOIN faktory_django_queue q ON q.name = n.name
LEFT JOIN faktory_django_throttle t ON t.queue = n.name
"""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process; kind and state are those of the model."""

    kind: str
    queues: Sequence[str]
    state: str
    slots: int
    busy: int
    silent: bool


@dataclass(frozen=True, slots=True)
class Service:
    """Who serves a queue: Python workers by what they do, those on the wire that may.

    Workers on the wire name their queues only when they fetch; asking says that somebody who
    waits has named this one. upkeep says that a process lives that moves jobs that are due.
    permits and per_worker are those of its throttle, None without.
    """

    queue: str
    paused: bool = False
    running: int = 0
    quiet: int = 0
    silent: int = 0
    slots: int = 0
    busy: int = 0
    wire: int = 0
    asking: bool = False
    upkeep: bool = True
    permits: int | None = None
    per_worker: int | None = None
    taken: int = 0

    @property
    def full(self) -> bool:
        """Whether all slots of its Python workers are busy."""
        return 0 < self.slots <= self.busy


def services(names: Iterable[str], now: datetime) -> dict[str, Service]:
    """Return who serves each of these queues; two queries."""
    connection = database(None)
    rows = execute(connection, PROCESSES, {"limit": MAX_PROCESSES})
    workers = [_worker(*row, now=now) for row in rows]
    wanted = sorted(set(names))
    flags = {name: flags for name, *flags in execute(connection, FLAGS, {"names": wanted})}
    return {name: service(name, workers, *flags[name]) for name in wanted}


def service(
    name: str,
    workers: Sequence[Worker],
    paused: bool,  # noqa: FBT001
    asking: bool,  # noqa: FBT001
    permits: int | None = None,
    per_worker: int | None = None,
    taken: int = 0,
) -> Service:
    """Add up who serves a queue."""
    ours = [w for w in workers if w.kind == "python" and name in w.queues]
    live = [w for w in ours if not w.silent]
    taking = [w for w in live if w.state == "running"]
    return Service(
        name,
        paused=paused,
        running=len(taking),
        quiet=len(live) - len(taking),
        silent=len(ours) - len(live),
        slots=sum(w.slots for w in taking),
        busy=sum(w.busy for w in taking),
        wire=sum(w.kind == "wire" and w.state == "running" and not w.silent for w in workers),
        asking=asking,
        upkeep=any(w.kind != "wire" and not w.silent for w in workers),
        permits=permits,
        per_worker=per_worker,
        taken=taken,
    )


def _worker(
    kind: str,
    queues: Sequence[str],
    state: str,
    slots: int,
    running_text: str,
    beat_at: datetime,
    connections: int,
    *,
    now: datetime,
) -> Worker:
    silent = now - beat_at > timedelta(seconds=_patience()[kind])
    gone = kind == "wire" and connections <= 0
    return Worker(kind, queues, state, slots, len(running(running_text)), silent or gone)


def _patience() -> Mapping[str, float]:
    ours = settings.get()
    return {
        "python": ours.silent_process_seconds,
        "server": ours.silent_process_seconds,
        "wire": ours.silent_wire_seconds,
    }
