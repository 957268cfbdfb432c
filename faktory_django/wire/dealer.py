"""The dealer: clients that FETCH wait here, in the order in which they came, for up to 2 s.

It claims for all of them at once, one statement for each list of queues. What it knows to be empty
it does not look at again until somebody pushes, a notification comes, or a second has passed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.db import Error as DjangoDatabaseError

from faktory_django import payload, settings
from faktory_django.lifecycle import expiry, reservation
from faktory_django.lifecycle.beat import STOP_WAITING, WAIT
from faktory_django.lifecycle.fetch import AGAIN_SECONDS, Consumer
from faktory_django.lifecycle.start import sort_out, unlocking
from faktory_django.lifecycle.turn import CLAIM_EACH
from faktory_django.settings import check_queue_name

from . import frames
from .database import NOT_THERE, DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from faktory_django.lifecycle.fetch import Claimed
    from faktory_django.lifecycle.start import Sorted

    from .client import Client
    from .database import Desk, Link

logger = logging.getLogger(__name__)

FETCH_SECONDS: Final = 2.0
MAX_CLAIM: Final = 500
# How many more are claimed at once where jobs have expired, and for how long one claim goes on.
EXPIRED_AT_ONCE: Final = 100
EXPIRED_SECONDS: Final = 0.25


@dataclass(eq=False, slots=True)
class Waiter:
    """One FETCH that waits. looks: a claim is due for it; muted: its worker is quiet."""

    client: Client
    turn: int
    queues: tuple[str, ...]
    muted: bool
    looks: bool = False
    asked: bool = False
    over: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Dealer:
    """Claims jobs for the clients that wait and deals them out."""

    def __init__(
        self,
        wid: str,
        link: Link,
        desk: Desk,
        *,
        listens: bool,
        on_claim: Callable[[Sequence[Claimed]], None],
    ) -> None:
        self.waiters: dict[Client, Waiter] = {}
        self._wid = wid
        self._link = link
        self._desk = desk
        self._listens = listens
        self._on_claim = on_claim
        self._consumer = Consumer(wid)
        self._stirred = asyncio.Event()
        self._empty_since: dict[tuple[str, ...], float] = {}
        self._stirs = 0
        self._registered: frozenset[str] = frozenset()
        self._unclaimed: list[int] = []
        self._last_lease = 0
        self._claimed_lease = 0
        self._in_doubt = False

    # what the server calls

    def wait(self, client: Client, turn: int, queues: tuple[str, ...], *, muted: bool) -> None:
        """Let a FETCH wait."""
        names = tuple(name for name in queues if check_queue_name(name) is None)
        waiter = Waiter(client, turn, names, muted)
        loop = asyncio.get_running_loop()
        waiter.timer = loop.call_later(FETCH_SECONDS, self._time_is_up, waiter)
        self.waiters[client] = waiter
        if names and not muted and not self._is_empty(names):
            # with those that wait for one of these queues already: they come first
            self._look_for(set(names))

    def forget(self, client: Client) -> None:
        """The client is gone: it takes no job."""
        if (waiter := self.waiters.pop(client, None)) is not None and waiter.timer is not None:
            waiter.timer.cancel()

    def mute(self, clients: Iterable[Client]) -> None:
        """These workers want no more jobs."""
        for client in clients:
            if (waiter := self.waiters.get(client)) is not None:
                waiter.muted, waiter.looks = True, False

    def stir(self, queues: set[str] | None = None) -> None:
        """There may be jobs in these queues, or in any."""
        self._stirs += 1
        if self._empty_since:
            for names in list(self._empty_since):
                if queues is None or not queues.isdisjoint(names):
                    del self._empty_since[names]
        self._look_for(queues)

    def drop_waiters(self) -> None:
        """Answer all that wait: there is no job for them."""
        for waiter in list(self.waiters.values()):
            self._answer(waiter, frames.NIL)

    # the task

    async def run(self) -> None:
        """Claim for those that wait, whenever there may be something."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while asking := self._first_in_line():
                await self._claim_for(asking[0].queues, asking)
            if self._unclaimed:
                await self._give_back()

    async def poll(self) -> None:
        """Look again every so often: a notification is only a hint."""
        while True:
            await asyncio.sleep(settings.get().poll_seconds)
            if self.waiters:
                self.stir()
            elif self._registered:
                await self.deregister()

    async def deregister(self) -> None:
        """Nobody waits here: pushes need not tell us."""
        try:
            await self._link.execute(STOP_WAITING, {"wid": self._wid})
        except (DatabaseGone, psycopg.Error):
            return
        self._registered = frozenset()
        self._empty_since.clear()

    def _look_for(self, queues: set[str] | None) -> None:
        for waiter in self.waiters.values():
            if not waiter.muted and (queues is None or not queues.isdisjoint(waiter.queues)):
                waiter.looks = True
                self._stirred.set()

    def _first_in_line(self) -> list[Waiter]:
        """Return those that one claim can serve without passing over one that came before."""
        asking: list[Waiter] = []
        for waiter in self.waiters.values():
            if not waiter.looks:
                continue
            if not asking or waiter.queues == asking[0].queues:
                asking.append(waiter)
            elif not set(asking[0].queues).isdisjoint(waiter.queues):
                break
        return asking[:MAX_CLAIM]

    def _is_empty(self, names: tuple[str, ...]) -> bool:
        since = self._empty_since.get(names)
        return since is not None and time.monotonic() - since < settings.get().poll_seconds

    async def _claim_for(self, names: tuple[str, ...], asking: list[Waiter]) -> None:
        for waiter in asking:
            waiter.looks, waiter.asked = False, True
        try:
            if self._in_doubt and not await self._settle_doubt():
                raise DatabaseGone(NOT_THERE)
            found = await self._claim(names, asking)
            if len(found) < len(asking) and await self._register(names):
                found |= await self._claim(names, [w for w in asking if w not in found])
        except DatabaseGone as wrong:
            self._in_doubt = True
            self._fail(asking, str(wrong))
        except (psycopg.Error, DjangoDatabaseError) as wrong:
            # what it took is not dealt out: it goes back
            logger.exception("a claim failed")
            self._in_doubt = True
            self._fail(asking, str(wrong))
        else:
            self._deal(asking, found)

    async def _claim(self, names: tuple[str, ...], asking: list[Waiter]) -> dict[Waiter, Claimed]:
        """Claim for those that ask, past what has expired, though not for ever at one go."""
        until = time.monotonic() + EXPIRED_SECONDS
        found: dict[Waiter, Claimed] = {}
        starting: list[Claimed] = []
        extra = 0
        while lacking := [waiter for waiter in asking if waiter not in found]:
            wids = [waiter.client.session.wid or "" for waiter in lacking]
            seen = await self._look(names, [*wids, *[""] * extra])
            for job in seen.to_run:
                # a lease names who asked for it; one that was made for nobody goes back
                if job.place is not None and job.place <= len(lacking):
                    found[lacking[job.place - 1]] = job
                else:
                    self._unclaimed.append(job.lease)
            starting += seen.to_unlock
            if not seen.expired:
                break
            # it is among others of its kind
            extra = EXPIRED_AT_ONCE
            if time.monotonic() > until:
                for waiter in lacking:
                    waiter.looks = waiter not in found
                break
        dealt = [job.lease for job in found.values()]
        if started := [job for job in starting if job.lease in dealt]:
            await self._link.execute(*unlocking(started))
        return found

    async def _look(self, names: tuple[str, ...], wids: list[str]) -> Sorted:
        """Claim a job for each of these, and throw away what has expired."""
        params = self._consumer.claim_params(names, wids)
        stirs = self._stirs
        turn = self._consumer.took(await self._link.execute(CLAIM_EACH, params))
        if turn.jobs:
            self._on_claim(turn.jobs)
            self._claimed_lease = max(self._claimed_lease, turn.jobs[-1].lease)
        seen = sort_out(turn.jobs, turn.moment)
        if seen.expired:
            await self._desk.call(expiry.throw_away, seen.expired)
        # only what was looked for from the beginning is known not to be there, and only if
        # nothing has come while the answer was under way
        nothing_left = len(turn.jobs) < len(wids) and turn.swept and stirs == self._stirs
        if turn.contended:
            nothing_left = False
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._look_for, set(names))
        if nothing_left and self._covers(names):
            self._empty_since[names] = time.monotonic()
        return seen

    def _deal(self, asking: list[Waiter], found: dict[Waiter, Claimed]) -> None:
        # until here an error puts all of it back
        self._last_lease = self._claimed_lease
        for waiter in asking:
            waiter.asked = False
            job = found.get(waiter)
            if job is None:
                if waiter.over:
                    self._answer(waiter, frames.NIL)
            elif waiter.client.is_gone() or self.waiters.get(waiter.client) is not waiter:
                self._unclaimed.append(job.lease)
            else:
                self._answer(waiter, frames.bulk(shown(job)))

    def _covers(self, names: tuple[str, ...]) -> bool:
        return not self._listens or self._registered.issuperset(names)

    async def _register(self, names: tuple[str, ...]) -> bool:
        """Ask to be told of pushes; return whether that is new, so that one look more is due."""
        if not self._listens or self._registered.issuperset(names):
            return False
        wanted = frozenset(q for w in self.waiters.values() if not w.muted for q in w.queues)
        wanted |= frozenset(names)
        await self._link.execute(WAIT, {"wid": self._wid, "queues": sorted(wanted)})
        self._registered = wanted
        return True

    async def _give_back(self) -> None:
        leases, self._unclaimed = self._unclaimed, []
        await self._try(reservation.return_claims, leases)
        self.stir()

    async def _settle_doubt(self) -> bool:
        """A claim was not answered: what it took goes back before anything else is claimed."""
        arguments = (self._wid, self._last_lease)
        if not await self._try(reservation.return_unanswered_claims, *arguments):
            return False
        self._in_doubt = False
        self._registered = frozenset()
        self._empty_since.clear()
        return True

    async def _try(self, verb: Callable[..., int], *arguments: Any) -> bool:
        try:
            returned = await self._desk.call(verb, *arguments)
        except (DatabaseGone, DjangoDatabaseError):
            return False
        if returned:
            logger.info("put back %d jobs that no client has got", returned)
        return True

    def _time_is_up(self, waiter: Waiter) -> None:
        if waiter.asked:
            waiter.over = True
        else:
            self._answer(waiter, frames.NIL)

    def _fail(self, asking: list[Waiter], text: str) -> None:
        for waiter in asking:
            waiter.asked = False
            self._answer(waiter, frames.error(text or NOT_THERE))

    def _answer(self, waiter: Waiter, data: bytes) -> None:
        if self.waiters.get(waiter.client) is waiter:
            self.forget(waiter.client)
            waiter.client.answer(waiter.turn, data)


def shown(job: Claimed) -> bytes:
    """Return a job as FETCH gives it (protocol section 5.3)."""
    return payload.with_failure(job.body, job.failure, payload.rfc3339(job.enqueued_at)).encode()
