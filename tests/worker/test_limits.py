"""A worker outlives whatever its jobs do, and ends those that do not end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from faktory_django.models import RetryJob
from tests.jobapp import faults, jobs
from tests.waiting import until

from .running import Ledger, Worker, alive, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django import Job as JobFunction

    Start = Callable[..., Worker]

SYNC = [*faults.RAISED, "recursion"]
# Python turns a StopIteration in a coroutine into a RuntimeError; that is raised as any other.
ASYNC = [*faults.RAISED, "recursion", "cancels itself"]


def test_whatever_a_job_raises_is_a_failure_and_the_worker_lives(
    start: Start, ledger: Ledger
) -> None:
    for what in SYNC:
        faults.explode.perform_async(what)
    for what in ASYNC:
        faults.explode_async.perform_async(what)
    worker = start()
    [child] = until(worker.children, "a child")

    until(lambda: RetryJob.objects.count() == len(SYNC) + len(ASYNC), "all failed")
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.3] for n in range(4)])
    jobs.record_async.perform_bulk([[str(ledger), f"async {n}", 0.3] for n in range(4)])
    ledger.wait_for(*[f"end {n}" for n in range(4)], *[f"end async {n}" for n in range(4)])

    found = {
        (row.jobtype.rpartition(".")[2], json_args(row)[0]): row.failure_hash["errtype"]
        for row in RetryJob.objects.all()
    }
    assert worker.children() == [child]
    assert found["explode", "exit"] == found["explode_async", "exit"] == "SystemExit"
    assert found["explode", "interrupt"] == found["explode_async", "interrupt"]
    assert found["explode", "stop"] == "StopIteration"
    assert found["explode", "recursion"] == found["explode_async", "recursion"] == "RecursionError"
    assert found["explode_async", "cancels itself"].endswith("CancelledError")
    assert (
        found["explode", "base"]
        == found["explode_async", "base"]
        == ("tests.jobapp.faults.OwnBase")
    )
    messages = [row.failure_hash["message"] for row in RetryJob.objects.all()]
    assert messages.count("<tests.jobapp.faults.Unprintable that cannot be printed>") == 2


def json_args(row: RetryJob) -> list[str]:
    """Return the arguments of a stored job."""
    args: list[str] = json.loads(row.body)["args"]
    return args


def timed_out() -> set[str]:
    """Return the jobtypes of the jobs that failed for their time."""
    return {
        row.jobtype.rpartition(".")[2]
        for row in RetryJob.objects.all()
        if row.failure_hash["errtype"] == "JobTimeout"
    }


def test_a_job_that_can_be_interrupted_is_and_the_process_goes_on(
    start: Start, ledger: Ledger
) -> None:
    quick = {"loop_for_ever", "swallow_timeouts", "sleep_async"}
    for name in quick:
        getattr(faults, name).perform_async()
    worker = start()

    until(lambda: timed_out() == quick, "all timed out")

    [row] = RetryJob.objects.filter(jobtype=faults.loop_for_ever.jobtype)
    assert row.failure_hash["message"] == "the job ran longer than its timeout_seconds (0.5)"
    assert any("loop_for_ever" in line for line in row.failure_hash["backtrace"])
    jobs.record.perform_async(str(ledger), "next")
    ledger.wait_for("next")
    assert len(worker.children()) == 1
    assert "replaced" not in worker.log


@pytest.mark.parametrize("stuck", [faults.block_in_c, faults.ignore_cancellation])
def test_a_job_that_cannot_be_interrupted_fails_and_its_process_is_replaced(
    start: Start, ledger: Ledger, stuck: JobFunction[[str], None]
) -> None:
    stuck.perform_async(str(ledger))
    worker = start()
    until(lambda: ledger.lines, "it runs")
    [child] = worker.children()

    until(lambda: timed_out() == {stuck.jobtype.rpartition(".")[2]}, "it failed", seconds=30)
    worker.wait_for_log("does not end; the process is replaced")
    until(lambda: not alive(child), "its process ends")

    jobs.record.perform_async(str(ledger), "next")
    ledger.wait_for("next")
    until(no_job_is_left, "nothing is left")
    assert len(worker.children()) == 1
    assert worker.stop() == 0


def test_a_job_that_holds_the_interpreter_is_ended_with_its_process(
    start: Start, ledger: Ledger
) -> None:
    faults.hold_the_interpreter.set(queue="held").perform_async(str(ledger))
    worker = start("--queue", "default,held", faktory={"SILENT_CHILD_SECONDS": 60})
    until(lambda: ledger.lines, "it runs")

    worker.wait_for_log("is killed: a job holds it beyond its time limit")
    jobs.record.perform_async(str(ledger), "next")

    ledger.wait_for("next")
