"""A worker runs jobs: of all kinds, in the order of their queues, until it is told to end."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django import job
from faktory_django.models import Job, Process, RetryJob, Waiter
from tests.jobapp import faults, jobs
from tests.waiting import until

from .running import Ledger, Worker, left, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]


def test_a_worker_runs_sync_async_and_class_jobs_and_those_whose_time_has_come(
    start: Start, ledger: Ledger
) -> None:
    jobs.record.perform_async(str(ledger), "sync")
    jobs.record_async.perform_async(str(ledger), "async")
    faults.Shout.perform_async(str(ledger), text="class")
    jobs.record.perform_in(1.5, str(ledger), "scheduled")
    faults.fail_once.perform_async(str(ledger))

    worker = start()

    ledger.wait_for("sync", "start async", "end async", "CLASS", "attempt 1", "attempt 2")
    ledger.wait_for("scheduled")
    until(no_job_is_left, "all acknowledged")
    assert left() == {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}
    assert worker.stop() == 0
    assert not Process.objects.exists()


def test_a_burst_ends_when_the_queues_are_empty(start: Start, ledger: Ledger) -> None:
    jobs.record.perform_bulk([[str(ledger), str(n)] for n in range(200)])
    jobs.record.set(queue="other").perform_async(str(ledger), "not mine")

    worker = start("--burst", "--processes", "2")

    assert worker.end() == 0
    assert sorted(ledger.lines, key=int) == [str(n) for n in range(200)]
    assert left()["job"] == 1


def test_a_strict_order_empties_the_first_queue_before_the_next(
    start: Start, ledger: Ledger
) -> None:
    for queue in ("c", "b", "a"):
        jobs.record.set(queue=queue).perform_bulk([[str(ledger), queue]] * 20)

    worker = start("--queue", "a,b", "--queue", "c", "--concurrency", "1", "--burst")

    assert worker.end() == 0
    assert ledger.lines == ["a"] * 20 + ["b"] * 20 + ["c"] * 20


@pytest.mark.parametrize("options", [("--queue", "a=2,b=1"), ("--queue", "a,b", "--random")])
def test_weighted_and_random_orders_mix_the_queues(
    start: Start, ledger: Ledger, options: tuple[str, ...]
) -> None:
    for queue in ("b", "a"):
        jobs.record_sleep.set(queue=queue).perform_bulk([[str(ledger), queue, 0.06]] * 24)

    worker = start(*options, "--concurrency", "1", "--burst")

    assert worker.end() == 0
    begun = [line for line in ledger.lines if line.startswith("start")]
    # By chance one run in 17,000 is in order.
    assert Counter(begun) == {"start a": 24, "start b": 24}
    assert begun not in (["start a"] * 24 + ["start b"] * 24, ["start b"] * 24 + ["start a"] * 24)


def test_several_processes_share_the_work(start: Start, ledger: Ledger) -> None:
    worker = start("--processes", "2", "--concurrency", "2")
    until(lambda: Process.objects.count() == 2, "both are known")

    faults.hold.perform_bulk([[str(ledger), str(n)] for n in range(4)])

    ledger.wait_for(*[f"start {n}" for n in range(4)])
    ledger.open_gate()
    ledger.wait_for(*[f"end {n}" for n in range(4)])
    assert worker.stop() == 0


def test_a_slow_job_does_not_hold_its_batch_neighbours_back(start: Start, ledger: Ledger) -> None:
    jobs.noop.perform_bulk([[]] * 300)
    jobs.record_sleep.perform_async(str(ledger), "slow", 1_000)
    jobs.record.perform_bulk([[str(ledger), str(n)] for n in range(50)])

    start("--concurrency", "2")

    ledger.wait_for("start slow", *[str(n) for n in range(50)])


def test_async_jobs_are_not_held_to_the_number_of_threads(start: Start, ledger: Ledger) -> None:
    faults.hold_async.perform_bulk([[str(ledger), str(n)] for n in range(15)])

    start("--concurrency", "2")

    ledger.wait_for(*[f"start {n}" for n in range(15)])
    ledger.open_gate()
    ledger.wait_for(*[f"end {n}" for n in range(15)])


def test_what_cannot_start_soon_goes_back_for_other_workers(start: Start, ledger: Ledger) -> None:
    jobs.noop.perform_bulk([[]] * 300)
    jobs.record_sleep.perform_bulk([[str(ledger), "slow", 1_000]] * 2)
    jobs.record.perform_bulk([[str(ledger), str(n)] for n in range(50)])

    start("--concurrency", "1")
    start("--concurrency", "2")

    ledger.wait_for("start slow", *[str(n) for n in range(50)])


@pytest.mark.parametrize("burst", [(), ("--burst",)])
def test_a_process_is_replaced_after_max_jobs_and_no_job_is_lost(
    start: Start, ledger: Ledger, burst: tuple[str, ...]
) -> None:
    faults.pid.perform_bulk([[str(ledger), 0.03]] * 90)

    worker = start("--max-jobs", "10", "--concurrency", "2", *burst)

    until(lambda: len(ledger.lines) >= 90, "all ran")
    if burst:
        assert worker.end() == 0
    else:
        until(no_job_is_left, "all acknowledged")
        assert worker.stop() == 0
    assert len(ledger.lines) == 90
    assert len(set(ledger.lines)) >= 3


def test_a_process_is_replaced_when_it_holds_too_much_memory(start: Start, ledger: Ledger) -> None:
    worker = start("--max-rss-mb", "200", "--concurrency", "1")

    faults.grow.perform_bulk([[str(ledger), 300], [str(ledger), 300]])

    worker.wait_for_log("ends when its jobs have: it holds more than 200 MB")
    until(lambda: len(ledger.lines) == 2, "both ran")
    until(no_job_is_left, "both acknowledged")
    faults.pid.perform_async(str(ledger))
    until(lambda: len(ledger.lines) == 3, "another ran")
    assert len(set(ledger.lines)) >= 2


def test_a_limit_of_memory_below_what_a_process_needs_lets_each_run_a_job(
    start: Start, ledger: Ledger
) -> None:
    faults.pid.perform_bulk([[str(ledger)]] * 3)

    worker = start("--max-rss-mb", "1", "--concurrency", "1")

    until(no_job_is_left, "all acknowledged")
    worker.wait_for_log("ends when its jobs have: it holds more than 1 MB")
    idle = until(lambda: [c for c in worker.children() if known(c.pid)], "a child waits")
    assert worker.stop() == 0
    assert len(ledger.lines) == 3
    assert worker.log.count("it holds more than 1 MB") <= 3
    assert len(idle) == 1


def test_an_unknown_jobtype_is_kept_and_retried(start: Start) -> None:
    @job(name="shop.jobs.send_mail")
    def send_mail() -> None:
        pass

    send_mail.perform_async()

    worker = start()

    until(RetryJob.objects.exists, "a retry")
    assert RetryJob.objects.get().failure_hash["message"] == (
        "no job is registered as 'shop.jobs.send_mail'; it is expected in shop.jobs "
        "(is its app in INSTALLED_APPS?)"
    )
    worker.wait_for_log("no job is registered as 'shop.jobs.send_mail'")


def test_json_logs_are_one_object_a_line_and_never_hold_arguments(
    start: Start, ledger: Ledger
) -> None:
    jobs.noop.perform_async("s3cr3t\nvalue")
    jobs.fail.perform_async()
    jobs.tell.perform_async(str(ledger))

    worker = start("--log-format", "json", "--verbosity", "2", "--burst")

    assert worker.end() == 0
    entries = [json.loads(line) for line in worker.log.splitlines()]
    ends = {e["jobtype"].rpartition(".")[2]: e for e in entries if e["logger"].endswith("jobs")}
    assert set(ends) == {"noop", "fail", "tell"}
    assert {name: e["level"] for name, e in ends.items()} == {
        "noop": "DEBUG",
        "fail": "WARNING",
        "tell": "DEBUG",
    }
    assert ends["noop"]["queue"] == "default"
    assert len(ends["noop"]["jid"]) == 24
    assert "s3cr3t" not in worker.log
    assert str(ledger) not in worker.log


def test_the_first_line_says_what_runs_where(start: Start) -> None:
    worker = start("--queue", "critical,default", "--concurrency", "3", "--processes", "2")

    worker.wait_for_log("queues critical,default, 2 x 3 slots + 20 async")
    first = worker.log.splitlines()[0]
    assert "faktory_django " in first
    assert "database default (" in first


def test_a_job_that_has_ended_is_not_logged_without_being_asked_for(
    start: Start, ledger: Ledger
) -> None:
    jobs.record.perform_async(str(ledger), "done")
    jobs.fail.perform_async("boom\n2026-11-23T10:00:00.000Z 1 INFO forged")

    worker = start("--burst")

    assert worker.end() == 0
    assert "jobs.record" not in worker.log
    assert "WARNING faktory_django.jobs: tests.jobapp.jobs.fail" in worker.log
    assert "ValueError: boom 2026-11-23T10:00:00.000Z 1 INFO forged in 0." in worker.log


def test_jobs_start_by_priority_and_then_in_order(start: Start, ledger: Ledger) -> None:
    for n, priority in enumerate([0, 5, -5, 5, 100]):
        jobs.record.set(priority=priority).perform_async(str(ledger), str(n))

    worker = start("--concurrency", "1", "--burst")

    assert worker.end() == 0
    assert ledger.lines == ["4", "1", "3", "0", "2"]


def test_a_worker_reads_its_options_from_the_environment(start: Start, ledger: Ledger) -> None:
    jobs.record.set(queue="env").perform_async(str(ledger), "ran")

    worker = start("--burst", FAKTORY_WORKER_QUEUE="env,other", FAKTORY_WORKER_CONCURRENCY="2")

    assert worker.end() == 0
    assert ledger.lines == ["ran"]
    assert "queues env,other, 1 x 2 slots" in worker.log


def known(pid: int) -> bool:
    """Tell whether a process is known to wait for jobs."""
    wids = Process.objects.filter(pid=pid).values("wid")
    return Waiter.objects.filter(wid__in=wids).exists()


def pids() -> list[int]:
    """Return the processes that are known."""
    return sorted(Process.objects.values_list("pid", flat=True))


def test_a_worker_is_known_while_it_runs(start: Start) -> None:
    worker = start("--label", "blue", "--processes", "2")

    until(lambda: Process.objects.filter(rss_kb__gt=0).count() == 2, "both beat")
    assert pids() == sorted(child.pid for child in worker.children())
    row: Any = Process.objects.first()
    assert (row.labels, row.queues, row.state, row.concurrency) == (
        ["blue"],
        ["default"],
        "running",
        4,
    )
    assert row.hostname == os.uname().nodename
    assert not Job.objects.exists()
