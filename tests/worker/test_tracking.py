"""What jobs of a real worker say of their progress is written, seldom and at last; more time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django import Job
from faktory_django.models import Process, RetryJob, Track
from tests.jobapp import jobs
from tests.waiting import until

from .running import Ledger, Worker, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]

REPORTERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


def reporters() -> int:
    with connection.cursor() as cursor:
        cursor.execute(REPORTERS, ["faktory_worker reporter"])
        return int(cursor.fetchone()[0])


@pytest.fixture
def writes(transactional_db: None) -> Callable[[], int]:  # noqa: ARG001
    """Count the statements that write progress, by a trigger; return a function that tells."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE IF NOT EXISTS track_writes")
        cursor.execute("SELECT setval('track_writes', 1)")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION count_track() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM nextval('track_writes'); RETURN NULL; END $$"
        )
        cursor.execute(
            "CREATE OR REPLACE TRIGGER count_track AFTER INSERT ON faktory_django_track"
            " FOR EACH STATEMENT EXECUTE FUNCTION count_track()"
        )

    def told() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT last_value - 1 FROM track_writes")
            return int(cursor.fetchone()[0])

    return told


@pytest.fixture(autouse=True)
def _no_trigger(transactional_db: None) -> object:  # noqa: ARG001
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS count_track() CASCADE")
        cursor.execute("DROP SEQUENCE IF EXISTS track_writes")


@pytest.mark.parametrize("work", [jobs.report, jobs.report_async])
def test_many_calls_become_few_statements_and_the_last_one_is_kept(
    start: Start, ledger: Ledger, writes: Callable[[], int], work: Job[..., None]
) -> None:
    handles = [work.perform_async(str(ledger), 1_000, 0.001) for _ in range(4)]
    began = time.monotonic()
    worker = start()
    until(lambda: len(ledger.lines) == 4, "all have reported")

    def said() -> set[tuple[int | None, str | None, str]]:
        found = [Job.status(handle.jid) for handle in handles]
        return {(s.percent, s.text, s.state) for s in found}

    until(lambda: said() == {(100, "part 1000 of 1000", "done")}, "the last of each is there")
    assert writes() <= 2 * (time.monotonic() - began) + 2
    assert reporters() == 1
    assert worker.stop() == 0


def test_a_worker_that_stops_writes_what_was_said_last(start: Start, ledger: Ledger) -> None:
    handle = jobs.report.perform_async(str(ledger), 3)
    worker = start("--burst")

    assert worker.end() == 0

    status = Job.status(handle.jid)
    assert (status.state, status.percent, status.text) == ("done", 100, "part 3 of 3")


def test_a_connection_that_is_lost_loses_nothing(start: Start, ledger: Ledger) -> None:
    handle = jobs.report.perform_async(str(ledger), 200, 0.01)
    worker = start()
    until(reporters, "the connection is there")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            ["faktory_worker reporter"],
        )

    until(lambda: Job.status(handle.jid).percent == 100, "the last of what it said is there")
    worker.wait_for_log("what jobs say waits: ")
    assert worker.stop() == 0


def test_jobs_that_say_nothing_have_neither_rows_nor_a_connection(
    start: Start, ledger: Ledger
) -> None:
    jobs.record.perform_bulk([[str(ledger), str(n)] for n in range(20)])
    start()
    ledger.wait_for("19")
    until(no_job_is_left, "all have ended")

    assert reporters() == 0
    assert not Track.objects.exists()


@pytest.mark.parametrize(("how", "state"), [("discard", "unknown"), ("fail", "failed")])
def test_a_job_that_says_something_and_goes_has_not_succeeded(
    start: Start, ledger: Ledger, how: str, state: str
) -> None:
    handle = jobs.report_and_go.perform_async(str(ledger), how)
    worker = start("--burst")

    assert worker.end() == 0

    assert ledger.lines == ["said"]
    assert Job.status(handle.jid).state == state


@pytest.mark.parametrize("work", [jobs.overtime, jobs.overtime_async])
def test_a_run_that_asks_for_more_time_gets_it(
    start: Start, ledger: Ledger, work: Job[..., None]
) -> None:
    handle = work.perform_async(str(ledger), 7_200, 2)
    start()

    def told() -> bool:
        slots = [slot for p in Process.objects.all() for slot in json.loads(p.running)]
        return [len(slot) for slot in slots] == [3] and 7_190 < slots[0][2] < 7_210

    until(told, "its process says how long it may run")
    ledger.wait_for("in time")
    until(no_job_is_left, "it has ended")
    assert not RetryJob.objects.filter(jid=handle.jid).exists()


@pytest.mark.parametrize("work", [jobs.overtime, jobs.overtime_async])
def test_a_run_ends_at_the_time_that_it_asked_for(
    start: Start, ledger: Ledger, work: Job[..., None]
) -> None:
    work.perform_async(str(ledger), 1.5, 60)
    start()

    until(RetryJob.objects.exists, "it was ended")
    failure = RetryJob.objects.get().failure_hash

    assert failure["errtype"] == "JobTimeout"
    assert failure["message"] == "the job ran longer than the time it had asked for (2 s in all)"
    assert ledger.lines == []


def test_a_run_whose_time_is_over_cannot_ask_for_more(start: Start, ledger: Ledger) -> None:
    jobs.too_late.perform_async(str(ledger))
    start()

    ledger.wait_for("too late")
    until(RetryJob.objects.exists, "it has failed")
