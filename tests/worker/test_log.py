"""What jobs of a real worker log is kept: in order, bounded, whatever happens to a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import log_lines
from faktory_django.models import LogLine
from tests.jobapp import jobs
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django import Job

    from .running import Ledger, Worker

    Start = Callable[..., Worker]


def lines_of(jid: str) -> list[str]:
    return [line.text for line in log_lines.of(jid, limit=10_000)]


@pytest.mark.parametrize("work", [jobs.say, jobs.say_async])
def test_lines_are_kept_in_order_with_their_time_and_run(
    start: Start, ledger: Ledger, work: Job[..., None]
) -> None:
    handles = [work.perform_async(str(ledger), 400) for _ in range(4)]
    worker = start("--burst")

    assert worker.end() == 0

    for handle in handles:
        assert lines_of(handle.jid) == [f"line {n}" for n in range(1, 401)]
    rows = LogLine.objects.filter(jid=handles[0].jid).order_by("id")
    assert {(row.number, row.queue, row.jobtype) for row in rows} == {(1, "default", work.jobtype)}
    times = [row.at for row in rows]
    assert times == sorted(times)


def test_a_run_that_says_too_much_says_so_once(start: Start, ledger: Ledger) -> None:
    handle = jobs.say.perform_async(str(ledger), 1_200)
    worker = start("--burst")

    assert worker.end() == 0

    found = lines_of(handle.jid)
    assert found[:1_000] == [f"line {n}" for n in range(1, 1_001)]
    assert found[1_000:] == ["… no more lines of this run are kept (LOG_LINES is 1000)"]


def test_lines_wait_for_a_connection_that_is_lost(start: Start, ledger: Ledger) -> None:
    handle = jobs.say.perform_async(str(ledger), 200, 0.01)
    worker = start()
    until(lambda: lines_of(handle.jid), "the first lines are there")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            ["faktory_worker reporter"],
        )

    until(lambda: len(lines_of(handle.jid)) == 200, "the last line is there")
    worker.wait_for_log("what jobs say waits: ")
    assert worker.stop() == 0
