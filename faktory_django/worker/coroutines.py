"""Async jobs: one event loop in a thread of its own, a bounded number of slots on it.

Each slot is a task with a ThreadSensitiveContext of its own, so that the ORM calls of different
jobs do not queue behind one thread; a job runs as a task of its own inside.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async

from faktory_django.errors import JobTimeout

from .connections import tidy
from .runner import arun, conclude
from .threads import STUCK_AFTER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .board import Board
    from .runner import Outcome, Prepared

logger = logging.getLogger(__name__)
Item = tuple["Prepared", float]


@dataclass(slots=True)
class _Run:
    """A run under way; the loop and the watch may both want to say how it ended."""

    prepared: Prepared
    waited: float
    started: float
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """Return True to the first who asks: it is theirs to conclude."""
        return self._lock.acquire(blocking=False)


class Coroutines:
    """The event loop of a process and its slots, numbered on the board from first_slot."""

    def __init__(
        self, slots: int, board: Board, first_slot: int, done: Callable[[Outcome], None]
    ) -> None:
        self.slots = slots
        self._board = board
        self._first_slot = first_slot
        self._done = done
        self.loop = asyncio.new_event_loop()
        # Jobs lie where every thread can take them back; a ticket says that one may be there.
        self._waiting: deque[Item] = deque()
        self._tickets: asyncio.Queue[None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = 0
        self._runs: dict[int, _Run] = {}
        self.stuck = False
        self._thread = threading.Thread(target=self._main, name="coroutines", daemon=True)

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def submit(self, items: Sequence[Item]) -> None:
        """Run these jobs; to be called from any thread, once for a batch."""
        self._waiting.extend(items)
        self.loop.call_soon_threadsafe(self._accept, len(items))

    def waiting(self) -> int:
        """Return how many jobs have not started."""
        return len(self._waiting)

    def take_back(self) -> list[Item]:
        """Return the jobs that have not started, and forget them; the loop may be blocked."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._waiting.popleft())
        return taken

    def watch(self, now: float) -> list[Outcome]:
        """Return the outcomes of runs that go on beyond their time; what they say later is dropped.

        A job may ignore its cancellation, or block the loop so that there is none.
        """
        given_up = []
        for run in list(self._runs.values()):
            late = run.started + run.prepared.limit_seconds + STUCK_AFTER_SECONDS
            if now >= late and run.claim():
                self.stuck = True
                logger.error("job %s does not end; the process is replaced", run.prepared.jobtype)
                ran = now - run.started
                given_up.append(conclude(run.prepared, run.waited, ran, JobTimeout()))
        return given_up

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _accept(self, items: int) -> None:
        for _ in range(items):
            self._tickets.put_nowait(None)
        while len(self._tasks) < self.slots and self._idle < self._tickets.qsize():
            number = self._first_slot + len(self._tasks)
            self._tasks.append(self.loop.create_task(self._slot(number)))
            self._idle += 1

    async def _slot(self, number: int) -> None:
        async with ThreadSensitiveContext() as context:
            while True:
                await self._tickets.get()
                try:
                    prepared, waited_at = self._waiting.popleft()
                except IndexError:  # it was taken back
                    continue
                self._idle -= 1
                outcome = await self._run(number, prepared, waited_at + time.monotonic())
                if context in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(tidy)()
                self._idle += 1
                if outcome is not None:
                    self._done(outcome)

    async def _run(self, number: int, prepared: Prepared, waited: float) -> Outcome | None:
        started = time.monotonic()
        run = self._runs[number] = _Run(prepared, waited, started)
        self._board.enter(number, prepared.claimed.id, started, started + prepared.limit_seconds)
        raised: BaseException | None = None
        timeout = asyncio.timeout(prepared.limit_seconds)
        try:
            async with timeout:
                raised = await asyncio.create_task(_contained(prepared))
        except BaseException as error:  # noqa: BLE001 - the application's function raised it
            raised = error
        finally:
            self._board.leave(number)
        del self._runs[number]
        if not run.claim():
            return None
        if timeout.expired():
            raised = JobTimeout()
        return conclude(prepared, waited, time.monotonic() - started, raised)


async def _contained(prepared: Prepared) -> BaseException | None:
    """Run a job and return what it raised: some of it would end the event loop."""
    try:
        await arun(prepared)
    except BaseException as raised:  # noqa: BLE001 - the application's function raised it
        return raised
    return None
