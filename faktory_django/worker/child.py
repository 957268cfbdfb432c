"""A child: slots that run jobs, a fetcher that feeds them, and a main thread that watches."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NoReturn

from faktory_django import registry, settings
from faktory_django.api.context import host
from faktory_django.errors import ReservationLost
from faktory_django.processes import die_with_parent, forget_inherited, rss_kb

from .board import Board, Phase
from .connections import watch_connections
from .coroutines import Coroutines
from .fetcher import Fetcher
from .reporter import Reporter
from .runner import prepare
from .threads import ThreadSlot, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from faktory_django.api.context import CurrentJob
    from faktory_django.lifecycle.beat import ProcessInfo
    from faktory_django.lifecycle.cancel import Wish
    from faktory_django.lifecycle.fetch import Claimed

    from .options import WorkerOptions
    from .runner import Outcome, Prepared

logger = logging.getLogger(__name__)
jobs_logger = logging.getLogger("faktory_django.jobs")

TICK_SECONDS: Final = 0.25
# The fetcher's time to say goodbye once the grace is over.
LAST_WORDS_SECONDS: Final = 1.0
# What the log shows of an error's message; all of it is in the failure.
MAX_LOGGED: Final = 1_000
SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGTSTP, signal.SIGTTIN})

Item = tuple["Prepared", float]


class Slots:
    """The crew of a fetcher: threads for plain functions, an event loop for async ones.

    It is the host of the jobs: what they say of themselves and want to know comes here.
    """

    def __init__(
        self,
        options: WorkerOptions,
        board: Board,
        done: Callable[[Outcome], None],
        leaving: Callable[[], bool],
        *,
        wid: str,
    ) -> None:
        kinds = {d.is_async for d in registry.definitions() if d.jobtype != registry.ON_DEAD}
        self._options = options
        self._done = done
        self._wid = wid
        self._leaving = leaving
        # places and jobs in hand, by whether they are async
        self._places = {False: options.concurrency, True: options.async_concurrency}
        self._in_hand = {False: 0, True: 0}
        self._kinds = sorted(kinds or {False})
        self._last_chance = settings.get().max_crashes - 1
        self._inbox: SimpleQueue[Item | Callable[[], object] | None] = SimpleQueue()
        self._suspects: list[Item] = []
        self._suspect: int | None = None
        self._all: dict[int, Prepared] = {}
        self._cancelled: list[Prepared] = []
        self._lock = threading.Lock()
        self.threads = [ThreadSlot(number, board) for number in range(options.concurrency)]
        self.coroutines: Coroutines | None = None
        self.size = self._places[self._kinds[0]]
        if True in kinds:
            self.coroutines = Coroutines(
                options.async_concurrency,
                board,
                options.concurrency,
                self._finished,
                options.database,
            )
        self.reporter = Reporter(options.database)

    def start(self) -> None:
        """Start the threads and the event loop."""
        host(self)
        for slot in self.threads:
            args = (slot, self._inbox, self._finished, self._options.database)
            name = f"slot-{slot.number}"
            threading.Thread(target=work, args=args, name=name, daemon=True).start()
        if self.coroutines is not None:
            self.coroutines.start()

    def submit(self, jobs: Sequence[Claimed], moment: float) -> None:
        """Start these jobs, or keep them until a slot is free."""
        offset = moment - time.monotonic()
        items = [(prepare(claimed, self._wid), offset - claimed.enqueued_at) for claimed in jobs]
        with self._lock:
            for prepared, _ in items:
                self._in_hand[prepared.is_async] += 1
                self._all[prepared.claimed.id] = prepared
            suspects = [item for item in items if self._is_suspect(item[0].claimed)]
            self._suspects += suspects
        self._dispatch([item for item in items if not self._is_suspect(item[0].claimed)])
        self._dispatch_suspect()

    def _is_suspect(self, claimed: Claimed) -> bool:
        """Whether one crash more would kill the job: then it must be its own."""
        return 0 < claimed.crashes >= self._last_chance

    def free(self) -> int:
        """Return how many more jobs could start at once, of whichever kind they are.

        A claim cannot choose between kinds, so the fuller one decides.
        """
        return min(self._places[kind] - self._in_hand[kind] for kind in self._kinds)

    def unstarted(self) -> int:
        """Return how many jobs have not started."""
        waiting = self.coroutines.waiting() if self.coroutines else 0
        return self._inbox.qsize() + waiting + len(self._suspects)

    def take_back(self) -> list[Claimed]:
        """Give up the jobs that have not started."""
        calls = []
        with self._lock:
            items, self._suspects = self._suspects, []
        try:
            while True:
                item = self._inbox.get_nowait()
                if isinstance(item, tuple):
                    items.append(item)
                else:
                    calls.append(item)
        except Empty:
            pass
        for call in calls:
            self._inbox.put(call)
        if self.coroutines is not None and self.coroutines.waiting():
            items += self.coroutines.take_back()
        jobs = [prepared.claimed for prepared, _ in items]
        with self._lock:
            for prepared, _ in items:
                self._forget(prepared.claimed.id, is_async=prepared.is_async)
            if self._suspect in {job.id for job in jobs}:
                self._suspect = None
        return jobs

    def cancel(self, wishes: Sequence[Wish]) -> None:
        """Ask these jobs to stop, where they are here."""
        now = time.monotonic()
        for wish in wishes:
            with self._lock:
                prepared = self._all.get(wish.job)
                fresh = prepared is not None and not prepared.cancelled
                if prepared is not None and fresh:
                    prepared.cancelled = True
                    self._cancelled.append(prepared)
            if prepared is None:
                continue
            if wish.kill_in_seconds is not None:
                prepared.kill_at = min(prepared.kill_at, now + wish.kill_in_seconds)
            if fresh and prepared.is_async and self.coroutines is not None:
                self.coroutines.cancel(prepared)

    def after(self, call: Callable[[], object]) -> None:
        """Call something of the application's in a thread."""
        self._inbox.put(call)

    def watch(self, now: float) -> bool:
        """Enforce time limits; return whether a slot is stuck for good."""
        stuck = False
        for slot in self.threads:
            if (outcome := slot.watch(now)) is not None:
                self._finished(outcome)
            stuck = stuck or slot.abandoned
        if self.coroutines is not None:
            for outcome in self.coroutines.watch(now):
                self._finished(outcome)
            stuck = stuck or self.coroutines.stuck
        return stuck

    # what jobs call, in any thread

    def progress(self, job: CurrentJob, percent: int | None, text: str | None) -> None:
        """Take a note of how far a job is."""
        self.reporter.progress(job, percent, text)

    def log(self, job: CurrentJob, text: str) -> None:
        """Take a line of a job's log."""
        self.reporter.log(job, text)

    def cancelled(self, job: CurrentJob) -> bool:
        """Return whether somebody has asked a job to stop."""
        return any(prepared.job is job for prepared in self._cancelled)

    def stopping(self) -> bool:
        """Return whether jobs that can go on elsewhere are to rest."""
        return self._leaving()

    def extend(self, job: CurrentJob, seconds: float) -> None:
        """Let a run take until seconds from now. Raises ReservationLost when it is too late."""
        if any(slot.extend(job, seconds) for slot in self.threads):
            return
        if self.coroutines is not None and self.coroutines.extend(job, seconds):
            return
        raise ReservationLost(f"job {job.jid} does not run any more")

    def _forget(self, job: int, *, is_async: bool) -> None:
        self._in_hand[is_async] -= 1
        self._all.pop(job, None)
        if self._cancelled:
            self._cancelled = [one for one in self._cancelled if one.claimed.id != job]

    def _dispatch(self, items: Sequence[Item]) -> None:
        coroutines = [item for item in items if item[0].is_async]
        if coroutines and self.coroutines is not None:
            self.coroutines.submit(coroutines)
        for item in items:
            if not item[0].is_async:
                self._inbox.put(item)

    def _dispatch_suspect(self) -> None:
        """Start one job that is at its last chance, when no other such job runs.

        If the process dies, that one is to blame and no other.
        """
        with self._lock:
            if self._suspect is not None or not self._suspects:
                return
            item = self._suspects.pop(0)
            self._suspect = item[0].claimed.id
        self._dispatch([item])

    def _finished(self, outcome: Outcome) -> None:
        _log_end(outcome)
        self.reporter.ended(outcome)
        with self._lock:
            self._forget(outcome.claimed.id, is_async=outcome.is_async)
        self._done(outcome)
        if self._suspect is not None and outcome.claimed.id == self._suspect:
            with self._lock:
                self._suspect = None
            self._dispatch_suspect()


class Child:
    """The main thread of a child: signals, time limits, recycling, and the last word."""

    def __init__(
        self, options: WorkerOptions, info: ProcessInfo, board: Board, life_line: int
    ) -> None:
        self.options = options
        self.board = board
        self.phase = Phase.STARTING
        self._life_line = life_line
        self._grace_ends: float | None = None
        self._recycles = False
        self._calls = 0
        self.slots = Slots(options, board, self._done, self._is_leaving, wid=info.wid)
        self.fetcher = Fetcher(options, info, self.slots, slots=self.slots.size)

    def _done(self, outcome: Outcome) -> None:
        self.fetcher.done(outcome)

    def _is_leaving(self) -> bool:
        return self.fetcher.quiet or self.fetcher.stopping

    def main(self) -> NoReturn:
        """Run until told to stop, or until the parent is gone; never returns."""
        self._take_signals()
        self.slots.start()
        threading.Thread(target=self.fetcher.main, name="fetcher", daemon=True).start()
        self.phase = Phase.RUNNING
        while not self.fetcher.ended.is_set():
            self._tick()
            if self._parent_is_gone():
                _exit(1)
            if self._grace_ends is not None and time.monotonic() >= self._grace_ends:
                self.fetcher.ended.wait(LAST_WORDS_SECONDS)
                break
        self.slots.reporter.close(LAST_WORDS_SECONDS)
        if self.fetcher.failed is None:
            self.phase = Phase.RECYCLED if self._recycles else Phase.ENDED
        self.board.tick(time.monotonic(), self.phase, self.fetcher.done_jobs)
        _exit(0 if self.fetcher.failed is None else 1)

    def _tick(self) -> None:
        now = time.monotonic()
        if self.slots.watch(now):
            self._recycle("a slot is stuck", grace_seconds=self.options.grace_seconds)
        elif (limit := self.options.max_jobs) is not None and self.fetcher.done_jobs >= limit:
            self._recycle(f"it has run {limit} jobs")
        elif (rss := self.options.max_rss_mb) is not None and self._is_larger_than(rss):
            self._recycle(f"it holds more than {rss} MB")
        if (calls := self.board.calls()) != self._calls:
            self._calls = calls
            self.fetcher.look()
        self.board.tick(now, self.phase, self.fetcher.done_jobs)

    def _is_larger_than(self, megabytes: int) -> bool:
        # One that has run nothing would be replaced by one as large, again and again.
        works = self.fetcher.done_jobs > 0 or bool(self.board.busy())
        return works and rss_kb(os.getpid()) > megabytes * 1_024

    def _recycle(self, reason: str, grace_seconds: float | None = None) -> None:
        if self.phase != Phase.DRAINING:
            self._recycles = True
            self._stop(reason, grace_seconds)

    def _stop(self, reason: str, grace_seconds: float | None = None) -> None:
        if self.phase == Phase.DRAINING:
            return
        logger.info("pid %d ends when its jobs have: %s", os.getpid(), reason)
        self.phase = Phase.DRAINING
        if grace_seconds is not None:
            self._grace_ends = time.monotonic() + grace_seconds
        self.fetcher.stop()

    def _take_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells us
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGTSTP, self._on_tstp)
        signal.signal(signal.SIGTTIN, self._on_ttin)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # the parent blocked them to fork

    def _on_term(self, *_: Any) -> None:
        self._stop("asked to", grace_seconds=self.options.grace_seconds)
        self._grace_ends = time.monotonic() + self.options.grace_seconds

    def _on_tstp(self, *_: Any) -> None:
        self.fetcher.quiet = True

    def _on_ttin(self, *_: Any) -> None:
        dump_stacks(self.slots.coroutines)

    def _parent_is_gone(self) -> bool:
        readable, _, _ = select.select([self._life_line], [], [], TICK_SECONDS)
        return bool(readable)


def run_child(options: WorkerOptions, info: ProcessInfo, board: Board, life_line: int) -> NoReturn:
    """Be a child, in a process that was just forked; never returns."""
    try:
        forget_inherited()
        watch_connections()
        die_with_parent()
        Child(options, info, board, life_line).main()
    except BaseException:
        logger.exception("the child cannot run")
    _exit(1)


def _exit(code: int) -> NoReturn:
    """End at once: a thread that does not end cannot hold us up."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def dump_stacks(coroutines: Coroutines | None = None) -> None:
    """Write the stacks of all threads and tasks to the log."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        stack = "".join(traceback.format_stack(frame))
        logger.info("pid %d thread %s\n%s", os.getpid(), names.get(ident, ident), stack)
    if coroutines is not None:
        for task in asyncio.all_tasks(coroutines.loop):
            stack = "".join(
                f"  {f.f_code.co_filename}:{f.f_lineno} {f.f_code.co_qualname}\n"
                for f in _frames(task)
            )
            logger.info("pid %d task %s\n%s", os.getpid(), task.get_name(), stack)


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """Return the frames of a task, the innermost last; get_stack() knows only the outermost."""
    waits_for: Any = task.get_coro()
    while (frame := getattr(waits_for, "cr_frame", None)) is not None:
        yield frame
        waits_for = waits_for.cr_await


def _log_end(outcome: Outcome) -> None:
    if outcome.rests:
        _log(logging.INFO, outcome, "rests at a checkpoint")
    elif outcome.verdict is None:
        if jobs_logger.isEnabledFor(logging.DEBUG):
            _log(logging.DEBUG, outcome, "done")
    elif not outcome.counts:
        _log(logging.INFO, outcome, outcome.verdict.fate.value)
    else:
        error = outcome.error
        text = f"failed: {error.errtype}: {error.message}" if error else "failed"
        # One line: what an error says may be many, and may look like lines of the log.
        _log(logging.WARNING, outcome, " ".join(text[:MAX_LOGGED].split()))


def _log(level: int, outcome: Outcome, text: str) -> None:
    jid = outcome.job.jid if outcome.job else str(outcome.claimed.id)
    jobs_logger.log(
        level,
        "%s %s %s in %.3f s",
        outcome.jobtype,
        jid,
        text,
        outcome.run_seconds,
        extra={
            "jid": jid,
            "jobtype": outcome.jobtype,
            "queue": outcome.claimed.queue,
            "run_seconds": round(outcome.run_seconds, 6),
        },
    )
