"""The fetcher: one thread that talks to the database for all slots of a process.

Few, full round trips: what is done is flushed with the next claim, a claim is as large as the
slots can start within a moment, and what cannot be started soon goes back to its queue.
"""

from __future__ import annotations

import logging
import random
import select
import socket
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg
from django.db import Error as DatabaseError
from psycopg.pq import ConnStatus

from faktory_django import notify, settings, signals
from faktory_django.errors import DatabaseNotReady
from faktory_django.lifecycle import beat, cancel, expiry, install, throttles
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.fail import Failing, Moved, fail
from faktory_django.lifecycle.fetch import AGAIN_SECONDS, Claimed, Consumer
from faktory_django.lifecycle.reservation import hand_back, return_strays
from faktory_django.lifecycle.retry import Fate
from faktory_django.lifecycle.start import sort_out, unlocking
from faktory_django.processes import dedicated

from .connections import in_one_line
from .folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from faktory_django.lifecycle.cancel import Wish
    from faktory_django.lifecycle.fetch import Turn
    from faktory_django.lifecycle.retry import Verdict

    from .options import WorkerOptions
    from .runner import Outcome

logger = logging.getLogger(__name__)

# A claim is as large as the slots can run in this time, by the mean of the latest runs.
HORIZON_SECONDS: Final = 0.05
# Bodies in hand, by the mean of the latest claims, beyond one for each slot.
CLAIM_BYTES: Final = 32 * 1_048_576
# What waits longer than this for a slot goes back.
HAND_BACK_SECONDS: Final = 1.0
# Acks wait this long for company while no claim is due.
LINGER_SECONDS: Final = 0.005
# A second look soon after going idle: a push may have checked for waiters before its commit.
SECOND_LOOK_SECONDS: Final = 0.05
STRAYS_SECONDS: Final = 30.0
MAX_BACKOFF_SECONDS: Final = 5.0


class Crew(Protocol):
    """What the fetcher needs of the slots: implemented by the child."""

    def submit(self, jobs: Sequence[Claimed], moment: float) -> None:
        """Start these jobs, or keep them until a slot is free."""

    def free(self) -> int:
        """Return how many more jobs could start at once, of whichever kind they are."""

    def unstarted(self) -> int:
        """Return how many jobs have not started."""

    def take_back(self) -> list[Claimed]:
        """Give up the jobs that have not started."""

    def cancel(self, wishes: Sequence[Wish]) -> None:
        """Ask these jobs to stop."""

    def after(self, call: Callable[[], object]) -> None:
        """Call something of the application's in a slot."""


@dataclass(slots=True)
class _Held:
    """A lease in our hands: how many of its jobs are under way, and those done since the flush."""

    under_way: int
    done: list[int] = field(default_factory=list)
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    traited: bool = False
    notes: dict[int, str] = field(default_factory=dict)


class Fetcher:
    """Claims for a crew of slots and flushes what became of the jobs."""

    def __init__(
        self, options: WorkerOptions, info: beat.ProcessInfo, crew: Crew, *, slots: int
    ) -> None:
        self.options = options
        self.info = info
        self.crew = crew
        self.slots = slots
        self.done_jobs = 0
        self.quiet = False
        self.stopping = False
        self.ended = threading.Event()
        self.failed: BaseException | None = None
        self._consumer = Consumer(info.wid)
        self._connection: BaseDatabaseWrapper | None = None
        self._outcomes: deque[Outcome] = deque()
        self._failures: list[Outcome] = []
        self._held: dict[int, _Held] = {}
        self._arrived: list[Turn] = []
        self._returning: list[Claimed] = []
        self._in_hand = self._empty_turns = self._asleep = 0
        self._mean_run = HORIZON_SECONDS
        self._mean_size = 1_024.0
        self._dirty_since: float | None = None
        self._submitted_at = 0.0
        self._next_claim = self._next_strays = 0.0
        self._listening = False
        self._declared = False
        self._found_nothing = False
        self._looks = False
        self._backoff = 0.0
        self._folder = Folder()
        self._bell_in, self._bell_out = socket.socketpair()
        for bell in (self._bell_in, self._bell_out):
            bell.settimeout(0)

    # what other threads call

    def done(self, outcome: Outcome) -> None:
        """Take what became of a job; from any thread."""
        self._outcomes.append(outcome)
        if self._asleep:
            self.ring()

    def ring(self) -> None:
        """Wake the fetcher; from any thread."""
        self._asleep = 0
        with suppress(BlockingIOError):  # it is full of rings already
            self._bell_in.send(b"!")

    def look(self) -> None:
        """Look which jobs were cancelled; from any thread."""
        self._looks = True
        self.ring()

    def stop(self) -> None:
        """Claim no more, hand back what has not started, end when the rest is done."""
        self.stopping = True
        self.ring()

    # the thread

    def main(self) -> None:
        """Run until stopped and empty, or until a burst finds nothing more."""
        try:
            while not self._is_over():
                try:
                    self._step()
                    self._backoff = 0.0
                except (DatabaseError, DatabaseNotReady) as wrong:
                    self._recover(wrong)
        except BaseException as fault:
            logger.exception("the fetcher ends on an error of its own")
            self.failed = fault
        finally:
            self.ended.set()

    def _is_over(self) -> bool:
        if self._in_hand or self._outcomes or self._failures or self._held or self._folder:
            return False
        return self.stopping or (self.options.burst and self._found_nothing)

    def _step(self) -> None:
        connection = self._connected()
        self._start(connection)
        self._collect()
        if self._looks:
            self._looks = False
            self.crew.cancel(cancel.wishes(connection, self.info.wid))
        self._hand_back_overdue(connection)
        if self.quiet and self._consumer.waiting:
            beat.stop_waiting(connection, self.info.wid)
            self._consumer.waiting = False
        self._flush_failures(connection)
        now = time.monotonic()
        wanted = self._wanted(now)
        if wanted or self._flush_is_due(now):
            self._turn(connection, wanted)
            self._fold(connection, time.monotonic())
        elif self._dirty_since is None and self._folder.is_due(now):
            self._fold(connection, now)
        else:
            self._sleep(connection, now)

    def _fold(self, connection: BaseDatabaseWrapper, now: float) -> None:
        """Fold the batches whose jobs have ended here: what was done is flushed by now."""
        if self._folder.is_due(now):
            self._folder.fold(connection, now)
            self._found_nothing = False  # what follows may wait by now

    def _wanted(self, now: float) -> int:
        if self.stopping or self.quiet:
            return 0
        free, ahead = self.crew.free(), self._ahead()
        room = max(free, ahead - self._in_hand)
        if room <= 0 or (free <= 0 and 2 * room < ahead):
            return 0
        if now < self._next_claim and not self._flush_is_due(now):
            return 0
        return min(room, self.options.max_claim)

    def _ahead(self) -> int:
        """Return how many jobs to have in hand when they are short; 0 when they are not."""
        if self._mean_run >= HORIZON_SECONDS:
            return 0
        ahead = int(self.slots * HORIZON_SECONDS / max(self._mean_run, 1e-6))
        fits = int(CLAIM_BYTES / self._mean_size)
        return min(ahead, fits, self.options.max_claim)

    def _flush_is_due(self, now: float) -> bool:
        if self._dirty_since is None:
            return False
        return now - self._dirty_since >= LINGER_SECONDS or self.crew.free() > 0

    def _turn(self, connection: BaseDatabaseWrapper, wanted: int) -> None:
        acks = self._acks()
        was_waiting = self._consumer.waiting
        queues, startable = self.options.queues.next(), max(0, self.crew.free())
        turn = self._consumer.turn(connection, queues, wanted, acks, startable=startable)
        self._forget(acks)
        for ack in turn.lost:
            self._say_lost(ack)
        sizes = Counter(job.lease for job in turn.jobs)
        traited = {job.lease for job in turn.jobs if job.traits is not None}
        claimed = {lease: _Held(n, traited=lease in traited) for lease, n in sizes.items()}
        if turn.lease is not None and turn.lease not in claimed:
            claimed[turn.lease] = _Held(0)  # all were discarded; the lease has to go
            self._dirty_since = time.monotonic()
        self._held |= claimed
        if turn.jobs:
            self._in_hand += len(turn.jobs)
            size = sum(len(job.body) for job in turn.jobs) / len(turn.jobs)
            self._mean_size += (size - self._mean_size) / 2
            self._arrived.append(turn)
            self._start(connection)
        if wanted:
            self._plan_next_claim(turn, wanted, was_waiting)

    def _start(self, connection: BaseDatabaseWrapper) -> None:
        """Start what was claimed, but for jobs that have expired; again until it has worked out."""
        while self._arrived:
            turn = self._arrived[0]
            found = sort_out(turn.jobs, turn.moment)
            if found.to_unlock:
                execute(connection, *unlocking(found.to_unlock))
            if found.expired:
                expiry.throw_away(connection, found.expired)
            del self._arrived[0]
            for job in found.expired:
                self._ended(job.lease, None)
            if found.to_run:
                self._submitted_at = time.monotonic()
                self.crew.submit(found.to_run, turn.moment)

    def _plan_next_claim(self, turn: Turn, wanted: int, was_waiting: bool) -> None:  # noqa: FBT001
        now = time.monotonic()
        self._empty_turns = 0 if turn.jobs else self._empty_turns + 1
        self._found_nothing = turn.swept and not turn.jobs and not turn.contended
        if len(turn.jobs) == wanted or (self._consumer.waiting and not was_waiting):
            self._next_claim = now  # there may be more; or: registered, so look once more
        elif turn.contended:
            self._next_claim = now + AGAIN_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311
        elif was_waiting and self._empty_turns == 2:
            self._next_claim = now + SECOND_LOOK_SECONDS
        else:
            self._next_claim = now + self.options.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311
        if self.options.burst and not turn.jobs:
            self._next_claim = min(self._next_claim, self._consumer.next_sweep)

    # outcomes

    def _collect(self) -> None:
        seconds, runs = 0.0, 0
        while self._outcomes:
            outcome = self._outcomes.popleft()
            seconds += outcome.run_seconds
            runs += 1
            if outcome.claimed.traits is not None:
                self._folder.note(outcome.claimed.traits)
            if outcome.verdict is not None:
                self._failures.append(outcome)
                continue
            if outcome.rests:
                self._returning.append(outcome.claimed)
                continue
            self._ended(outcome.claimed.lease, outcome)
        if runs:
            weight = min(1.0, runs / 50)
            self._mean_run += weight * (seconds / runs - self._mean_run)
            self.done_jobs += runs

    def _ended(self, lease: int, outcome: Outcome | None) -> None:
        """One job of a lease is out of our hands: done, or moved by another statement."""
        held = self._held[lease]
        held.under_way -= 1
        self._in_hand -= 1
        if self._dirty_since is None:
            self._dirty_since = time.monotonic()
        if outcome is None or outcome.acked:
            return
        held.done.append(outcome.claimed.id)
        if outcome.note is not None:
            held.notes[outcome.claimed.id] = outcome.note
        key = (outcome.claimed.queue, outcome.jobtype)
        if (tally := held.tallies.get(key)) is None:
            tally = held.tallies[key] = Tally()
        tally.add(outcome.wait_seconds, outcome.run_seconds)

    def _acks(self) -> list[LeaseAck]:
        return [
            LeaseAck(lease, held.under_way == 0, held.done, held.tallies, held.traited, held.notes)
            for lease, held in sorted(self._held.items())
            if held.done or held.under_way == 0
        ]

    def _forget(self, acks: Sequence[LeaseAck]) -> None:
        for ack in acks:
            if ack.ends:
                del self._held[ack.lease]
            else:
                held = self._held[ack.lease]
                held.done, held.tallies, held.notes = [], {}, {}
        self._dirty_since = None

    def _flush_failures(self, connection: BaseDatabaseWrapper) -> None:
        if not self._failures:
            return
        failures = self._failures[:1_000]
        failings = [failing_of(o, o.verdict) for o in failures if o.verdict is not None]
        moved = {m.id: m for m in fail(connection, failings)}
        del self._failures[:1_000]
        for outcome in failures:
            self._ended(outcome.claimed.lease, None)
            self._say(outcome, moved.get(outcome.claimed.id))

    def _say(self, outcome: Outcome, moved: Moved | None) -> None:
        if moved is None:
            logger.warning(
                "%s was no longer ours when it failed", outcome.jobtype, extra=_facts(outcome)
            )
            return
        if outcome.job is None or moved.fate not in {Fate.RETRY, Fate.DEAD}:
            return
        signal = signals.retried if moved.fate == Fate.RETRY else signals.dead
        if signal.receivers:
            facts = {"jid": outcome.job.jid, "queue": moved.queue}
            self.crew.after(partial(signal.send_robust, outcome.jobtype, **facts))

    def _say_lost(self, ack: LeaseAck) -> None:
        if ack.ids:
            logger.warning(
                "up to %d finished jobs of lease %d were no longer ours: they ran again, were "
                "discarded, or an earlier answer was lost",
                len(ack.ids),
                ack.lease,
            )

    # handing back

    def _hand_back_overdue(self, connection: BaseDatabaseWrapper) -> None:
        if self.crew.unstarted():
            waited = time.monotonic() - self._submitted_at
            if self.stopping or self.quiet or waited >= HAND_BACK_SECONDS:
                self._returning += self.crew.take_back()
                self._mean_run = max(self._mean_run, waited)
        while self._returning:
            # Under way until the answer has come: a lease is only deleted as a whole when all
            # that it still names is done.
            lease = self._returning[0].lease
            ids = [job.id for job in self._returning if job.lease == lease]
            hand_back(connection, lease, ids)
            for _ in ids:
                self._ended(lease, None)
            self._returning = [job for job in self._returning if job.lease != lease]

    # connection, sleep

    def _connected(self) -> BaseDatabaseWrapper:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
            self._next_strays = 0.0
        if time.monotonic() >= self._next_strays:
            self._next_strays = time.monotonic() + STRAYS_SECONDS
            self._consumer.waiting = False  # registers anew, should somebody have tidied us away
            if strays := return_strays(connection, self.info.wid, list(self._held)):
                logger.info("put back %d jobs whose claim was not answered", strays)
        return connection

    def _connect(self) -> BaseDatabaseWrapper:
        connection = dedicated(self.options.database, role="worker fetcher")
        try:
            connection.ensure_connection()
            install.check_database(connection)
            beat.register(connection, self.info)
            if not self._declared:
                throttles.declare(connection, settings.get().throttles)
                self._declared = True
            self._listen(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _listen(self, connection: BaseDatabaseWrapper) -> None:
        self._looks = bool(self._held)  # what was said meanwhile was not heard
        self._consumer.waiting = False
        self._consumer.listens = not settings.get().transaction_pooler and not self.options.burst
        if self._consumer.listens:
            channel = execute(connection, f"SELECT {notify.CHANNEL}")[0][0]
            execute(connection, f'LISTEN "{channel}"')
            connection.connection.add_notify_handler(self._on_notify)

    def _on_notify(self, notification: Any) -> None:
        self._heard(notification.payload)

    def _heard(self, said: str) -> None:
        if said == self.info.wid:
            self._next_claim = 0.0
        elif said == f"{notify.CANCEL}{self.info.wid}":
            self._looks = True

    def _recover(self, wrong: Exception) -> None:
        """Drop the connection and wait; what is unflushed is kept and sent again."""
        if self._backoff == 0.0 and isinstance(wrong, DatabaseNotReady):
            logger.warning("waiting: %s", wrong)
        elif self._backoff == 0.0:
            logger.error("the database does not answer: %s", in_one_line(wrong))
        if self._connection is not None:
            with suppress(DatabaseError):
                self._connection.close()
            self._connection = None
        self._backoff = min(MAX_BACKOFF_SECONDS, max(0.1, 2 * self._backoff))
        time.sleep(self._backoff * random.uniform(0.5, 1.0))  # noqa: S311

    def _sleep(self, connection: BaseDatabaseWrapper, now: float) -> None:
        until = now + 1.0
        if not (self.stopping or self.quiet) and self.crew.free() > 0:
            until = min(until, self._next_claim)
        if self._dirty_since is not None:
            until = min(until, self._dirty_since + LINGER_SECONDS)
        elif self._folder:
            until = min(until, self._folder.next_at)
        if self.crew.unstarted():
            until = min(until, self._submitted_at + HAND_BACK_SECONDS)
        # While acks wait for company nobody needs to ring; it is a few milliseconds.
        self._asleep = int(self._dirty_since is None)
        if self._outcomes or self._looks:
            self._asleep = 0
            return
        raw = connection.connection
        timeout = max(0.0, until - now)
        readable, _, _ = select.select([raw.fileno(), self._bell_out], [], [], timeout)
        self._asleep = 0
        if self._bell_out in readable:
            self._bell_out.recv(4_096)
        if raw.fileno() in readable:
            with connection.wrap_database_errors:
                self._hear(raw)

    def _hear(self, raw: Any) -> None:
        """Take in what the server said unasked: notifications, or that it goes away."""
        raw.pgconn.consume_input()
        while (notification := raw.pgconn.notifies()) is not None:
            self._heard(notification.extra.decode())
        if raw.pgconn.status != ConnStatus.OK:
            raise psycopg.OperationalError("the server closed the connection")


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "jid": outcome.job.jid if outcome.job else "",
        "jobtype": outcome.jobtype,
        "queue": outcome.claimed.queue,
    }


def failing_of(outcome: Outcome, verdict: Verdict) -> Failing:
    """Return what the store is told of a run that did not succeed."""
    return Failing(
        outcome.claimed.id,
        outcome.claimed.lease,
        verdict,
        outcome.counts,
        note=outcome.note,
        error=outcome.error,
        number=outcome.job.attempt if outcome.job is not None else None,
    )
