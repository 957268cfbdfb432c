"""Fetch: a consumer takes jobs out of its queues under a lease."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django import settings

from .ack import LeaseAck, ack_params
from .connection import execute
from .lanes import FAIR_RANK
from .turn import CLAIM_EACH, TURN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

# When another claims from a throttled queue, come again after about so long.
AGAIN_SECONDS: Final = 0.01


# Where jobs take turns, new ones enter just above the head. One that was pushed while others were
# claimed lies below the watermark, and would draw the next ones of its key down with it.
LAG_SECONDS: Final = 0.1


class Claimed(NamedTuple):
    """A job in the hands of a consumer; enqueued_at is in Unix seconds of the database.

    traits is what its features know of it, as JSON; None for a plain job.
    """

    id: int
    lease: int
    queue: str
    rank: int
    pos: int
    crashes: int
    enqueued_at: float
    failure: str | None
    body: str
    traits: str | None = None
    # on the wire, for which of those that asked: 1 for the first
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn brought.

    lost are the leases that did not end all their jobs; lease is set when one was made, even
    for entries whose jobs were discarded meanwhile; moment is in Unix seconds of the database;
    swept: it looked from the beginning, so what it did not find was not there. contended: it
    passed over a throttled queue from which another was claiming, so a look soon is due.
    """

    jobs: list[Claimed]
    lost: list[LeaseAck]
    lease: int | None
    moment: float
    swept: bool
    contended: bool = False


class Trail(NamedTuple):
    """The watermark of a lane some time ago: older is 1 to 2 LAG_SECONDS old."""

    since: float
    older: int
    newer: int

    def after(self, now: float, pos: int) -> Trail:
        """Return the trail after a claim at pos; what a sweep finds sets it back."""
        if now - self.since < LAG_SECONDS:
            return Trail(self.since, min(self.older, pos), min(self.newer, pos))
        return Trail(now, min(self.newer, pos), pos)


@dataclass(slots=True)
class Consumer:
    """One consumer's place in the lanes of its queues.

    `listens` makes it wakeable: it is registered while it has room and finds nothing.
    """

    wid: str
    listens: bool = False
    waiting: bool = False
    clock: Callable[[], float] = time.monotonic
    watermarks: dict[tuple[str, int], int] = field(default_factory=dict)
    trails: dict[str, Trail] = field(default_factory=dict)
    next_sweep: float = 0.0

    def turn(
        self,
        connection: BaseDatabaseWrapper,
        queues: Sequence[str],
        wanted: int,
        acks: Sequence[LeaseAck] = (),
        *,
        startable: int | None = None,
    ) -> Turn:
        """End what acks names, then claim up to wanted jobs of queues, the first one first.

        From throttled queues only as many as can start at once; None: all that are wanted. A
        result shorter than wanted does not mean that the queues are empty.
        """
        params = self._lanes(queues, wanted) | ack_params(acks)
        params["waiting"] = self.waiting or not self.listens
        params["startable"] = wanted if startable is None else startable
        params["fast"] = settings.get().fast_acks
        return self.took(execute(connection, TURN, params), acks)

    def turn_each(
        self, connection: BaseDatabaseWrapper, queues: Sequence[str], wids: Sequence[str]
    ) -> Turn:
        """Claim a job for each wid, under a lease of its own that ends by itself."""
        return self.took(execute(connection, CLAIM_EACH, self.claim_params(queues, wids)))

    def claim_params(self, queues: Sequence[str], wids: Sequence[str]) -> dict[str, Any]:
        """Return the parameters of CLAIM_EACH."""
        return self._lanes(queues, len(wids)) | {"wids": list(wids)}

    def took(self, rows: Sequence[tuple[Any, ...]], acks: Sequence[LeaseAck] = ()) -> Turn:
        """Take note of what a turn brought, and return it."""
        counts, moment, sweep_ms, registered, contended = rows[-1][11:]
        jobs = [Claimed._make(row[:11]) for row in rows[:-1]]
        # the last of a lane stays; what a sweep finds sets the watermark back to it
        lanes = {(job.queue, job.rank): job.pos for job in jobs}
        self.watermarks.update(lanes)
        for (queue, rank), pos in lanes.items():
            if rank == FAIR_RANK:
                now = self.clock()
                self.trails[queue] = self.trails.get(queue, Trail(now, pos, pos)).after(now, pos)
        if sweep_ms is not None:
            self.next_sweep = self.clock() + 9 * sweep_ms / 1000
        if self.listens:
            self.waiting = registered
        lost = [ack for ack, n in zip(acks, counts, strict=True) if n != len(ack.ids)]
        swept = sweep_ms is not None
        return Turn(jobs, lost, rows[-1][1], moment, swept=swept, contended=contended)

    def _lanes(self, queues: Sequence[str], wanted: int) -> dict[str, Any]:
        known = set(queues)
        lanes = [(*lane, pos) for lane, pos in self.watermarks.items() if lane[0] in known]
        return {
            "holder": self.wid,
            "wanted": wanted,
            # each once: a throttled queue is counted when it is come to
            "queues": list(dict.fromkeys(queues)),
            "lane_queues": [queue for queue, _, _ in lanes],
            "lane_ranks": [rank for _, rank, _ in lanes],
            "lane_afters": [
                self.trails[queue].older if rank == FAIR_RANK else pos for queue, rank, pos in lanes
            ],
            # sweeping takes a tenth of the time at most: dead entries make it dear
            "sweep": self.clock() >= self.next_sweep,
        }
