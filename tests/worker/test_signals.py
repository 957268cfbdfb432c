"""What signals do: a stop with grace, a stop at once, quiet, and a look inside."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from faktory_django.models import Job, Lease, Process, Waiter
from tests.jobapp import faults, jobs
from tests.waiting import until

from .running import Ledger, Worker, alive, left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]


def test_a_stop_lets_jobs_end_in_time_and_puts_the_others_back_without_loss(
    start: Start, ledger: Ledger
) -> None:
    for n in range(3):
        jobs.record_sleep.perform_async(str(ledger), f"short {n}", 1.0)
        jobs.record_sleep.perform_async(str(ledger), f"long {n}", 1_000)
        jobs.record_async.perform_async(str(ledger), f"async short {n}", 1.0)
        jobs.record_async.perform_async(str(ledger), f"async long {n}", 1_000)
    kinds = ("short", "long", "async short", "async long")
    worker = start("--concurrency", "12", "--grace", "2")
    ledger.wait_for(*[f"start {kind} {n}" for kind in kinds for n in range(3)])

    stopped = time.monotonic()
    code = worker.stop()
    seconds = time.monotonic() - stopped

    assert code == 0
    assert seconds < 2 + 5
    ends = {line for line in ledger.lines if line.startswith("end")}
    assert ends == {f"end {kind} {n}" for kind in ("short", "async short") for n in range(3)}
    assert left() == {"job": 6, "scheduled": 0, "retry": 0, "dead": 0}
    assert set(Job.objects.values_list("failure", "crashes")) == {(None, 0)}
    assert not Lease.objects.exists()
    assert not Process.objects.exists()


def test_a_stop_ends_in_time_though_a_job_holds_the_interpreter(
    start: Start, ledger: Ledger
) -> None:
    faults.hold_the_interpreter.perform_async(str(ledger))
    worker = start("--grace", "0")
    until(lambda: ledger.lines, "it runs")

    stopped = time.monotonic()
    code = worker.stop()
    seconds = time.monotonic() - stopped

    assert code == 0
    assert seconds < 5
    assert "is killed: its grace is over" in worker.log
    assert left() == {"job": 1, "scheduled": 0, "retry": 0, "dead": 0}
    assert Job.objects.get().crashes == 0
    assert not Lease.objects.exists()


def test_jobs_that_went_back_run_again_at_the_next_worker(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_async(str(ledger), "first", 1_000)
    first = start("--grace", "0")
    ledger.wait_for("start first")
    assert first.stop() == 0

    start()

    until(lambda: ledger.lines.count("start first") == 2, "a second start")


def test_a_second_interrupt_ends_at_once(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_async(str(ledger), "long", 1_000)
    worker = start("--grace", "60")
    ledger.wait_for("start long")
    children = worker.children()

    worker.send(signal.SIGINT)
    worker.wait_for_log("stopping; running jobs have 60 s")
    again = time.monotonic()
    until(lambda: time.monotonic() > again + 0.2, "a second press of Ctrl-C")
    worker.send(signal.SIGINT)

    assert worker.end() == 130
    assert time.monotonic() - again < 5
    assert not any(map(alive, children))
    assert left()["job"] == 1
    assert not Lease.objects.exists()


def test_a_stop_that_is_repeated_is_one_stop(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_async(str(ledger), "short", 1.0)
    worker = start("--grace", "10")
    ledger.wait_for("start short")

    for number in (signal.SIGINT, *[signal.SIGTERM] * 4):
        worker.send(number)

    assert worker.end() == 0
    assert ledger.lines == ["start short", "end short"]
    assert left()["job"] == 0


@pytest.mark.parametrize("after", [0.3, 0.5, 0.7])
def test_a_stop_during_the_start_leaves_nothing_behind(start: Start, after: float) -> None:
    worker = start("--processes", "4")
    parent = psutil.Process(worker.process.pid)
    deadline = time.monotonic() + after
    until(lambda: time.monotonic() >= deadline, "a moment of the start")

    children = parent.children()
    code = worker.stop()

    assert code in {0, -signal.SIGTERM}
    assert not any(map(alive, children))
    until(lambda: not Process.objects.exists(), "nobody is known")


def test_quiet_takes_no_new_jobs_and_lets_the_running_ones_end(
    start: Start, ledger: Ledger
) -> None:
    jobs.record_sleep.perform_async(str(ledger), "running", 1.0)
    worker = start("--processes", "2")
    ledger.wait_for("start running")

    worker.send(signal.SIGTSTP)
    worker.wait_for_log("quiet: no new jobs")
    until(lambda: not Waiter.objects.exists(), "nobody wants to be woken")
    jobs.record.perform_async(str(ledger), "later")
    ledger.wait_for("end running")
    until(lambda: left()["job"] == 1, "it is acknowledged")
    for child in worker.children():
        child.kill()
    until(lambda: worker.log.count("died: signal 9") == 2, "both replaced")
    until(lambda: Process.objects.filter(rss_kb__gt=0).count() == 2, "the new ones beat")

    assert "later" not in ledger.lines
    assert left()["job"] == 1
    assert worker.stop() == 0
    start()
    ledger.wait_for("later")


def test_the_stacks_of_all_threads_and_coroutines_can_be_seen(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_async(str(ledger), "thread", 1_000)
    jobs.record_async.perform_async(str(ledger), "coroutine", 1_000)
    worker = start("--log-format", "json")
    ledger.wait_for("start thread", "start coroutine")

    worker.send(signal.SIGTTIN)

    until(lambda: "record_async" in worker.log, "the stack of a coroutine")
    texts = [json.loads(line)["message"] for line in worker.log.splitlines()]
    stacks = [text for text in texts if " thread " in text]
    assert any("thread slot-" in text and "record_sleep" in text for text in stacks)
    assert any("thread fetcher" in text for text in stacks)
    assert any("thread MainThread" in text and "launcher.py" in text for text in stacks)
