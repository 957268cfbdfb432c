"""Iterable jobs of real workers: no item is lost, none is skipped, and few are done twice."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django import Job
from faktory_django.models import Cursor, Queue, RetryJob
from faktory_django.models import Job as JobRow
from tests.jobapp import jobs
from tests.waiting import until

from .running import Ledger, Worker, left, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]

BOTH = pytest.mark.parametrize("work", [jobs.steps, jobs.steps_async])
OFTEN = {"CHECKPOINT_SECONDS": 0.1}


def items(ledger: Ledger) -> list[int]:
    return [int(line.split()[1]) for line in ledger.lines if line.startswith("item ")]


@BOTH
def test_a_job_runs_to_its_end_says_how_far_it_is_and_leaves_nothing(
    start: Start, ledger: Ledger, work: Job[..., Any]
) -> None:
    handle = work.perform_async(str(ledger), 100)

    assert start("--burst").end() == 0

    assert items(ledger) == list(range(100))
    assert ledger.lines[-1] == "end"
    assert not Cursor.objects.exists()
    status = Job.status(handle.jid)
    assert (status.state, status.percent, status.text) == ("done", 100, "100 / 100")


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGTSTP])
def test_a_deploy_makes_it_rest_at_once_and_the_next_worker_goes_on(
    start: Start, ledger: Ledger, work: Job[..., Any], number: signal.Signals
) -> None:
    handle = work.perform_async(str(ledger), 200, 0.02)
    worker = start(faktory={"GRACE_SECONDS": 60})
    ledger.wait_for("item 20")

    worker.send(number)
    worker.wait_for_log(f"{handle.jid} rests at a checkpoint")
    until(Cursor.objects.exists, "the checkpoint is written")
    if number == signal.SIGTERM:
        assert worker.end(5) == 0
    done = len(items(ledger))
    assert done < 200
    assert Cursor.objects.get().items == done
    start(faktory={"GRACE_SECONDS": 60})

    ledger.wait_for("end")
    assert items(ledger) == list(range(200))
    until(no_job_is_left, "it has ended")
    assert left() == {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}


def test_several_deploys_use_no_attempt(start: Start, ledger: Ledger) -> None:
    jobs.steps.perform_async(str(ledger), 60, 0.02)
    for place in (10, 25, 40):
        worker = start()
        ledger.wait_for(f"item {place}")
        assert worker.stop() == 0
        assert JobRow.objects.get().crashes == 0

    start()

    ledger.wait_for("end")
    assert items(ledger) == list(range(60))


@BOTH
def test_a_process_that_is_killed_repeats_only_what_came_after_the_last_checkpoint(
    start: Start, ledger: Ledger, work: Job[..., Any]
) -> None:
    work.perform_async(str(ledger), 150, 0.02)
    worker = start(faktory=OFTEN)
    ledger.wait_for("item 50")

    assert worker.kill_a_child()

    ledger.wait_for("end", seconds=30)
    seen = items(ledger)
    assert sorted(set(seen)) == list(range(150))
    assert 0 <= len(seen) - 150 <= 20
    assert seen != list(range(150)) or len(seen) == 150


@pytest.mark.parametrize(
    ("how", "second"), [("fail", "attempt 2 from 5"), ("snooze", "attempt 1 from 5")]
)
def test_a_run_that_stumbles_goes_on_where_it_was(
    start: Start, ledger: Ledger, how: str, second: str
) -> None:
    jobs.steps_that_stumble.perform_async(str(ledger), 10, how)
    start()

    ledger.wait_for("item 9")
    assert items(ledger) == list(range(10))
    assert ledger.lines[0] == "attempt 1 from None"
    assert second in ledger.lines


def test_an_atomic_job_does_each_item_exactly_once_whatever_kills_it(
    start: Start, ledger: Ledger
) -> None:
    jobs.steps_in_the_database.perform_async(str(ledger), 60, 0.02)
    worker = start()
    for runs, place in enumerate((10, 30), 1):
        until(partial(_has_done, place), "some are done")
        assert worker.kill_a_child()
        until(partial(ledger.is_longer_than, runs), "the next run begins")

    until(no_job_is_left, "it has ended")

    # a name twice would have failed the job
    assert Queue.objects.filter(name__startswith="item-").count() == 60
    assert left() == {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}
    assert len(ledger.lines) == 3


def _has_done(count: int) -> bool:
    return Queue.objects.filter(name__startswith="item-").count() > count


def test_the_time_limit_counts_from_the_last_checkpoint(start: Start, ledger: Ledger) -> None:
    jobs.steps_for_long.perform_async(str(ledger), 6, 0.4)
    start()

    until(RetryJob.objects.exists, "the last item has taken too long")
    assert items(ledger) == [0, 1, 2, 3, 4]
    failure = RetryJob.objects.get().failure_hash
    assert failure["errtype"] == "JobTimeout"
    assert failure["message"] == "the job ran longer than 1 s without a checkpoint"
    assert Cursor.objects.get().items == 5


@BOTH
def test_it_is_cancelled_between_two_items(
    start: Start, ledger: Ledger, work: Job[..., Any]
) -> None:
    handle = work.perform_async(str(ledger), 1_000, 0.02)
    start()
    ledger.wait_for("item 5")

    assert handle.cancel() == "asked"

    until(no_job_is_left, "it has ended")
    assert left() == {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}
    assert "end" not in ledger.lines
