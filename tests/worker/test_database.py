"""A worker outlives its database, and learns at once what is pushed into it."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest
from django.db import connection, transaction
from django.test import Client
from psycopg import sql

from faktory_django.models import Waiter
from tests.jobapp import faults, jobs
from tests.waiting import until

from .running import Ledger, Worker, left, no_job_is_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., Worker]

TERMINATE = """
SELECT count(pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def end_all_sessions() -> int:
    """End everybody's session but ours."""
    with connection.cursor() as cursor:
        cursor.execute(TERMINATE)
        found: int = cursor.fetchone()[0]
        return found


def test_ending_all_sessions_again_and_again_loses_nothing(start: Start, ledger: Ledger) -> None:
    count = 300
    jobs.record_sleep.perform_bulk([[str(ledger), str(n), 0.02] for n in range(count)])
    worker = start("--processes", "2")

    ended = 0
    for _ in range(6):
        enough = len(ledger.lines) + 20
        until(partial(ledger.is_longer_than, enough), "jobs run")
        ended += end_all_sessions()

    until(no_job_is_left, "all ended", seconds=30)
    ends = {line for line in ledger.lines if line.startswith("end")}
    assert ended >= 6
    assert ends == {f"end {n}" for n in range(count)}
    assert left() == {"job": 0, "scheduled": 0, "retry": 0, "dead": 0}
    assert "died" not in worker.log
    assert worker.log.count("the database does not answer") <= 6 * 3
    assert worker.log.count("\n") < 60
    assert worker.stop() == 0


@pytest.fixture
def maintenance(transactional_db: None) -> Iterator[Callable[[str], None]]:  # noqa: ARG001
    """Return a function that runs a statement in another database; the door is open afterwards."""
    database = sql.Identifier(connection.settings_dict["NAME"])
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as elsewhere:

        def run(statement: str) -> None:
            elsewhere.execute(sql.SQL(statement).format(database))

        yield run
        run(OPEN)


CLOSED = "ALTER DATABASE {} ALLOW_CONNECTIONS false"
OPEN = "ALTER DATABASE {} ALLOW_CONNECTIONS true"


def test_jobs_that_end_while_the_database_is_away_are_acknowledged_when_it_is_back(
    start: Start, ledger: Ledger, maintenance: Callable[[str], None]
) -> None:
    faults.hold.perform_bulk([[str(ledger), str(n)] for n in range(4)])
    # Nobody beats meanwhile; nobody else is there to take the jobs of a silent process.
    worker = start(faktory={"SILENT_PROCESS_SECONDS": 30})
    ledger.wait_for(*[f"start {n}" for n in range(4)])

    maintenance(CLOSED)
    end_all_sessions()
    until(lambda: worker.log.count("the database does not answer") == 2, "both noticed")
    ledger.open_gate()
    ledger.wait_for(*[f"end {n}" for n in range(4)])
    maintenance(OPEN)

    until(no_job_is_left, "all acknowledged")
    assert len(ledger.lines) == 8
    assert worker.log.count("the database does not answer") == 2
    jobs.record.perform_async(str(ledger), "after")
    ledger.wait_for("after")
    assert worker.stop() == 0


def test_a_worker_that_starts_before_its_database_waits_for_it(
    start: Start, ledger: Ledger, maintenance: Callable[[str], None]
) -> None:
    jobs.record.perform_async(str(ledger), "ran")
    maintenance(CLOSED)
    worker = start()
    worker.wait_for_log("waiting: the database does not answer")

    maintenance(OPEN)

    ledger.wait_for("ran")
    assert worker.stop() == 0


@pytest.fixture
def waiting(start: Start) -> Worker:
    """Return an idle worker that looks by itself only every 20 s or so."""
    worker = start(faktory={"POLL_SECONDS": 20})
    until(Waiter.objects.exists, "it waits")
    settled = time.monotonic() + 0.3
    until(lambda: time.monotonic() > settled, "its second look is over")
    return worker


def push_in_autocommit(path: str) -> None:
    """Push outside any transaction."""
    jobs.record.perform_async(path, "woken")


def push_in_atomic(path: str) -> None:
    """Push in a transaction."""
    with transaction.atomic():
        jobs.record.perform_async(path, "woken")


def push_scheduled(path: str) -> None:
    """Push for a little later."""
    jobs.record.perform_in(0.2, path, "woken")


def push_in_a_view(path: str) -> None:
    """Push in a request."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        answer = Client().post("/push/", {"path": path, "text": "woken"})
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert answer.content == b"in a transaction"


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    "push", [push_in_autocommit, push_in_atomic, push_in_a_view, push_scheduled]
)
def test_an_idle_worker_starts_what_is_pushed_at_once(
    ledger: Ledger, push: Callable[[str], None]
) -> None:
    push(str(ledger))

    ledger.wait_for("woken", seconds=3)


def test_behind_a_transaction_pooler_polling_alone_finds_jobs(start: Start, ledger: Ledger) -> None:
    jobs.record.perform_async(str(ledger), "first")
    worker = start(faktory={"TRANSACTION_POOLER": True, "POLL_SECONDS": 0.2})
    ledger.wait_for("first")

    jobs.record.perform_async(str(ledger), "second")

    ledger.wait_for("second", seconds=3)
    assert not Waiter.objects.exists()
    assert listeners() == 0
    assert worker.stop() == 0


def listeners() -> int:
    """Count the sessions whose last statement was LISTEN, or that name themselves."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%' OR application_name LIKE 'faktory_worker%'"
        )
        found: int = cursor.fetchone()[0]
        return found
