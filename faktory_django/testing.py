"""For applications' tests: run what a test pushed, on the test's own connection."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from django.db import transaction
from psycopg.pq import TransactionStatus

from faktory_django import payload, settings
from faktory_django.api.context import hosted
from faktory_django.errors import InvalidQueueName
from faktory_django.features.batches import bid_of
from faktory_django.features.history import Limited
from faktory_django.lifecycle import expiry, log_lines, track
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.announce import announce_moved
from faktory_django.lifecycle.batch_fold import fold
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.limits import admit_missed
from faktory_django.lifecycle.log_lines import Said
from faktory_django.lifecycle.start import sort_out, unlocking
from faktory_django.lifecycle.track import Report, later
from faktory_django.worker.fetcher import failing_of
from faktory_django.worker.runner import Outcome, arun, conclude, prepare, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from faktory_django.api.context import CurrentJob
    from faktory_django.lifecycle.fetch import Turn

QUEUES = "SELECT DISTINCT queue FROM faktory_django_ready ORDER BY queue"


@dataclass(slots=True)
class Drained:
    """What a drain ran: jobtypes in order, and the errors of those that failed."""

    ran: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Notes:
    """The host of jobs that are drained: what they say, until they have ended."""

    def __init__(self) -> None:
        self._notes: dict[str, Report] = {}
        self._lines: list[Said] = []
        self._limit = Limited(settings.get().log_lines)

    def progress(self, job: CurrentJob, percent: int | None, text: str | None) -> None:
        """Take a note."""
        report = Report(job.jid, percent, text)
        self._notes[job.jid] = later(self._notes.get(job.jid), report)

    def log(self, job: CurrentJob, text: str) -> None:
        """Take a line, as a worker does."""
        if settings.get().log_days and not payload.is_encrypted(job.custom):
            kept = self._limit.next(text)
            if kept is not None:
                about = job.jid, job.jobtype, job.queue, job.attempt
                self._lines.append(Said(*about, time.monotonic(), kept))

    def extend(self, job: CurrentJob, seconds: float) -> None:
        """Do nothing: here a job may take as long as it likes."""

    def cancelled(self, job: CurrentJob) -> bool:
        """Return False: nobody else is there who could cancel it."""
        del job
        return False

    def stopping(self) -> bool:
        """Return False: no worker ends here."""
        return False

    def write(self, connection: BaseDatabaseWrapper) -> None:
        """Write the notes."""
        if self._notes:
            track.report(connection, list(self._notes.values()))
            self._notes.clear()
        if self._lines:
            days = settings.get().log_days
            ahead = log_lines.ahead(connection)
            log_lines.write(connection, self._lines, ahead=ahead, days=days)
        self._lines = []
        self._limit = Limited(settings.get().log_lines)


def drain(
    *queues: str, using: str | None = None, raise_errors: bool = True, limit: int = 1_000
) -> Drained:
    """Run jobs that wait in these queues, or in all, until none is left; also what they push.

    They run here and now, one after the other, in the test's own transaction if there is one.
    Scheduled jobs and retries stay where they are, and jobs for which a rate limit has no room.
    With raise_errors the first exception of a job is raised, after the job has moved to where it
    belongs. Raises RuntimeError after limit jobs: something pushes itself; InvalidQueueName for a
    name that no queue can have.
    """
    for name in queues:
        if wrong := settings.check_queue_name(name):
            raise InvalidQueueName(wrong)
    connection = database(using)
    drained = Drained()
    notes = Notes()
    consumer = Consumer(f"drain-{secrets.token_hex(8)}")
    while True:
        _let_in(connection)
        names = list(queues) or [row[0] for row in execute(connection, QUEUES)]
        consumer.next_sweep = 0.0  # what is not found then is not there
        turn = _claim(connection, consumer, names) if names else None
        if turn is None:
            return drained
        if len(drained.ran) >= limit:
            raise RuntimeError(f"drain has run {limit} jobs and there are more")
        with _shield(connection), hosted(notes):
            outcome, raised = _run(connection, turn.jobs[0], turn.moment, consumer.wid)
        drained.ran.append(outcome.jobtype)
        notes.write(connection)
        _finish(connection, consumer, names, outcome)
        if outcome.error is not None and outcome.counts:
            drained.errors.append(f"{outcome.error.errtype}: {outcome.error.message}")
            if raise_errors and raised is not None:
                raise raised


def _claim(
    connection: BaseDatabaseWrapper, consumer: Consumer, queues: Sequence[str]
) -> Turn | None:
    """Claim a job as a worker does: one that has expired is thrown away."""
    while (turn := consumer.turn(connection, queues, 1)).jobs:
        found = sort_out(turn.jobs, turn.moment)
        if found.to_unlock:
            execute(connection, *unlocking(found.to_unlock))
        if found.to_run:
            return turn
        expiry.throw_away(connection, found.expired)
        consumer.turn(connection, queues, 0, [LeaseAck(found.expired[0].lease, ends=True)])
    return None


def _let_in(connection: BaseDatabaseWrapper) -> None:
    """Let in what waits for limits, as upkeep does."""
    missed = admit_missed(connection)
    while missed.after:
        missed = admit_missed(connection, after=missed.after)


@contextmanager
def _shield(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Keep the test's transaction alive when a job breaks it; what it wrote before stays else."""
    if not connection.in_atomic_block:
        yield
        return
    savepoint = connection.savepoint() or ""
    yield
    raw = connection.connection
    if connection.needs_rollback or raw.info.transaction_status == TransactionStatus.INERROR:
        connection.needs_rollback = False
        connection.savepoint_rollback(savepoint)
    else:
        connection.savepoint_commit(savepoint)


def _run(
    connection: BaseDatabaseWrapper, claimed: Claimed, moment: float, wid: str
) -> tuple[Outcome, BaseException | None]:
    prepared = prepare(claimed, wid)
    waited = max(0.0, moment - claimed.enqueued_at)
    if not prepared.is_async:
        outcome = run(prepared, waited=waited, using=connection.alias)
        return outcome, outcome.raised
    started, raised = time.monotonic(), None
    try:
        async_to_sync(arun)(prepared, connection.alias)
    except BaseException as error:  # noqa: BLE001 - the application's function raised it
        raised = error
    outcome = conclude(prepared, waited, time.monotonic() - started, raised)
    return outcome, raised


def _finish(
    connection: BaseDatabaseWrapper,
    consumer: Consumer,
    queues: Sequence[str],
    outcome: Outcome,
) -> None:
    acks = LeaseAck(outcome.claimed.lease, ends=True)
    acks.traited = outcome.claimed.traits is not None
    with transaction.atomic(using=connection.alias):
        if outcome.verdict is not None:
            failing = failing_of(outcome, outcome.verdict)
            announce_moved(connection, fail(connection, [failing]))
        elif not outcome.acked:
            acks.ids.append(outcome.claimed.id)
            if outcome.note is not None:
                acks.notes[outcome.claimed.id] = outcome.note
            tally = acks.tallies[outcome.claimed.queue, outcome.jobtype] = Tally()
            tally.add(outcome.wait_seconds, outcome.run_seconds)
            if outcome.note is not None:
                acks.notes[outcome.claimed.id] = outcome.note
        consumer.turn(connection, queues, 0, [acks])
    if (bid := bid_of(outcome.claimed.traits)) is not None:
        fold(connection, [bid])
