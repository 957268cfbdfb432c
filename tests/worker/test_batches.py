"""Batches in real workers: what follows comes soon, once, and whoever is killed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django import Batch, chain
from faktory_django.models import BatchDelta
from tests.jobapp import jobs
from tests.waiting import until

from .running import Ledger, Worker, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]

pytestmark = pytest.mark.django_db(transaction=True)


def a_batch(ledger: Ledger, members: int, job: object = jobs.noop) -> Batch:
    """Push a batch that writes to the ledger when it is complete, and when it has succeeded."""
    follow = jobs.record
    with Batch(
        success=follow.s(str(ledger), "success"), complete=follow.s(str(ledger), "complete")
    ) as batch:
        job.perform_bulk([[]] * members)  # type: ignore[attr-defined]
    return batch


def test_what_follows_comes_within_a_moment(start: Start, ledger: Ledger) -> None:
    worker = start()
    jobs.record.perform_async(str(ledger), "ready")
    ledger.wait_for("ready")
    started = time.monotonic()

    batch = a_batch(ledger, 3)
    ledger.wait_for("complete", "success")

    assert time.monotonic() - started < 0.9
    until(lambda: batch.status().success == "done", "the batch is done")
    assert worker.stop() == 0
    assert not BatchDelta.objects.exists()


def test_a_large_batch_in_several_processes_is_followed_once(start: Start, ledger: Ledger) -> None:
    batch = a_batch(ledger, 3_000)
    for _ in range(2):
        start(faktory={"PROCESSES": 2})

    ledger.wait_for("complete", "success", seconds=60)
    until(no_job_is_left, "all jobs have run", seconds=60)

    assert ledger.lines == ["complete", "success"]
    assert batch.status().pending == 0


def test_async_and_atomic_jobs_are_in_batches_too(start: Start, ledger: Ledger) -> None:
    with Batch(success=jobs.record.s(str(ledger), "success")) as batch:
        jobs.record_async.perform_async(str(ledger), "async")
        jobs.record_atomic.perform_async(str(ledger), "atomic")
    start()

    ledger.wait_for("success")

    assert batch.status().done == 2
    assert ledger.lines[-1] == "success"


def test_a_chain_is_run_by_workers(start: Start, ledger: Ledger) -> None:
    steps = [jobs.record.s(str(ledger), str(nr)) for nr in range(5)]
    batch = chain(*steps, success=jobs.record.s(str(ledger), "end")).push()
    start()

    ledger.wait_for("end")

    assert ledger.lines == ["0", "1", "2", "3", "4", "end"]
    until(lambda: batch.status().success == "done", "it is done")


@pytest.mark.parametrize("burst", [False, True])
def test_a_worker_that_ends_leaves_nothing_unfolded(
    start: Start, ledger: Ledger, burst: bool
) -> None:
    a_batch(ledger, 5)
    worker = start(*(["--burst"] if burst else []))
    if not burst:
        ledger.wait_for("complete", "success")
        worker.stop()

    assert worker.end() == 0

    assert ledger.lines == ["complete", "success"]
    assert not BatchDelta.objects.exists()


def hold_folds() -> None:
    """Let every fold wait, in the middle of its transaction, for a lock that the test holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION hold_fold() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER hold_fold AFTER UPDATE ON faktory_django_batch"
            " FOR EACH ROW WHEN (NEW.done > OLD.done) EXECUTE FUNCTION hold_fold()"
        )
        cursor.execute("SELECT pg_advisory_lock(4711)")


def let_fold() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


HELD = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""


def held() -> int:
    with connection.cursor() as cursor:
        cursor.execute(HELD)
        return int(cursor.fetchone()[0])


def test_a_worker_that_is_killed_in_the_middle_of_a_fold_is_made_up_for(
    start: Start, ledger: Ledger
) -> None:
    hold_folds()
    try:
        batch = a_batch(ledger, 1)
        worker = start()
        until(lambda: held() > 0, "somebody folds")
        worker.kill()
    finally:
        let_fold()
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION hold_fold() CASCADE")
    until(lambda: held() == 0, "nobody waits any more")

    start()
    ledger.wait_for("complete", "success")
    until(no_job_is_left, "all has run")

    assert ledger.lines == ["complete", "success"]
    assert (batch.status().done, batch.status().pending) == (1, 0)


@pytest.mark.parametrize("attempt", range(3))
def test_workers_that_are_killed_at_any_moment_leave_nothing_out(
    start: Start, ledger: Ledger, attempt: int
) -> None:
    batch = a_batch(ledger, 400, jobs.noop)
    workers = [start(faktory={"PROCESSES": 2}) for _ in range(2)]
    until(lambda: batch.status().done > 50 + 100 * attempt, "some have run", seconds=30)
    for worker in workers:
        worker.kill()

    start(faktory={"PROCESSES": 2})
    ledger.wait_for("complete", "success", seconds=60)
    until(no_job_is_left, "all has run", seconds=60)

    status = batch.status()
    assert (status.total, status.pending, status.state) == (400, 0, "success")
    # one that ran when its worker was killed may have run again
    assert set(ledger.lines) == {"complete", "success"}
