"""Jobs of real workers are cancelled while they run: they hear of it soon, and end once."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django import Job
from faktory_django.lifecycle import stats
from faktory_django.lifecycle.cancel import cancel
from faktory_django.models import Cancel, RetryJob
from tests.jobapp import jobs
from tests.waiting import until

from .running import Ledger, Worker, left, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]

NOBODY = {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}


def counted(name: str) -> int:
    return stats.totals()[name]


def test_a_thread_hears_of_it_at_once_and_may_raise(start: Start, ledger: Ledger) -> None:
    handle = jobs.until_cancelled.perform_async(str(ledger))
    worker = start(faktory={"BEAT_SECONDS": 60})
    ledger.wait_for("started")
    began = time.monotonic()

    assert handle.cancel(by="ada") == "asked"

    ledger.wait_for("cancelled")
    assert time.monotonic() - began < 2
    until(no_job_is_left, "it has ended")
    assert left() == NOBODY
    assert counted("discarded") == 1
    assert ledger.lines == ["started", "cancelled"]
    worker.wait_for_log(f"{handle.jid} cancelled in")
    until(lambda: Job.status(handle.jid).state == "cancelled", "who asks hears of it")


def test_a_coroutine_is_cancelled(start: Start, ledger: Ledger) -> None:
    handle = jobs.sleep_async.perform_async(str(ledger))
    start()
    ledger.wait_for("started")

    assert handle.cancel() == "asked"

    ledger.wait_for("ended")
    until(no_job_is_left, "it has ended")
    assert left() == NOBODY
    assert counted("discarded") == 1


@pytest.mark.parametrize(
    ("how", "counts"), [("fail", "failed"), ("snooze", "discarded"), ("succeed", "done")]
)
def test_a_job_that_ends_otherwise_counts_by_how_it_ended(
    start: Start, ledger: Ledger, how: str, counts: str
) -> None:
    handle = jobs.cancelled_but.perform_async(str(ledger), how)
    start()
    ledger.wait_for("started")

    handle.cancel()

    until(no_job_is_left, "it has ended")
    assert left() == NOBODY
    until(lambda: counted(counts) == 1, "it is counted")
    assert sum(counted(name) for name in ("done", "failed", "discarded")) == 1


def test_a_coroutine_that_goes_on_has_succeeded(start: Start, ledger: Ledger) -> None:
    handle = jobs.ignore_async.perform_async(str(ledger))
    start()
    ledger.wait_for("started")
    handle.cancel()
    ledger.wait_for("heard")

    ledger.open_gate()

    ledger.wait_for("ended")
    until(lambda: counted("done") == 1, "it is counted")
    assert left() == NOBODY


@pytest.mark.parametrize(("work", "last"), [(jobs.deaf, "ended"), (jobs.ignore_async, "heard")])
def test_what_does_not_stop_is_ended_by_force(
    start: Start, ledger: Ledger, work: Job[..., Any], last: str
) -> None:
    handle = work.perform_async(str(ledger))
    start()
    ledger.wait_for("started")

    assert handle.cancel(kill_after=0.2) == "asked"

    until(no_job_is_left, "it has ended")
    assert left() == NOBODY
    assert ledger.lines[1] == last
    assert counted("discarded") == 1


def test_what_does_not_even_end_by_force_costs_its_process(start: Start, ledger: Ledger) -> None:
    handle = jobs.deafer.perform_async(str(ledger))
    worker = start()
    ledger.wait_for("started")

    handle.cancel(kill_after=0)

    ledger.wait_for("heard")
    worker.wait_for_log("does not end; the process is replaced")
    until(no_job_is_left, "it was given up")
    assert left() == NOBODY
    assert counted("discarded") == 1


def test_a_job_that_was_claimed_and_has_not_begun_does_not_begin(
    start: Start, ledger: Ledger
) -> None:
    first = jobs.until_cancelled.perform_async(str(ledger))
    start("--concurrency", "1", faktory={"POLL_SECONDS": 60})
    ledger.wait_for("started")
    second = jobs.record.perform_async(str(ledger), "ran")

    assert second.cancel() in {"cancelled", "asked"}
    first.cancel()

    until(no_job_is_left, "both have ended")
    assert left() == NOBODY
    assert ledger.lines == ["started", "cancelled"]


def test_a_notification_that_is_lost_comes_with_the_beat(start: Start, ledger: Ledger) -> None:
    handle = jobs.until_cancelled.perform_async(str(ledger))
    start(faktory={"TRANSACTION_POOLER": True})
    ledger.wait_for("started")

    handle.cancel()

    ledger.wait_for("cancelled")
    until(no_job_is_left, "it has ended")


def test_a_wish_that_was_made_while_the_fetcher_had_no_connection_is_heard(
    start: Start, ledger: Ledger
) -> None:
    handle = jobs.until_cancelled.perform_async(str(ledger))
    worker = start(faktory={"BEAT_SECONDS": 60})
    ledger.wait_for("started")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            ["faktory_worker fetcher"],
        )
    handle.cancel()

    worker.wait_for_log("the database does not answer")
    ledger.wait_for("cancelled")


def test_a_cancelled_job_whose_process_is_killed_does_not_come_back(
    start: Start, ledger: Ledger
) -> None:
    handle = jobs.deaf.perform_async(str(ledger))
    worker = start()
    ledger.wait_for("started")
    handle.cancel()

    assert worker.kill_a_child()

    until(no_job_is_left, "it is dropped")
    assert left() == NOBODY
    until(lambda: not Cancel.objects.exists(), "the wish is forgotten")


def test_a_cancelled_job_that_outlives_the_grace_does_not_come_back(
    start: Start, ledger: Ledger
) -> None:
    handle = jobs.deaf.perform_async(str(ledger))
    worker = start(faktory={"GRACE_SECONDS": 0.2})
    ledger.wait_for("started")
    handle.cancel()

    worker.send(signal.SIGTERM)

    assert worker.end() == 0
    assert left() == NOBODY


def test_cancels_race_with_the_end_of_jobs_and_each_ends_once(start: Start, ledger: Ledger) -> None:
    handles = jobs.record.perform_bulk([[str(ledger), str(n)] for n in range(300)])
    start(faktory={"CONCURRENCY": 10})
    ledger.wait_for("5")

    became = [cancel([handle.jid])[handle.jid] for handle in handles]

    until(no_job_is_left, "all have ended")
    until(lambda: counted("done") + counted("discarded") == 300, "each is counted once")
    assert counted("discarded") >= became.count("cancelled")
    assert len(ledger.lines) == len(set(ledger.lines)) == counted("done")
    assert not RetryJob.objects.exists()
