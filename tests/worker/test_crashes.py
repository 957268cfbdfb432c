"""Nothing is lost when processes die, and what kills them is put away."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import Group

from faktory_django.models import Counter as StoredCounter
from faktory_django.models import CounterDelta, DeadJob, Job, Lease
from tests.jobapp import faults, jobs
from tests.waiting import until

from .running import Ledger, Worker, alive, left, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]


# So many kills hit some innocent job three times: it would die as one that kills its process.
MANY_CRASHES = {"MAX_CRASHES": 100}


def starts(ledger: Ledger) -> Counter[str]:
    """Count the starts of each job."""
    return Counter(line for line in ledger.lines if line.startswith("start"))


def ended(ledger: Ledger) -> set[str]:
    """Return the jobs that ended."""
    return {line.removeprefix("end ") for line in ledger.lines if line.startswith("end")}


def test_children_killed_under_load_lose_nothing(start: Start, ledger: Ledger) -> None:
    count, kills, slots = 400, 12, 4
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.03] for n in range(count)])
    worker = start("--processes", "2", "--concurrency", str(slots), faktory=MANY_CRASHES)

    killed = 0
    while killed < kills:
        enough = len(ledger.lines) + 8
        until(partial(ledger.is_longer_than, enough), "jobs run")
        killed += worker.kill_a_child()

    until(lambda: len(ended(ledger)) == count, "all ended", seconds=30)
    until(no_job_is_left, "all acknowledged")
    again = sum(starts(ledger).values()) - count
    assert left() == {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}
    # Acknowledged late: those under way, and those whose acks were still to be flushed.
    assert 0 < again <= kills * slots * 3
    until(lambda: worker.log.count("died: signal 9") == kills, "each death is in the log")
    assert worker.stop() == 0


def test_the_jobs_of_a_killed_child_start_again_within_a_second(
    start: Start, ledger: Ledger
) -> None:
    kills, seconds = 5, []
    jobs.record_sleep.perform_async(str(ledger), "long", 1_000)
    # nobody would miss the child so soon: its parent has to notice
    worker = start(faktory=MANY_CRASHES | {"SILENT_PROCESS_SECONDS": 3_600})
    ledger.wait_for("start long")

    for kill in range(1, kills + 1):
        [child] = until(worker.children, "a child")
        child.kill()
        killed = time.monotonic()
        until(partial(ledger.is_longer_than, kill), "another start")
        seconds.append(time.monotonic() - killed)

    # the best of them: a busy machine may delay some
    assert min(seconds) < 1.0
    assert Job.objects.get().crashes == kills


def test_children_end_with_their_parent_and_another_worker_takes_their_jobs(
    start: Start, ledger: Ledger
) -> None:
    faults.hold.perform_bulk([[str(ledger), str(n)] for n in range(4)])
    first = start("--processes", "2", "--concurrency", "2")
    ledger.wait_for(*[f"start {n}" for n in range(4)])
    children = first.children()

    first.process.kill()
    until(lambda: not any(map(alive, children)), "the children's end", seconds=5)
    ledger.open_gate()
    start()

    until(lambda: len(ended(ledger)) == 4, "all run again")
    assert set(starts(ledger).values()) == {2}


def test_a_stopped_child_is_killed_and_its_jobs_start_again(start: Start, ledger: Ledger) -> None:
    jobs.record_sleep.perform_async(str(ledger), "long", 1_000)
    worker = start()
    ledger.wait_for("start long")

    [child] = worker.children()
    child.suspend()

    worker.wait_for_log("is killed: it was stopped by a signal")
    until(lambda: len(ledger.lines) == 2, "a second start")
    assert not alive(child)


@pytest.mark.parametrize(
    ("how", "reason"),
    [("segfault", "signal 11 (SIGSEGV)"), ("exit", "exit code 0"), ("abort", "signal 6 (SIGABRT)")],
)
def test_a_job_that_takes_its_process_down_dies_after_three_and_its_neighbours_are_done(
    start: Start, ledger: Ledger, how: str, reason: str
) -> None:
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.02] for n in range(30)])
    jobs.end_process.perform_async(how)
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.02] for n in range(30, 60)])

    worker = start()

    until(DeadJob.objects.exists, "the poison is dead")
    until(no_job_is_left, "its neighbours are done")
    failure = DeadJob.objects.get().failure_hash
    assert failure["errtype"] == "CrashedWorker"
    assert failure["message"] == f"the process that ran it died: {reason}"
    assert worker.log.count(f"died: {reason}") == 3
    assert ended(ledger) == {str(n) for n in range(60)}
    assert worker.process.poll() is None


def test_atomic_jobs_killed_at_any_moment_leave_all_of_their_effects_once(
    start: Start,
) -> None:
    kills = 12
    names: list[str] = []
    worker = start("--processes", "2", faktory=MANY_CRASHES)

    killed = 0
    while killed < kills:
        more = [f"transfer {n}" for n in range(len(names), len(names) + 15)]
        done = Group.objects.count()
        faults.transfer.perform_bulk([[name, 0.02] for name in more])
        names += more
        until(partial(more_groups_than, done), "some are done")
        killed += worker.kill_a_child()
    until(no_atomic_job_is_left, "all are done", seconds=30)

    count = len(names)
    assert sorted(Group.objects.values_list("name", flat=True)) == sorted(names)
    assert Job.objects.filter(queue="follow").count() == count
    until(lambda: not Lease.objects.exists(), "no lease is left")
    until(lambda: done_jobs() == count, "each is counted once")


def more_groups_than(count: int) -> bool:
    """Tell whether transfers have been done since there were count."""
    return Group.objects.count() > count


def no_atomic_job_is_left() -> bool:
    """Tell whether all transfers have ended."""
    return not Job.objects.filter(queue="default").exists()


def done_jobs() -> int:
    """Return how many runs were counted as done."""
    rows = [*CounterDelta.objects.all(), *StoredCounter.objects.filter(resolution=60)]
    return sum(row.done for row in rows)


def test_a_worker_whose_processes_keep_dying_ends_and_says_so(start: Start) -> None:
    worker = start("--processes", "12", "--concurrency", "1")
    until(lambda: len(worker.children()) == 12, "all have started")

    children = worker.children()
    for child in children:
        child.kill()

    assert worker.end() == 1
    assert "10 children died right after their start" in worker.log
    assert not any(map(alive, children))


def test_a_worker_goes_on_after_idle_children_were_killed(start: Start) -> None:
    jobs.noop.perform_async()
    worker = start("--processes", "1")
    until(no_job_is_left, "it runs")

    for _ in range(3):
        until(worker.kill_a_child, "a child")

    jobs.noop.perform_async()
    until(no_job_is_left, "it runs again")
