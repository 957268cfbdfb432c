"""The launcher: a small, single-threaded parent that starts children and keeps them going.

It beats for them, does the chores of maintenance, and when a child dies gives its jobs back. Its
own connection is opened after the children have started.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import secrets
import select
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import Error as DatabaseError
from django.db import connections

from faktory_django import settings
from faktory_django.errors import DatabaseNotReady
from faktory_django.lifecycle import beat, queues, reap, reservation
from faktory_django.lifecycle.install import check_database
from faktory_django.maintenance import Maintenance
from faktory_django.processes import dedicated, package_version, rss_kb

from .board import Board, Phase
from .child import SIGNALS, dump_stacks, run_child
from .connections import in_one_line

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .options import WorkerOptions

logger = logging.getLogger(__name__)

# What a child may take beyond its grace before it is killed.
KILL_AFTER_SECONDS: Final = 3.0
# A stopped child (SIGSTOP) is killed after this: its jobs are wanted elsewhere.
STOPPED_SECONDS: Final = 10.0
# Beyond the last deadline of a child that does not tick.
OVERDUE_SECONDS: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 10_000
MAX_BACKOFF_SECONDS: Final = 30.0
EXIT_OK: Final = 0
EXIT_CHILDREN_FAIL: Final = 1
EXIT_FORCED: Final = 130
# Children that die within this time of their start, jobless, so often in a row, end the worker.
QUICK_DEATH_SECONDS: Final = 10.0
MAX_QUICK_DEATHS: Final = 10


@dataclass(slots=True)
class Kid:
    """A child as its parent sees it."""

    number: int
    wid: str
    pid: int
    board: Board
    started: float
    told: str = "running"
    told_at: float = 0.0
    stopped_at: float | None = None
    status: int | None = None
    replaced: bool = False


class Launcher:
    """Starts children, keeps as many running as asked for, and ends with all of them ended."""

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self.kids: list[Kid] = []
        self.maintenance = Maintenance()
        self.stopping_since: float | None = None
        self.forced = False
        self.quiet = False
        self.exit_code = EXIT_OK
        self._missing: list[tuple[int, float]] = []
        self._quick_deaths = 0
        self._gone: list[Kid] = []
        self._connection: BaseDatabaseWrapper | None = None
        self._had_connection = False
        self._next_beat = 0.0
        self._next_connect = 0.0
        self._backoff = 0.0
        self._clock_offset: float | None = None
        self._life_line, self._life_end = os.pipe()
        self._bell_in, self._bell_out = socket.socketpair()

    def main(self) -> int:
        """Run until told to stop, or until a burst is over; return the exit code."""
        self._take_signals()
        for bell in (self._bell_in, self._bell_out):
            bell.settimeout(0)
        signal.set_wakeup_fd(self._bell_in.fileno(), warn_on_full_buffer=False)
        if threading.active_count() > 1:
            names = ", ".join(t.name for t in threading.enumerate()[1:])
            logger.warning("threads started at import do not reach the children: %s", names)
        connections.close_all()
        gc.collect()
        gc.freeze()  # shared with the children, who never copy it
        self._missing = [(number, 0.0) for number in range(self.options.processes)]
        while not self._is_over():
            try:
                self._step()
            except Exception:
                logger.exception("the supervisor met an error and goes on")
                time.sleep(1.0)
        self._say_goodbye()
        return EXIT_FORCED if self.forced else self.exit_code

    def _is_over(self) -> bool:
        return not self.kids and not self._missing

    def _step(self) -> None:
        self._look_after_reloader()
        self._look_after_kids()
        self._start_missing()
        self._use_database()
        self._wait()

    def _look_after_reloader(self) -> None:
        """End with the reloader, which may have been ended by a signal that is not for groups."""
        reloader = self.options.reloader
        if reloader in {None, os.getppid()} or self.stopping_since is not None:
            return
        logger.info("the reloader has ended")
        self._stop_all()

    # children

    def _start(self, number: int) -> None:
        slots = self.options.concurrency + self.options.async_concurrency
        board, wid = Board(slots), secrets.token_hex(12)
        board.tick(time.monotonic(), Phase.STARTING, 0)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # A signal between fork and the child's own handlers would run ours in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            os.close(self._life_end)
            info = self._info(wid, os.getpid())
            run_child(self.options, info, board, self._life_line)
        kid = Kid(number, wid, pid, board, time.monotonic())
        self.kids.append(kid)
        if self.stopping_since is not None:
            self._tell(kid, "terminate")
        elif self.quiet:
            self._tell(kid, "quiet")
        # Only now: a stop that came meanwhile has to reach this child too.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _info(self, wid: str, pid: int) -> beat.ProcessInfo:
        return beat.ProcessInfo(
            wid=wid,
            hostname=socket.gethostname(),
            pid=pid,
            version=package_version(),
            concurrency=self.options.concurrency,
            queues=self.options.queues.names,
            labels=self.options.labels,
        )

    def _look_after_kids(self) -> None:
        now = time.monotonic()
        for kid in list(self.kids):
            if self._has_ended(kid):
                self._bury(kid, now)
                continue
            self._replace_draining(kid)
            if reason := self._must_die(kid, now):
                logger.error("child %d is killed: %s", kid.pid, reason)
                _send(kid, signal.SIGKILL)
                kid.told_at = now + 60.0

    def _has_ended(self, kid: Kid) -> bool:
        pid, status = os.waitpid(kid.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if pid == 0:
            return False
        if os.WIFSTOPPED(status):
            kid.stopped_at = time.monotonic()
            return False
        if os.WIFCONTINUED(status):
            kid.stopped_at = None
            return False
        kid.status = status
        return True

    def _must_die(self, kid: Kid, now: float) -> str | None:
        tick, _, _ = kid.board.head()
        if kid.told == "terminate":
            over = kid.told_at + self.options.grace_seconds + KILL_AFTER_SECONDS
            return "its grace is over" if now >= over else None
        if kid.stopped_at is not None and now >= kid.stopped_at + STOPPED_SECONDS:
            return "it was stopped by a signal"
        silent = settings.get().silent_child_seconds
        deadlines = [slot.deadline for slot in kid.board.busy()]
        if now - tick >= silent and now >= min(deadlines, default=now) + OVERDUE_SECONDS:
            return f"it has not been heard of for {now - tick:.0f} s"
        ticks_not = now - tick >= OVERDUE_SECONDS
        if ticks_not and deadlines and now >= min(deadlines) + OVERDUE_SECONDS:
            return "a job holds it beyond its time limit"
        return None

    def _bury(self, kid: Kid, now: float) -> None:
        self.kids.remove(kid)
        self._gone.append(kid)
        phase = kid.board.head()[1]
        in_order = phase >= Phase.ENDED
        if in_order or kid.told == "terminate":
            self._quick_deaths = 0
        else:
            logger.error("child %d died: %s", kid.pid, _cause(kid.status))
            # One that died in a job says nothing about the next: max_crashes bounds those.
            idle = not kid.board.busy() and kid.board.head()[2] == 0
            quick = idle and now - kid.started < QUICK_DEATH_SECONDS
            self._quick_deaths = self._quick_deaths + 1 if quick else 0
        wanted = self.stopping_since is None and kid.told != "terminate" and not kid.replaced
        if wanted and self._quick_deaths >= MAX_QUICK_DEATHS:
            logger.error("%d children died right after their start", self._quick_deaths)
            self.exit_code = EXIT_CHILDREN_FAIL
            self._stop_all()
        elif wanted and not (self.options.burst and phase == Phase.ENDED):
            delay = min(MAX_BACKOFF_SECONDS, 2.0 ** (self._quick_deaths - 3))
            pause = delay if self._quick_deaths > 3 else 0.0
            self._missing.append((kid.number, now + pause))

    def _replace_draining(self, kid: Kid) -> None:
        """Start the next one while a child that recycles itself ends its jobs."""
        draining = kid.board.head()[1] == Phase.DRAINING
        if draining and not kid.replaced and kid.told == "running":
            kid.replaced = True
            self._missing.append((kid.number, time.monotonic()))

    def _start_missing(self) -> None:
        if self.stopping_since is not None:
            self._missing.clear()
        now = time.monotonic()
        for entry in [m for m in self._missing if m[1] <= now]:
            if self.stopping_since is not None:
                return
            self._missing.remove(entry)
            try:
                self._start(entry[0])
            except OSError as wrong:
                logger.error("cannot start a child: %s", wrong)
                self._missing.append((entry[0], now + 1.0))

    def _tell(self, kid: Kid, state: str) -> None:
        if state == "quiet" and kid.told == "running":
            _send(kid, signal.SIGTSTP)
        elif state == "terminate" and kid.told != "terminate":
            kid.told_at = time.monotonic()
            _send(kid, signal.SIGTERM)
            _send(kid, signal.SIGCONT)
        else:
            return
        kid.told = state

    # signals

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGTSTP, self._on_quiet)
        signal.signal(signal.SIGTTIN, self._on_dump)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _on_stop(self, number: int, _frame: Any) -> None:
        if self.stopping_since is None:
            logger.info("stopping; running jobs have %g s", self.options.grace_seconds)
            self._stop_all()
        elif number == signal.SIGINT and time.monotonic() - self.stopping_since > 0.1:
            logger.info("stopping at once")
            self.forced = True
            for kid in self.kids:
                _send(kid, signal.SIGKILL)

    def _stop_all(self) -> None:
        self.stopping_since = time.monotonic()
        for kid in self.kids:
            self._tell(kid, "terminate")

    def _on_quiet(self, *_: Any) -> None:
        logger.info("quiet: no new jobs")
        self.quiet = True
        for kid in self.kids:
            self._tell(kid, "quiet")

    def _on_dump(self, *_: Any) -> None:
        dump_stacks()
        for kid in self.kids:
            _send(kid, signal.SIGTTIN)

    # database

    def _use_database(self) -> None:
        now = time.monotonic()
        if now < self._next_connect:
            return
        try:
            connection = self._connected()
            self._settle(connection)
            if now >= self._next_beat:
                self._next_beat = now + self.options.beat_seconds
                self._beat(connection)
            self.maintenance.tick(connection)
            self._backoff = 0.0
        except (DatabaseError, DatabaseNotReady) as wrong:
            if self._backoff == 0.0 and isinstance(wrong, DatabaseNotReady):
                logger.warning("waiting: %s", wrong)
            elif self._backoff == 0.0:
                logger.error("the database does not answer: %s", in_one_line(wrong))
            self._backoff = min(5.0, max(0.2, 2 * self._backoff))
            self._next_connect = time.monotonic() + self._backoff * random.uniform(0.5, 1.0)  # noqa: S311
            self._disconnect()

    def _connected(self) -> BaseDatabaseWrapper:
        if self._connection is None:
            self._connection = self._connect()
            if self._had_connection:
                self.maintenance.postpone_reaping(2 * self.options.beat_seconds)
            self._had_connection = True
        return self._connection

    def _connect(self) -> BaseDatabaseWrapper:
        connection = dedicated(
            self.options.database,
            role="worker supervisor",
            statement_timeout_ms=STATEMENT_TIMEOUT_MS,
        )
        try:
            connection.ensure_connection()
            check_database(connection)
            queues.declare(self.options.queues.names, using=self.options.database)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(DatabaseError):
                self._connection.close()
            self._connection = None

    def _settle(self, connection: BaseDatabaseWrapper) -> None:
        """Give back what children held that have ended; the crashed ones count."""
        for kid in list(self._gone):
            in_order = kid.board.head()[1] >= Phase.ENDED
            if in_order or kid.told == "terminate":
                returned = reservation.release(connection, kid.wid)
                if returned:
                    logger.info("%d unfinished jobs went back to their queues", returned)
            else:
                reaped = reap.reap_process(
                    connection,
                    kid.wid,
                    max_crashes=settings.get().max_crashes,
                    reason=_cause(kid.status),
                    blamed=[slot.job for slot in kid.board.busy()],
                )
                if reaped:
                    logger.warning("took back %d jobs of child %d", reaped, kid.pid)
            beat.leave(connection, kid.wid)
            self._gone.remove(kid)

    def _beat(self, connection: BaseDatabaseWrapper) -> None:
        if not self.kids:
            return
        pulses = [
            beat.Pulse(kid.wid, rss_kb(kid.pid), self._running(kid))
            for kid in self.kids
            if kid.stopped_at is None
        ]
        before = time.monotonic()
        states, moment, asked = beat.beat(connection, pulses)
        if moment is not None:
            self._clock_offset = moment - before
        for kid in self.kids:
            if kid.wid in asked:
                kid.board.call()
            if kid.wid in states:
                self._tell(kid, states[kid.wid])
            elif kid.board.head()[1] == Phase.RUNNING and kid.stopped_at is None:
                beat.register(connection, self._info(kid.wid, kid.pid))

    def _running(self, kid: Kid) -> str:
        """Return what runs, since when by the database's clock, as JSON."""
        if (offset := self._clock_offset) is None:
            return "[]"
        # a third number stands only where a job has asked for more time than its reserve_for
        slots = [(s.job, round(s.started + offset, 3), round(s.limit, 3)) for s in kid.board.busy()]
        return json.dumps([slot if slot[2] else slot[:2] for slot in slots])

    def _wait(self) -> None:
        now = time.monotonic()
        until = min(now + 0.5, self._next_beat, self.maintenance.next_at())
        if self._connection is None:
            until = now + 0.2
        if self._gone or not self.kids:
            until = now + 0.05
        readable, _, _ = select.select([self._bell_out], [], [], max(0.0, until - now))
        if readable:
            self._bell_out.recv(4_096)

    def _say_goodbye(self) -> None:
        deadline = time.monotonic() + 2.0
        while self._gone and time.monotonic() < deadline:
            self._use_database()
            if self._gone:
                time.sleep(0.05)
        self._disconnect()
        signal.set_wakeup_fd(-1)
        for bell in (self._bell_in, self._bell_out):
            bell.close()
        logger.info("the worker has ended")


def _send(kid: Kid, number: signal.Signals) -> None:
    # A handler may come between a child's end and our taking note of it.
    with suppress(ProcessLookupError):
        os.kill(kid.pid, number)


def _cause(status: int | None) -> str:
    if status is None:
        return "unknown"
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"exit code {code}"
