"""The reporter: writes down what the jobs of a process say, of all of them at once.

What a job says is a note in memory. A thread with a connection of its own writes the latest
progress of each job and the lines of all logs, twice a second at most, however many say something
how often. There is neither thread nor connection in a process whose jobs say nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from django.db import Error as DatabaseError

from faktory_django import payload, settings
from faktory_django.features import tracking
from faktory_django.features.history import Limited
from faktory_django.lifecycle import log_lines, track
from faktory_django.lifecycle.log_lines import Said
from faktory_django.lifecycle.retry import Fate
from faktory_django.lifecycle.track import Report, later
from faktory_django.processes import dedicated

from .connections import in_one_line

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from faktory_django.api.context import CurrentJob

    from .runner import Outcome

logger = logging.getLogger(__name__)

# Between two statements.
INTERVAL_SECONDS: Final = 0.5
# Jobs, or lines of logs, of one statement.
MAX_REPORTS: Final = 1_000
# Lines that wait for a database that does not answer; what is said beyond them is lost.
MAX_LINES: Final = 20_000
# Without a word for so long, the connection is closed.
IDLE_SECONDS: Final = 30.0
MAX_BACKOFF_SECONDS: Final = 5.0
STATEMENT_TIMEOUT_MS: Final = 5_000


class Reporter:
    """Takes the notes of a worker's jobs."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._notes: dict[str, Report] = {}
        self._writing: dict[str, Report] = {}
        self._log_days = settings.get().log_days
        self._log_lines = settings.get().log_lines
        self._runs: dict[tuple[str, int], Limited] = {}
        self._lines: deque[Said] = deque()
        self._ahead: float | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._connection: BaseDatabaseWrapper | None = None

    # what jobs and slots call, in any thread

    def progress(self, job: CurrentJob, percent: int | None, text: str | None) -> None:
        """Take a note of how far a job is."""
        self._note(Report(job.jid, percent, text))

    def log(self, job: CurrentJob, text: str) -> None:
        """Take a line of a job's log; what encrypted jobs say is not kept."""
        if not self._log_days or payload.is_encrypted(job.custom):
            return
        with self._changed:
            run = self._runs.setdefault((job.jid, job.attempt), Limited(self._log_lines))
            kept = run.next(text)
            if kept is None or len(self._lines) >= MAX_LINES:
                return
            about = job.jid, job.jobtype, job.queue, job.attempt
            self._lines.append(Said(*about, time.monotonic(), kept))
            self._wake()

    def ended(self, outcome: Outcome) -> None:
        """Note how a job ended that leaves nothing behind: what is not written yet must say it.

        What is written is marked by the verb that ends the job.
        """
        if outcome.job is None:
            return
        if self._runs:
            self._runs.pop((outcome.job.jid, outcome.job.attempt), None)
        if outcome.verdict is None or outcome.verdict.fate not in {Fate.GONE, Fate.CANCELLED}:
            return
        jid = outcome.job.jid
        with self._changed:
            unwritten = jid in self._notes or jid in self._writing
        if unwritten:
            end = tracking.FAILED if outcome.counts else tracking.DISCARDED
            if outcome.verdict.fate == Fate.CANCELLED:
                end = tracking.CANCELLED
            self._note(Report(jid, end=end))

    def close(self, seconds: float) -> None:
        """Write what is left, for so long at most."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(self._has_written, seconds)

    def _has_written(self) -> bool:
        return not self._notes and not self._writing and not self._lines

    def _note(self, report: Report) -> None:
        with self._changed:
            self._notes[report.jid] = later(self._notes.get(report.jid), report)
            self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            threading.Thread(target=self._main, name="reporter", daemon=True).start()
        self._changed.notify_all()

    # the thread

    def _main(self) -> None:
        with self._changed:
            # Known by itself: a JobTimeout may end the call that has started it at any point.
            if self._thread is not None:
                return
            self._thread = threading.current_thread()
        backoff = 0.0
        while self._wait():
            try:
                self._write()
                self._write_lines()
                backoff = 0.0
            except DatabaseError as wrong:
                if backoff == 0.0:
                    logger.warning("what jobs say waits: %s", in_one_line(wrong))
                self._drop()
                backoff = min(MAX_BACKOFF_SECONDS, max(INTERVAL_SECONDS, 2 * backoff))
            self._pause(max(INTERVAL_SECONDS, backoff))
        self._drop()

    def _wait(self) -> bool:
        """Wait for a note; return False when there will be none."""
        while True:
            with self._changed:
                if self._notes or self._lines or self._closing:
                    return bool(self._notes or self._lines)
                heard = self._changed.wait(IDLE_SECONDS)
            if not heard:
                self._drop()

    def _pause(self, seconds: float) -> None:
        """Wait until the next statement may be sent; at the end at once, unless it fails."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._closing and (rest := until - time.monotonic()) > 0:
                self._changed.wait(rest)
        if self._closing and self._connection is None:
            time.sleep(0.1)

    def _write_lines(self) -> None:
        """Write the oldest lines; those that could not be written stay where they are."""
        with self._changed:
            lines = list(islice(self._lines, MAX_REPORTS))
        if not lines:
            return
        connection = self._connected()
        if self._ahead is None:
            self._ahead = log_lines.ahead(connection)
        log_lines.write(connection, lines, ahead=self._ahead, days=self._log_days)
        with self._changed:
            for _ in lines:
                self._lines.popleft()
            self._changed.notify_all()

    def _write(self) -> None:
        with self._changed:
            jids = list(self._notes)[:MAX_REPORTS]
            self._writing = {jid: self._notes.pop(jid) for jid in jids}
        if not jids:
            return
        try:
            track.report(self._connected(), list(self._writing.values()))
        except DatabaseError:
            with self._changed:
                for jid, report in self._writing.items():
                    newer = self._notes.get(jid)
                    self._notes[jid] = report if newer is None else later(report, newer)
            raise
        finally:
            with self._changed:
                self._writing = {}
                self._changed.notify_all()

    def _connected(self) -> BaseDatabaseWrapper:
        if self._connection is None:
            self._connection = dedicated(
                self._database, role="worker reporter", statement_timeout_ms=STATEMENT_TIMEOUT_MS
            )
        return self._connection

    def _drop(self) -> None:
        connection, self._connection, self._ahead = self._connection, None, None
        if connection is not None:
            connection.close()
