"""Executor threads: each runs one sync job at a time and is watched while it does."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from contextvars import copy_context
from queue import Empty
from typing import TYPE_CHECKING, Final

from faktory_django.errors import JobCancelled, JobTimeout, ReservationLost

from .connections import IDLE_SECONDS, close_idle, has_open, tidy
from .runner import Outcome, conclude, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

    from faktory_django.api.context import CurrentJob

    from .board import Board
    from .runner import Prepared

logger = logging.getLogger(__name__)
# How long a job may take to end once JobTimeout or JobCancelled was raised in it.
STUCK_AFTER_SECONDS: Final = 5.0

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in_thread.argtypes = (ctypes.c_ulong, ctypes.py_object)


class ThreadSlot:
    """One executor thread, and the guard of the run that it is in."""

    def __init__(self, number: int, board: Board) -> None:
        self.number = number
        self.board = board
        self.thread_id = 0
        self.abandoned = False
        self._lock = threading.Lock()
        self._prepared: Prepared | None = None
        self._started = 0.0
        self._raised_at: float | None = None
        self._raises: type[BaseException] = JobTimeout

    def enter(self, prepared: Prepared) -> None:
        """The run begins: the board and the watch know it."""
        now = time.monotonic()
        with self._lock:
            self._prepared, self._started, self._raised_at = prepared, now, None
        self.board.enter(self.number, prepared.claimed.id, now, now + prepared.limit_seconds)

    def leave(self) -> None:
        """The run has ended; an exception on its way is called off."""
        with self._lock:
            if self._raised_at is not None:
                _raise_in_thread(self.thread_id, ctypes.py_object())
            self._prepared = None
        self.board.leave(self.number)

    def extend(self, job: CurrentJob, seconds: float) -> bool:
        """Let the run of a job take until seconds from now; False when it is not run here.

        Raises ReservationLost when its time is over.
        """
        with self._lock:
            prepared = self._prepared
            if prepared is None or prepared.job is not job:
                return False
            if self._raised_at is not None:
                raise ReservationLost("the time of the run is over")
            limit = prepared.extend(time.monotonic() - self._started + seconds)
            self.board.extend(self.number, prepared.claimed.id, self._started, limit)
        return True

    def watch(self, now: float) -> Outcome | None:
        """Raise JobTimeout in a run that is over its time, and JobCancelled in one that is ended by
        force; give up on one that goes on.

        Returns the outcome of a run that was given up; what its thread says later is dropped.
        """
        with self._lock:
            prepared = self._prepared
            if prepared is None or self.abandoned:
                return None
            late = now >= self._started + prepared.limit_seconds
            if not late and now < prepared.kill_at:
                return None
            if self._raised_at is None:
                self._raised_at = now
                self._raises = JobTimeout if late else JobCancelled
                _raise_in_thread(self.thread_id, ctypes.py_object(self._raises))
                return None
            if now < self._raised_at + STUCK_AFTER_SECONDS:
                return None
            self.abandoned = True
        logger.error("job %s does not end; the process is replaced", prepared.jobtype)
        return conclude(prepared, 0.0, now - self._started, self._raises())


def work(
    slot: ThreadSlot,
    inbox: SimpleQueue[tuple[Prepared, float] | Callable[[], object] | None],
    done: Callable[[Outcome], None],
    using: str,
) -> None:
    """Run what comes until None comes. An item is a job with the time it had waited when it
    was claimed less the monotonic clock then, or a callable to call.
    """
    slot.thread_id = threading.get_ident()
    while True:
        try:
            item = inbox.get(timeout=IDLE_SECONDS if has_open() else None)
        except Empty:
            close_idle()
            continue
        if item is None:
            return
        if callable(item):
            _call(item)
            continue
        prepared, waited_at = item
        waited = waited_at + time.monotonic()
        # In a context of its own: language and time zone that the job activates end with it.
        outcome = copy_context().run(run, prepared, waited=waited, using=using, guard=slot)
        if slot.abandoned:
            return
        tidy()
        done(outcome)


def _call(call: Callable[[], object]) -> None:
    try:
        call()
    except BaseException:
        logger.exception("a receiver of a signal would have ended the worker")
