"""What is kept of the jobs of real workers: results, failures, ends; whatever is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faktory_django import NoResult
from faktory_django.lifecycle import attempts
from faktory_django.models import FinishedJob, Process
from faktory_django.models import Job as Row
from tests.jobapp import jobs
from tests.waiting import until

from .running import Ledger, Worker, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django import Job

    Start = Callable[..., Worker]


@pytest.mark.parametrize("work", [jobs.add, jobs.add_async, jobs.add_atomic])
def test_who_waits_for_a_result_gets_it(start: Start, work: Job[..., int]) -> None:
    start()

    handle = work.perform_async(2, 3)

    assert handle.result(timeout=30) == 5
    row = FinishedJob.objects.get(jid=handle.jid)
    assert row.wid in set(Process.objects.values_list("wid", flat=True))
    assert (row.outcome, row.attempts) == ("done", 1)
    assert row.started_at is not None
    assert row.enqueued_at is not None
    assert row.enqueued_at <= row.started_at <= row.finished_at


def test_a_job_that_fails_without_retries_says_so_to_who_waits(
    start: Start, ledger: Ledger
) -> None:
    start()

    handle = jobs.stumble.set(retry=0).perform_async(str(ledger), 1)

    with pytest.raises(NoResult, match=r"its state is failed \(ValueError: stumbled 1\)"):
        handle.result(timeout=30)
    [failed] = attempts.of(handle.jid, limit=10)
    assert (failed.fate, failed.number) == ("failed", 1)
    assert failed.wid in set(Process.objects.values_list("wid", flat=True))
    assert failed.started_at is not None
    assert failed.run_seconds is not None


def test_there_are_as_many_rows_as_jobs_whatever_is_killed(start: Start, ledger: Ledger) -> None:
    handles = jobs.record.set(history=3).perform_bulk([[str(ledger), str(n)] for n in range(600)])
    worker = start("--processes", "2")
    killed, seen = 0, 0

    def goes_on() -> bool:
        return FinishedJob.objects.count() > seen or not Row.objects.exists()

    while killed < 4 and Row.objects.exists():
        seen = FinishedJob.objects.count()
        until(goes_on, "some have ended")
        killed += worker.kill_a_child()
    until(no_job_is_left, "all have ended", seconds=60)

    rows = list(FinishedJob.objects.values_list("jid", "outcome"))
    assert len(rows) == len(handles) == 600
    assert {jid for jid, _ in rows} == {handle.jid for handle in handles}
    assert {outcome for _, outcome in rows} == {"done"}
