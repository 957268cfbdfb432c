"""A worker frees unique locks as its jobs start and end, and throws away what has expired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from faktory_django.models import CounterDelta, UniqueLock
from tests.jobapp import jobs
from tests.waiting import until

from .running import Ledger, Worker, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django import Job

    Start = Callable[..., Worker]


@pytest.mark.parametrize("kind", ["sync", "async", "atomic"])
def test_success_frees_the_lock(start: Start, ledger: Ledger, kind: str) -> None:
    wanted: dict[str, tuple[Job[Any, Any], list[Any]]] = {
        "sync": (jobs.record, ["x"]),
        "async": (jobs.record_async, ["x"]),
        "atomic": (jobs.record_atomic, ["x"]),
    }
    unique, args = wanted[kind]
    assert unique.set(unique_for=600).perform_async(str(ledger), *args)
    assert not unique.set(unique_for=600).perform_async(str(ledger), *args)

    start()
    until(no_job_is_left, "the job is done")

    assert not UniqueLock.objects.exists()


def test_until_start_another_may_wait_while_one_runs(start: Start, ledger: Ledger) -> None:
    unique = jobs.record_sleep.set(unique_for=600, unique_until="start")
    unique.perform_async(str(ledger), "x", 2)
    start()
    ledger.wait_for("start x")

    assert unique.perform_async(str(ledger), "x", 2)
    until(lambda: ledger.lines.count("start x") == 2, "both run")

    assert not UniqueLock.objects.exists()


def test_the_lock_of_a_job_outlives_a_killed_process(start: Start, ledger: Ledger) -> None:
    unique = jobs.record_sleep.set(unique_for=600)
    unique.perform_async(str(ledger), "x", 1.5)
    worker = start()
    ledger.wait_for("start x")

    assert worker.kill_a_child()
    assert not unique.perform_async(str(ledger), "x", 1.5)

    ledger.wait_for("end x", seconds=30)
    until(no_job_is_left, "the job is done")
    assert not UniqueLock.objects.exists()


def test_what_has_expired_is_not_run(start: Start, ledger: Ledger) -> None:
    past = timezone.now() - timedelta(minutes=1)
    stale = jobs.record.set(expires_at=past, unique_for=600)
    handles = [stale.perform_async(str(ledger), f"stale {n}") for n in range(60)]
    jobs.record.set(expires_in=600).perform_async(str(ledger), "fresh")

    worker = start("--verbosity", "2")
    ledger.wait_for("fresh")
    until(no_job_is_left, "all are gone")

    assert ledger.lines == ["fresh"]
    assert f"{jobs.record.jobtype} {handles[0].jid} has expired" in worker.log
    assert not UniqueLock.objects.exists()
    assert worker.stop() == 0
    assert "Traceback" not in worker.log
    assert sum(row.failed for row in CounterDelta.objects.all()) == 0


def test_a_burst_ends_when_all_that_is_left_has_expired(start: Start, ledger: Ledger) -> None:
    past = timezone.now() - timedelta(minutes=1)
    for n in range(30):
        jobs.record.set(expires_at=past).perform_async(str(ledger), f"stale {n}")

    assert start("--burst").end(30) == 0

    assert ledger.lines == []
    assert no_job_is_left()
