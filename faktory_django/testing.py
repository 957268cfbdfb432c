"""For applications' tests: run what a test pushed, on the test's own connection."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.db import transaction
from psycopg.pq import TransactionStatus

from faktory_django import settings
from faktory_django.api.context import hosted
from faktory_django.errors import InvalidQueueName
from faktory_django.features.batches import bid_of
from faktory_django.lifecycle import track
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.announce import announce_moved
from faktory_django.lifecycle.batch_fold import fold
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.track import Report, later
from faktory_django.worker.runner import Outcome, arun, conclude, prepare, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from faktory_django.api.context import CurrentJob

QUEUES = "SELECT DISTINCT queue FROM faktory_django_ready ORDER BY queue"


@dataclass(slots=True)
class Drained:
    """What a drain ran: jobtypes in order, and the errors of those that failed."""

    ran: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Notes:
    """The host of jobs that are drained: what they say of their progress, until they have ended."""

    def __init__(self) -> None:
        self._notes: dict[str, Report] = {}

    def progress(self, job: CurrentJob, percent: int | None, text: str | None) -> None:
        """Take a note."""
        report = Report(job.jid, percent, text)
        self._notes[job.jid] = later(self._notes.get(job.jid), report)

    def extend(self, job: CurrentJob, seconds: float) -> None:
        """Do nothing: here a job may take as long as it likes."""

    def write(self, connection: BaseDatabaseWrapper) -> None:
        """Write the notes."""
        if self._notes:
            track.report(connection, list(self._notes.values()))
            self._notes.clear()


def drain(
    *queues: str, using: str | None = None, raise_errors: bool = True, limit: int = 1_000
) -> Drained:
    """Run jobs that wait in these queues, or in all, until none is left; also what they push.

    They run here and now, one after the other, in the test's own transaction if there is one.
    Scheduled jobs and retries stay where they are. With raise_errors the first exception of a
    job is raised, after the job has moved to where it belongs. Raises RuntimeError after limit
    jobs: something pushes itself; InvalidQueueName for a name that no queue can have.
    """
    for name in queues:
        if wrong := settings.check_queue_name(name):
            raise InvalidQueueName(wrong)
    connection = database(using)
    drained = Drained()
    notes = Notes()
    consumer = Consumer(f"drain-{secrets.token_hex(8)}")
    while True:
        names = list(queues) or [row[0] for row in execute(connection, QUEUES)]
        consumer.next_sweep = 0.0  # what is not found then is not there
        turn = consumer.turn(connection, names, 1) if names else None
        if turn is None or not turn.jobs:
            return drained
        if len(drained.ran) >= limit:
            raise RuntimeError(f"drain has run {limit} jobs and there are more")
        with _shield(connection), hosted(notes):
            outcome, raised = _run(connection, turn.jobs[0], turn.moment)
        drained.ran.append(outcome.jobtype)
        notes.write(connection)
        _finish(connection, consumer, names, outcome)
        if outcome.error is not None and outcome.counts:
            drained.errors.append(f"{outcome.error.errtype}: {outcome.error.message}")
            if raise_errors and raised is not None:
                raise raised


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
    connection: BaseDatabaseWrapper, claimed: Claimed, moment: float
) -> tuple[Outcome, BaseException | None]:
    prepared = prepare(claimed)
    waited = max(0.0, moment - claimed.enqueued_at)
    if not prepared.is_async:
        outcome = run(prepared, waited=waited, using=connection.alias)
        return outcome, outcome.raised
    started, raised = time.monotonic(), None
    try:
        async_to_sync(arun)(prepared)
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
    lease, acks = outcome.claimed.lease, LeaseAck(outcome.claimed.lease, ends=True)
    acks.traited = outcome.claimed.traits is not None
    with transaction.atomic(using=connection.alias):
        if outcome.verdict is not None:
            verdict: Any = outcome.verdict
            failing = Failing(outcome.claimed.id, lease, verdict, outcome.counts)
            announce_moved(connection, fail(connection, [failing]))
        elif not outcome.acked:
            acks.ids.append(outcome.claimed.id)
            tally = acks.tallies[outcome.claimed.queue, outcome.jobtype] = Tally()
            tally.add(outcome.wait_seconds, outcome.run_seconds)
            if outcome.note is not None:
                acks.notes[outcome.claimed.id] = outcome.note
        consumer.turn(connection, queues, 0, [acks])
    if (bid := bid_of(outcome.claimed.traits)) is not None:
        fold(connection, [bid])
