"""The workers that are connected here: they come, beat and go, in the order of their words.

What is known of them is in the database, so that any server knows them; here is which connections
they have, and the state that was heard last.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from faktory_django.lifecycle import presence
from faktory_django.lifecycle.presence import WireBeat, WireWorker

from .database import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .client import Client
    from .database import Desk
    from .handshake import Hello

logger = logging.getLogger(__name__)
Step = tuple[WireWorker, int]


@dataclass(slots=True)
class Worker:
    """A wid that has connections here."""

    facts: WireWorker
    clients: set[Client] = field(default_factory=set)
    state: str = "running"


class Workers:
    """All workers that are connected to this server."""

    def __init__(self, desk: Desk, *, on_state: Callable[[Iterable[Client]], None]) -> None:
        self.by_wid: dict[str, Worker] = {}
        self._desk = desk
        self._on_state = on_state
        # how many connections of each the database knows from us
        self._stored: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        # those whose last connection has closed since: what comes then is a new worker
        self._ended: set[str] = set()
        self._awake = asyncio.Event()
        self._writing = asyncio.Lock()

    def came(self, client: Client, hello: Hello) -> None:
        """A connection of a worker."""
        facts = WireWorker(hello.wid, hello.hostname, hello.pid, hello.labels)
        worker = self.by_wid.get(hello.wid)
        if worker is None:
            worker = self.by_wid[hello.wid] = Worker(facts)
        worker.facts = facts
        worker.clients.add(client)
        self._note(hello.wid)

    def went(self, client: Client, wid: str) -> None:
        """One of its connections has closed."""
        worker = self.by_wid.get(wid)
        if worker is None or client not in worker.clients:
            return
        worker.clients.discard(client)
        if not worker.clients:
            del self.by_wid[wid]
            self._ended.add(wid)
        self._note(wid)

    def is_quiet(self, wid: str | None) -> bool:
        """Tell whether a worker wants no more jobs."""
        worker = self.by_wid.get(wid) if wid else None
        return worker is not None and worker.state != "running"

    async def beat(self, beats: list[WireBeat]) -> dict[str, str]:
        """Mark workers alive; return the states of those that are known.

        A worker that is connected here is known, whatever has become of its row.
        """
        await self.flush()
        states = await self._desk.call(presence.beat_wire, beats)
        missing = [b for b in beats if b.wid not in states and b.wid in self.by_wid]
        if missing:
            for b in missing:
                self._stored.pop(b.wid, None)
                self._note(b.wid)
            await self.flush()
            states |= await self._desk.call(presence.beat_wire, missing)
        for wid, state in states.items():
            self._heard(wid, state)
        return states

    async def run(self) -> None:
        """Write down who has come and gone."""
        while True:
            await self._awake.wait()
            try:
                await self.flush()
            except (DatabaseGone, DatabaseError):
                await asyncio.sleep(0.5)
                self._awake.set()

    async def look(self) -> list[Client]:
        """Hear the states of all workers here; return the connections of those forgotten."""
        known = [wid for wid in self.by_wid if wid in self._stored]
        if not known:
            return []
        states = await self._desk.call(presence.states_of, known)
        for wid, state in states.items():
            self._heard(wid, state)
        return [
            client
            for wid in known
            if wid not in states and (worker := self.by_wid.get(wid)) is not None
            for client in worker.clients
        ]

    async def flush(self) -> None:
        """Write down what has changed, now."""
        async with self._writing:
            self._awake.clear()
            while self._changed:
                changed, self._changed = self._changed, {}
                ended, self._ended = self._ended, set()
                counts = {wid: self._count(wid) for wid in changed}
                try:
                    taken = await self._desk.call(_store, self._steps(counts, ended))
                except (DatabaseGone, DatabaseError):
                    self._changed = changed | self._changed
                    self._ended |= ended
                    raise
                self._stored |= counts
                for wid in [wid for wid, count in counts.items() if not count]:
                    del self._stored[wid]
                for wid in taken:
                    logger.warning("the wid %s belongs to another process", wid)

    def _count(self, wid: str) -> int:
        worker = self.by_wid.get(wid)
        return len(worker.clients) if worker is not None else 0

    def _steps(self, counts: dict[str, int], ended: set[str]) -> list[Step]:
        """Return who left and came, in this order, so that one that is back is a new one."""
        steps: list[Step] = []
        for wid, count in counts.items():
            stored = self._stored.get(wid, 0)
            gone = stored if wid in ended else max(0, stored - count)
            if gone:
                steps.append((WireWorker(wid), -gone))
            if count > stored - gone:
                steps.append((self.by_wid[wid].facts, count - (stored - gone)))
        return steps

    def _note(self, wid: str) -> None:
        self._changed[wid] = None
        self._awake.set()

    def _heard(self, wid: str, state: str) -> None:
        worker = self.by_wid.get(wid)
        if worker is not None and worker.state != state:
            worker.state = state
            if state != "running":
                self._on_state(worker.clients)


def _store(connection: BaseDatabaseWrapper, steps: list[Step]) -> list[str]:
    """Write down who left and came; return the wids that are not to be had."""
    taken = []
    for facts, change in steps:
        if change < 0:
            presence.depart(connection, facts.wid, connections=-change)
        elif not presence.arrive(connection, facts, connections=change):
            taken.append(facts.wid)
    return taken
