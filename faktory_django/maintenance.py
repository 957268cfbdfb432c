"""Maintenance: what happens on a clock. A table of chores and their seconds.

Any number of processes may do them at a time: each statement skips what another one has locked.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError

from faktory_django import crontab, registry, settings
from faktory_django.features import history
from faktory_django.lifecycle import (
    batch,
    batch_cancel,
    batch_fold,
    cancel,
    cron,
    cursors,
    dead,
    limits,
    operations,
    partitions,
    reap,
    stats,
    track,
    unique,
)
from faktory_django.lifecycle.cron_code import EVERY_SECONDS, Declarer
from faktory_django.lifecycle.due import Promoter
from faktory_django.models import Counter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

# No other chore waits longer for a person's act on many jobs.
OPERATE_SECONDS = 0.25
# Rows that are deleted at a time, of those that are in no partition of their own.
PIECES = 10_000
# Rates let jobs go no more often.
ADMIT_SECONDS = 0.05


@dataclass(slots=True)
class Chore:
    """Something to do every so many seconds; run returns in how many seconds to come again."""

    name: str
    every_seconds: float
    run: Callable[[BaseDatabaseWrapper], float | None]
    next_at: float = 0.0
    begun_at: float = 0.0


@dataclass(slots=True)
class Tally:
    """What one kind of upkeep has done in this process, since its start."""

    cycles: int = 0
    moved: int = 0
    seconds: float = 0.0

    def add(self, moved: int, started: float) -> None:
        """Count a cycle that began at started, by the monotonic clock."""
        self.cycles += 1
        self.moved += moved
        self.seconds += time.monotonic() - started


@dataclass(slots=True)
class Maintenance:
    """The chores of one process, and what they remember."""

    promoter: Promoter = field(default_factory=Promoter)
    declarer: Declarer = field(default_factory=Declarer)
    scheduler: cron.Scheduler = field(default_factory=cron.Scheduler)
    scheduled: Tally = field(default_factory=Tally)
    retries: Tally = field(default_factory=Tally)
    dead: Tally = field(default_factory=Tally)
    busy: Tally = field(default_factory=Tally)
    workers: Tally = field(default_factory=Tally)
    # how far the look at tracked jobs has come, by jid
    tracked: str = ""
    # and the look at checkpoints
    kept: str = ""
    # how far the look at limits has come, by key
    limited: str = ""
    # when a rate lets more jobs go, by the monotonic clock
    let_go_at: float = math.inf
    chores: list[Chore] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the table."""
        self.chores = [
            Chore("due", 1.0, self.promote_due),
            Chore("crontab", EVERY_SECONDS, self.declare_cron),
            Chore("cron", 10.0, self.scheduler.run),
            Chore("reap", 5.0, self.reap),
            Chore("fold", 10.0, self.fold),
            Chore("trim", 60.0, self.trim),
            Chore("operate", 15.0, self.operate),
            Chore("track", 30.0, self.track),
            Chore("past", 600.0, self.keep_past),
            Chore("cursors", 60.0, self.trim_cursors),
            Chore("limits", 15.0, self.admit),
            Chore("repair", 60.0, self.repair),
            Chore("batches", 15.0, self.fold_batches),
        ]

    def tick(self, connection: BaseDatabaseWrapper) -> None:
        """Do what is due. A chore that fails is logged and comes again.

        Raises OperationalError or InterfaceError when the database has gone.
        """
        for chore in self.chores:
            if time.monotonic() >= chore.next_at:
                chore.begun_at = time.monotonic()
                chore.next_at = chore.begun_at + chore.every_seconds
                self._do(chore, connection)

    def postpone_reaping(self, seconds: float) -> None:
        """Reap nobody for some seconds: after an outage others need time to beat again."""
        for chore in self.chores:
            if chore.name == "reap":
                chore.next_at = time.monotonic() + seconds

    def _hasten(self, name: str) -> None:
        """Let a chore come as soon as a second after its latest round: there is something to do."""
        for chore in self.chores:
            if chore.name == name:
                chore.next_at = min(chore.next_at, chore.begun_at + 1.0)

    def next_at(self) -> float:
        """Return when the next chore is due, by the monotonic clock."""
        return min(chore.next_at for chore in self.chores)

    def _do(self, chore: Chore, connection: BaseDatabaseWrapper) -> None:
        try:
            again = chore.run(connection)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("the chore %s failed", chore.name)
            return
        if again is not None:
            chore.next_at = time.monotonic() + max(0.0, min(again, chore.every_seconds))

    def promote_due(self, connection: BaseDatabaseWrapper) -> float | None:
        """Move what is due into its queue; come again when the next is, at most a second on."""
        limit = settings.get().due_batch
        started = time.monotonic()
        scheduled, retry = self.promoter.next_due(connection)
        if self.promoter.folding:
            self._hasten("batches")
        if self.promoter.limited:
            self._hasten("limits")
        from_scheduled = from_retries = 0
        if scheduled is not None and scheduled <= 0:
            from_scheduled = self.promoter.promote_scheduled(connection, limit)
        self.scheduled.add(from_scheduled, started)
        started = time.monotonic()
        if retry is not None and retry <= 0:
            from_retries = self.promoter.promote_retries(connection, limit)
        self.retries.add(from_retries, started)
        if from_scheduled or from_retries:
            return 0.0
        soon = [seconds for seconds in (scheduled, retry) if seconds is not None and seconds > 0]
        return min(soon) + 0.001 if soon else None

    def declare_cron(self, connection: BaseDatabaseWrapper) -> None:
        """Say which cron entries the code of this process declares."""
        self.declarer.run(connection, crontab.declared())

    def reap(self, connection: BaseDatabaseWrapper) -> None:
        """Take jobs back from dead processes, fail what has run out of its reservation.

        And see to jobs that were asked to stop.
        """
        ours = settings.get()
        started = time.monotonic()
        silent = ours.silent_process_seconds
        wire_silent = ours.silent_wire_seconds
        due = reap.due(connection, silent_seconds=silent, wire_silent_seconds=wire_silent)
        expired = reap.expire(connection) if due.expired else 0
        expired += reap.expire_overdue(connection) if due.overdue else 0
        reaped = forgotten = 0
        if due.silent:
            reaped = reap.reap_silent(
                connection, silent_seconds=silent, max_crashes=ours.max_crashes
            )
            forgotten = reap.forget_silent(
                connection, silent_seconds=silent, wire_silent_seconds=wire_silent
            )
        if due.asked:
            cancel.sweep(connection)
        if ours.rescue_silent_wire:
            reaped += reap.reap_silent_wire(
                connection, silent_seconds=wire_silent, max_crashes=ours.max_crashes
            )
        self.busy.add(expired + reaped, started)
        self.workers.add(forgotten, started)
        if expired or reaped:
            logger.warning("%d reservations ran out, %d jobs taken back", expired, reaped)

    def fold(self, connection: BaseDatabaseWrapper) -> float | None:
        """Add counters up; come again at once while there are many."""
        return 0.0 if stats.fold(connection) >= 10_000 else None

    def operate(self, connection: BaseDatabaseWrapper) -> float | None:
        """Go on with what a person does to many jobs; come again at once while there is more."""
        more = operations.advance_oldest(connection, seconds=OPERATE_SECONDS)
        return 0.0 if more else None

    def track(self, connection: BaseDatabaseWrapper) -> float | None:
        """Note which tracked jobs have ended, forget old ones; a second between two pages."""
        keep = settings.get().track_minutes
        self.tracked = track.trim(connection, keep_minutes=keep, after=self.tracked)
        return 1.0 if self.tracked else None

    def keep_past(self, connection: BaseDatabaseWrapper) -> float | None:
        """Make room for what is kept of the past, drop what is over; come again if there is more.

        What code elsewhere keeps for other times goes to the rest of a table until then.
        """
        ours = settings.get()
        more = False
        for table, days in (
            (partitions.FINISHED, {ours.history_days, *_days_of_jobs()}),
            (partitions.ATTEMPTS, {ours.attempt_days}),
            (partitions.LOG_LINES, {ours.log_days}),
        ):
            done = partitions.upkeep(connection, table, days - {0}, pieces=PIECES)
            more = more or done.deleted == PIECES
        return 1.0 if more else None

    def trim_cursors(self, connection: BaseDatabaseWrapper) -> float | None:
        """Forget the checkpoints of jobs that are nowhere; a second between two pages."""
        self.kept = cursors.trim(connection, after=self.kept)
        return 1.0 if self.kept else None

    def admit(self, connection: BaseDatabaseWrapper) -> float | None:
        """Let in what waits for limits and was missed; come again when a rate lets more jobs go."""
        missed = limits.admit_missed(connection, after=self.limited)
        self.limited = missed.after
        now = time.monotonic()
        if missed.next_seconds is not None:
            self.let_go_at = min(self.let_go_at, now + missed.next_seconds + 0.001)
        if missed.after:
            return ADMIT_SECONDS
        at, self.let_go_at = self.let_go_at, math.inf
        return None if at == math.inf else max(ADMIT_SECONDS, at - now)

    def repair(self, connection: BaseDatabaseWrapper) -> float | None:
        """Give up what jobs hold that are gone; come again at once while there are many."""
        return 0.0 if limits.repair(connection) >= 1_000 else None

    def fold_batches(self, connection: BaseDatabaseWrapper) -> None:
        """Fold the batches that nobody has folded who has ended their jobs."""
        batch_fold.fold_all(connection)

    def trim(self, connection: BaseDatabaseWrapper) -> float | None:
        """Delete what is old; come again at once while there are many."""
        ours = settings.get()
        started = time.monotonic()
        purged = dead.purge(connection, max_days=ours.dead_max_days, max_jobs=ours.dead_max_jobs)
        self.dead.add(purged, started)
        counters = [
            stats.trim(connection, resolution=resolution, keep_days=days)
            for resolution, days in (
                (Counter.Resolution.MINUTE, ours.minute_counters_days),
                (Counter.Resolution.HOUR, ours.hour_counters_days),
                (Counter.Resolution.DAY, ours.day_counters_days),
            )
        ]
        stats.merge_levels(connection)
        operations.trim(connection, keep_days=ours.audit_days)
        cron.trim(connection)
        unlocked = unique.trim(connection)
        batch.forget(connection, minutes=ours.batch_open_minutes)
        batch.trim(connection, days=ours.batch_days)
        batch_cancel.discard_left_over(connection)
        return 0.0 if purged >= 1_000 or max(unlocked, *counters) >= 10_000 else None


def _days_of_jobs() -> Iterator[int]:
    """Yield for how many days the jobs are kept that this process knows, when they say so."""
    for definition in registry.definitions():
        said = history.said(definition.options)
        if history.DAYS in said or history.RESULT in said:
            yield said.get(history.DAYS, history.RESULT_DAYS)
