"""Workers of other people run jobs, report failures, and obey the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import beat
from faktory_django.models import Job, Process, RetryJob
from tests.waiting import until
from tests.worker.running import no_job_is_left

from .third_party import ALL, ThirdParty

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from tests.worker.running import Ledger

    from .conftest import Work
    from .running import Server

pytestmark = pytest.mark.node
CLIENTS = [pytest.param(client, id=client.name) for client in ALL]
TLS = [pytest.param(client, id=client.name) for client in ALL if client.tls]
RECORD, FAIL = "tests.jobapp.jobs.record", "tests.jobapp.jobs.fail"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_worker_runs_jobs_and_one_that_fails_goes_to_the_retries(
    client: ThirdParty, server: Server, work: Work, ledger: Ledger
) -> None:
    work(client, server)
    with server.connect() as wire:
        wire.greet()
        wire.push("will-fail-1", FAIL, "out of paper", retry=3, backtrace=10)
        wire.push("will-run-01", RECORD, str(ledger), "done")

        ledger.wait_for("done")
        until(no_job_is_left, "both jobs have ended")
        counted = wire.call("INFO").json["faktory"]

    [failed] = RetryJob.objects.all()
    assert (failed.jid, failed.failure_hash["message"]) == ("will-fail-1", "out of paper")
    assert (failed.failure_hash["errtype"], failed.failure_hash["retry_count"]) == (
        client.errtype,
        0,
    )
    assert (counted["total_processed"], counted["total_failures"]) == (2, 1)


@pytest.mark.parametrize("client", TLS)
def test_a_worker_with_the_password_works_over_tls(
    client: ThirdParty, encrypted: Server, work: Work, ledger: Ledger
) -> None:
    work(client, encrypted)
    with encrypted.connect() as wire:
        wire.greet(encrypted.password)
        wire.push("over-tls-01", RECORD, str(ledger), "done")

    ledger.wait_for("done")
    until(no_job_is_left, "the job was acked")


def test_the_operator_sees_quiets_and_stops_workers_of_every_kind(
    server: Server, work: Work
) -> None:
    running = {client: work(client, server, client.name) for client in ALL}
    until(lambda: workers().count() == len(ALL), "all are known")
    wids = list(workers().values_list("wid", flat=True))
    assert sorted(label for p in workers() for label in p.labels) == sorted(
        client.name for client in ALL
    )

    beat.set_state(connection, wids, "quiet")
    for client, worker in running.items():
        worker.wait_for_log(client.quieted)
    push_to_each_queue(server)
    for _ in range(3):
        wait_for_a_beat_of_each()
    assert Job.objects.count() == len(ALL)

    beat.set_state(connection, wids, "terminate")
    for worker in running.values():
        worker.end()
    until(lambda: not workers().exists(), "all have left")
    assert Job.objects.count() == len(ALL)


def workers() -> QuerySet[Process]:
    return Process.objects.filter(kind=Process.Kind.WIRE, connections__gt=0)


def push_to_each_queue(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        for client in ALL:
            wire.push(f"waits-{client.name}", RECORD, "nowhere", "never", queue=client.name)


def wait_for_a_beat_of_each() -> None:
    def beats() -> dict[str, datetime]:
        return dict(workers().values_list("wid", "beat_at"))

    before = beats()
    until(lambda: all(beats()[wid] > at for wid, at in before.items()), "a beat of each")
