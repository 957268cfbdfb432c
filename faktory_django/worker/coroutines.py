"""Async jobs: one event loop in a thread of its own, a bounded number of slots on it.

A job is a task of its own. Its slot has a thread of its own for what the job awaits by
sync_to_async, such as the ORM: calls of different jobs neither queue behind each other nor share
a connection. The slot that came free last is the first to be used, so that few threads and
connections serve few jobs.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from faktory_django.errors import JobCancelled, JobTimeout, ReservationLost

from .connections import IDLE_SECONDS, close_idle, tidy
from .runner import arun, conclude
from .threads import STUCK_AFTER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from faktory_django.api.context import CurrentJob

    from .board import Board
    from .runner import Outcome, Prepared

logger = logging.getLogger(__name__)
Item = tuple["Prepared", float]


@dataclass(slots=True)
class _Slot:
    """A place for one job; runs counts those that it has had."""

    number: int
    context: ThreadSensitiveContext = field(default_factory=ThreadSensitiveContext)
    runs: int = 0

    def executor(self) -> Executor | None:
        """Return the thread of its jobs' sync calls; None when no job has made any."""
        return SyncToAsync.context_to_thread_executor.get(self.context)


@dataclass(slots=True)
class _Run:
    """A run under way; the loop and the watch may both want to say how it ended."""

    prepared: Prepared
    waited: float
    started: float
    task: asyncio.Task[BaseException | None]
    late: bool = False
    ends_at: float = math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """Return True to the first who asks: it is theirs to conclude."""
        return self._lock.acquire(blocking=False)


class Coroutines:
    """The event loop of a process and its slots, numbered on the board from first_slot."""

    def __init__(
        self,
        slots: int,
        board: Board,
        first_slot: int,
        done: Callable[[Outcome], None],
        using: str,
    ) -> None:
        self.slots = slots
        self._using = using
        self._board = board
        self._done = done
        self.loop = asyncio.new_event_loop()
        self._free = [_Slot(first_slot + n) for n in reversed(range(slots))]
        # Jobs lie where every thread can take them back.
        self._waiting: deque[Item] = deque()
        self._runs: dict[int, _Run] = {}
        self.stuck = False
        self._thread = threading.Thread(target=self._main, name="coroutines", daemon=True)

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def submit(self, items: Sequence[Item]) -> None:
        """Run these jobs; to be called from any thread, once for a batch."""
        self._waiting.extend(items)
        self.loop.call_soon_threadsafe(self._start_waiting)

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

    def extend(self, job: CurrentJob, seconds: float) -> bool:
        """Let the run of a job take until seconds from now; False when it is not run here.

        Raises ReservationLost when its time is over.
        """
        for number, run in list(self._runs.items()):
            prepared = run.prepared
            if prepared.job is job:
                if run.late:
                    raise ReservationLost("the time of the run is over")
                limit = prepared.extend(time.monotonic() - run.started + seconds)
                self._board.extend(number, prepared.claimed.id, run.started, limit)
                return True
        return False

    def cancel(self, prepared: Prepared) -> None:
        """Cancel a run that somebody does not want any more; one that has not begun sees it."""
        for run in list(self._runs.values()):
            if run.prepared is prepared:
                self.loop.call_soon_threadsafe(run.task.cancel)

    def watch(self, now: float) -> list[Outcome]:
        """Cancel runs that are over their time, and those that are ended by force; return the
        outcomes of those that go on.

        A job may ignore its cancellation, or block the loop so that there is none; what it says
        later is dropped.
        """
        given_up = []
        for run in list(self._runs.values()):
            late = now >= run.started + run.prepared.limit_seconds
            if (late or now >= run.prepared.kill_at) and run.ends_at == math.inf:
                run.late, run.ends_at = late, now
                self.loop.call_soon_threadsafe(run.task.cancel)
            if now >= run.ends_at + STUCK_AFTER_SECONDS and run.claim():
                self.stuck = True
                logger.error("job %s does not end; the process is replaced", run.prepared.jobtype)
                ran = now - run.started
                why = JobTimeout() if run.late else JobCancelled()
                given_up.append(conclude(run.prepared, run.waited, ran, why))
        return given_up

    # on the loop

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _start_waiting(self) -> None:
        while self._free:
            try:
                prepared, waited_at = self._waiting.popleft()
            except IndexError:  # that was all, or it was taken back
                return
            self._start(self._free.pop(), prepared, waited_at)

    def _start(self, slot: _Slot, prepared: Prepared, waited_at: float) -> None:
        # In a context of its own: language and time zone that the job activates end with it.
        context = copy_context()
        context.run(SyncToAsync.thread_sensitive_context.set, slot.context)
        started = time.monotonic()
        slot.runs += 1
        task = self.loop.create_task(_contained(prepared, self._using), context=context)
        run = self._runs[slot.number] = _Run(prepared, waited_at + started, started, task)
        limit = started + prepared.limit_seconds
        self._board.enter(slot.number, prepared.claimed.id, started, limit)
        task.add_done_callback(lambda _: self._ended(slot, run))

    def _ended(self, slot: _Slot, run: _Run) -> None:
        self._board.leave(slot.number)
        del self._runs[slot.number]
        if (executor := slot.executor()) is not None:
            # its next job's calls come after this one: there is one thread
            executor.submit(tidy)
            self.loop.call_later(IDLE_SECONDS, self._idle, slot, slot.runs)
        self._free.append(slot)
        self._start_waiting()
        if run.claim():
            ran = time.monotonic() - run.started
            self._done(conclude(run.prepared, run.waited, ran, _raised(run)))

    def _idle(self, slot: _Slot, runs: int) -> None:
        if slot.runs == runs and (executor := slot.executor()) is not None:
            executor.submit(close_idle)


def _raised(run: _Run) -> BaseException | None:
    if run.late:
        return JobTimeout()
    if run.task.cancelled():  # before its first step
        return asyncio.CancelledError()
    return run.task.result()


async def _contained(prepared: Prepared, using: str) -> BaseException | None:
    """Run a job and return what it raised: some of it would end the event loop."""
    try:
        await arun(prepared, using)
    except BaseException as raised:  # noqa: BLE001 - the application's function raised it
        return raised
    return None
