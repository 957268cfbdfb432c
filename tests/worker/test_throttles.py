"""Throttles and limits with real workers: permits come back when processes die."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.db import connection

from faktory_django import Limit
from faktory_django.lifecycle import throttles
from faktory_django.models import Lease, LimitSlot
from tests.jobapp import faults, jobs
from tests.waiting import until

from .running import Ledger, Worker, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]

MANY_CRASHES = {"MAX_CRASHES": 100, "THROTTLES": {"default": {"concurrency": 3}}}
# In how many leases jobs of the queue are, by what the store says.
IN_WORK = "SELECT count(*) FROM faktory_django_lease"


def at_once(ledger: Ledger) -> int:
    """Return how many jobs ran at a time at most, by what they wrote when nothing died."""
    running = most = 0
    for line in ledger.lines:
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    return most


def in_work() -> int:
    with connection.cursor() as cursor:
        cursor.execute(IN_WORK)
        return int(cursor.fetchone()[0])


def test_two_workers_share_the_permits_of_a_queue(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.02] for n in range(40)])
    throttle: dict[str, Any] = {"THROTTLES": {"default": {"concurrency": 3}}}
    start(faktory=throttle)
    start(faktory=throttle)

    until(lambda: len(ledger.lines) == 80, "all ended")

    assert at_once(ledger) == 3


def test_each_process_has_permits_of_its_own(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.02] for n in range(30)])
    start("--processes", "2", faktory={"THROTTLES": {"default": {"worker": 1}}})

    until(lambda: len(ledger.lines) == 60, "all ended")

    assert at_once(ledger) == 2


def test_permits_of_killed_processes_come_back_and_are_never_too_many(
    start: Start, ledger: Ledger
) -> None:
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.03] for n in range(120)])
    workers = [start("--processes", "2", faktory=MANY_CRASHES) for _ in range(2)]
    most, killed = 0, 0

    while killed < 6:
        before = len(ledger.lines) + 6
        while len(ledger.lines) < before:
            most = max(most, in_work())
        killed += workers[killed % 2].kill_a_child()

    def over() -> bool:
        nonlocal most
        most = max(most, in_work())
        return no_job_is_left()

    until(over, "all ended", seconds=30)
    assert most == 3
    until(lambda: not Lease.objects.exists(), "all permits are back")


def test_a_worker_that_is_killed_whole_gives_its_permits_back(start: Start, ledger: Ledger) -> None:
    faults.hold.perform_bulk([[str(ledger), str(n)] for n in range(2)])
    throttle: dict[str, Any] = {"THROTTLES": {"default": {"concurrency": 1}}}
    first = start(faktory=throttle)
    ledger.wait_for("start 0")

    first.kill()
    ledger.open_gate()
    start(faktory=throttle)

    ledger.wait_for("end 0", "end 1")
    until(no_job_is_left, "all ended")


def test_an_idle_worker_takes_a_freed_permit_at_once(start: Start, ledger: Ledger) -> None:
    slow = {"THROTTLES": {"default": {"concurrency": 1}}, "POLL_SECONDS": 30}
    first, second = (start("--concurrency", "1", faktory=slow) for _ in range(2))
    until(lambda: len(throttles.listed()) == 1, "it is declared")
    jobs.record_sleep.perform_async(str(ledger), "0", 0.5)
    ledger.wait_for("start 0")
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.01] for n in range(1, 6)])

    until(lambda: len(ledger.lines) == 12, "all ended", seconds=8)

    assert first.stop() == second.stop() == 0


def test_a_throttled_queue_does_not_make_a_worker_spin(start: Start, ledger: Ledger) -> None:
    faults.hold.perform_bulk([[str(ledger), str(n)] for n in range(20)])
    worker = start(faktory={"THROTTLES": {"default": {"concurrency": 1}}, "GRACE_SECONDS": 0})
    ledger.wait_for("start 0")
    [child] = worker.children()
    began, before = time.monotonic(), sum(child.cpu_times()[:2])

    until(lambda: time.monotonic() - began > 2, "some time")

    assert sum(child.cpu_times()[:2]) - before < 0.3
    assert in_work() == 1


def test_limited_jobs_run_no_more_at_a_time_than_their_keys_allow(
    start: Start, ledger: Ledger
) -> None:
    limited = jobs.record_sleep.set(limit=Limit(2, name="sleepers"))
    limited.perform_bulk([[str(ledger), str(n), 0.02] for n in range(30)])
    start("--processes", "2", "--concurrency", "4")

    until(lambda: len(ledger.lines) == 60, "all ended", seconds=20)

    assert at_once(ledger) == 2
    until(lambda: not LimitSlot.objects.exists(), "all slots are free")


def test_slots_of_killed_processes_go_with_their_jobs(start: Start, ledger: Ledger) -> None:
    limited = jobs.record_sleep.set(limit=Limit(2, name="sleepers"))
    limited.perform_bulk([[str(ledger), str(n), 0.03] for n in range(60)])
    worker = start("--processes", "2", faktory=MANY_CRASHES)
    most, killed = 0, 0

    while killed < 4:
        before = len(ledger.lines) + 4
        while len(ledger.lines) < before:
            most = max(most, LimitSlot.objects.count())
        killed += worker.kill_a_child()

    until(no_job_is_left, "all ended", seconds=30)
    assert most == 2
    until(lambda: not LimitSlot.objects.exists(), "all slots are free")
