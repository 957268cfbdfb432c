"""Each job finds its connection, language and time zone as if it were the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.models import Job
from tests.jobapp import faults
from tests.waiting import until

from .running import Ledger, Worker, database_url, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Worker]


@pytest.mark.parametrize("max_age", [0, 60])
def test_what_a_job_leaves_behind_is_not_there_for_the_next(
    start: Start, ledger: Ledger, max_age: int
) -> None:
    leaks = list(faults.LEAKS)
    faults.look_around.perform_async(str(ledger))
    for what in leaks:
        faults.leak.perform_async(what)
        faults.look_around.perform_async(str(ledger))

    worker = start(
        "--concurrency", "1", "--burst", DATABASE_URL=with_max_age(database_url(), max_age)
    )

    assert worker.end() == 0
    seen = [line.partition("|")[0] for line in ledger.lines]
    assert len(seen) == len(leaks) + 1
    assert dict.fromkeys(seen[1:], "") == {seen[0]: ""}
    assert seen[0].startswith("(False, True) True ")
    assert seen[0].endswith(" IDLE ('en-us', 'America/Chicago')")
    backends = {line.partition("|")[2] for line in ledger.lines}
    assert len(backends) < len(seen)  # some leaks cost the connection


def with_max_age(url: str, seconds: int) -> str:
    """Return a DATABASE_URL with CONN_MAX_AGE."""
    return f"{url}{'&' if '?' in url else '?'}conn_max_age={seconds}"


def backends_of_jobs() -> int:
    """Count the sessions that are neither ours nor the worker's own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND application_name NOT LIKE 'faktory_worker%'"
        )
        found: int = cursor.fetchone()[0]
        return found


@pytest.mark.parametrize(("max_age", "open_afterwards"), [(0, 0), (60, 5)])
def test_the_queries_of_async_jobs_run_side_by_side_in_bounded_threads(
    start: Start, ledger: Ledger, max_age: int, open_afterwards: int
) -> None:
    worker = start(
        "--async-concurrency",
        "5",
        "--concurrency",
        "5",
        DATABASE_URL=with_max_age(database_url(), max_age),
    )

    faults.query_async.perform_bulk([[str(ledger), str(n), 0.5] for n in range(5)])
    faults.query_async.perform_bulk([[str(ledger), f"more {n}", 0.01] for n in range(30)])

    ledger.wait_for(*[f"start {n}" for n in range(5)])
    until(lambda: len([x for x in ledger.lines if x.startswith("end")]) == 35, "all ended")
    until(no_job_is_left, "all acknowledged")
    ends = [line for line in ledger.lines if line.startswith("end")]
    first_end = ledger.lines.index(ends[0])
    assert set(ledger.lines[:first_end]) == {f"start {n}" for n in range(5)}
    until(lambda: backends_of_jobs() == open_afterwards, "as many connections as should be")
    assert len({line.split()[-2] for line in ends}) == 5
    assert not Job.objects.exists()
    assert worker.stop() == 0
