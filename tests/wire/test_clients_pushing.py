"""Clients of other people push: one by one, many at once, with a password, over TLS."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django import payload
from faktory_django.models import Job, ScheduledJob

from .running import Server
from .third_party import ALL, ThirdParty, push, push_bulk, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.node
CLIENTS = [pytest.param(client, id=client.name) for client in ALL]
BULK = [pytest.param(client, id=client.name) for client in ALL if client.bulk]
TLS = [pytest.param(client, id=client.name) for client in ALL if client.tls]
JOB = {"jid": "one-job-0001", "jobtype": "Mail", "args": [7, "ünï", {"a": [None, 1.5]}]}


def pushed() -> list[payload.Body]:
    """Return the jobs that are in a queue."""
    return [payload.parse(job.body) for job in Job.objects.order_by("id")]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_pushed_job_is_in_the_database(client: ThirdParty, server: Server) -> None:
    said = push(client, server, [JOB | {"queue": "mail", "retry": 3, "custom": {"a": 1}}])

    [found] = pushed()
    assert said == {"pushed": ["one-job-0001"]}
    assert (found.jid, found.jobtype, found.args) == tuple(JOB.values())
    assert (found.queue, found.retry, found.custom) == ("mail", 3, {"a": 1})


@pytest.mark.parametrize("client", CLIENTS)
def test_a_job_for_later_waits_in_the_schedule(client: ThirdParty, server: Server) -> None:
    push(client, server, [JOB | {"at": "2099-01-02T03:04:05Z"}])

    assert ScheduledJob.objects.get().due_at.isoformat() == "2099-01-02T03:04:05+00:00"
    assert pushed() == []


@pytest.mark.parametrize("client", BULK)
def test_many_jobs_are_pushed_at_once_and_a_bad_one_is_named(
    client: ThirdParty, server: Server
) -> None:
    jobs: list[dict[str, Any]] = [JOB | {"jid": f"many-{n:06}"} for n in range(1_000)]
    jobs[500]["jid"] = "short"

    said = push_bulk(client, server, jobs)

    assert said == {"refused": {"short": "jobs must have a reasonable jid parameter"}}
    assert len(pushed()) == 999


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refused_push_is_an_error_to_the_client(client: ThirdParty, server: Server) -> None:
    done = run(
        client, server, "push", '[{"jid":"bad-queue-1","jobtype":"T","args":[],"queue":"/"}]'
    )

    assert done.returncode != 0
    assert pushed() == []


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_with_the_password_pushes(client: ThirdParty, locked: Server) -> None:
    push(client, locked, [JOB])

    assert len(pushed()) == 1


def test_a_client_with_a_wrong_password_is_told_so(locked: Server) -> None:
    stranger = Server(locked.process, locked.log_file, password="wrong")  # noqa: S106

    with ThreadPoolExecutor(len(ALL)) as pool:
        done = list(pool.map(lambda client: run(client, stranger, "push", "[]"), ALL))

    for one in done:
        assert one.returncode != 0
        assert "password" in one.stderr.lower()


@pytest.mark.parametrize("client", TLS)
def test_a_client_pushes_over_tls(client: ThirdParty, encrypted: Server) -> None:
    push(client, encrypted, [JOB])

    assert len(pushed()) == 1


def test_a_client_that_does_not_trust_the_certificate_stays_out(
    encrypted: Server, tmp_path: Path
) -> None:
    nobody = tmp_path / "nobody.pem"
    nobody.touch()
    stranger = Server(encrypted.process, encrypted.log_file, encrypted.password, nobody)

    done = run(ALL[0], stranger, "push", "[]")

    assert "self-signed certificate" in done.stderr
