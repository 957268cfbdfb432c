"""Jobs that a client made by hand: whatever they hold, they run, fail and come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django.models import DeadJob, Job, RetryJob, ScheduledJob

if TYPE_CHECKING:
    from .running import Server
    from .talking import Wire


def push(wire: Wire, **fields: Any) -> None:
    wire.push("odd-job-1", **fields)


@pytest.mark.parametrize(
    "failed_at", ['x","evil":"', "a\0b", '"', "\\", "\n", "", "é", "x" * 10_000], ids=repr
)
def test_a_job_that_came_with_an_odd_failure_fails_as_often_as_it_may(
    server: Server, failed_at: str
) -> None:
    with server.connect() as wire:
        wire.greet()
        push(wire, retry=2, failure={"failed_at": failed_at, "retry_count": 0})
        assert wire.fetch("default")["failure"]["retry_count"] == 0

        assert wire.call('FAIL {"jid":"odd-job-1"}').raw == b"+OK\r\n"
        wire.call('MUTATE {"cmd":"requeue","target":"retries"}')
        again = wire.fetch("default")
        assert wire.call('FAIL {"jid":"odd-job-1"}').raw == b"+OK\r\n"

    assert again["failure"]["retry_count"] == 1
    kept = failed_at.replace("\0", "\ufffd")
    assert again["failure"]["failed_at"] == kept or not kept
    assert set(again["failure"]) == {
        "failed_at",
        "next_at",
        "message",
        "errtype",
        "backtrace",
        "retry_count",
        "remaining",
    }
    assert json.loads(DeadJob.objects.get().failure or "")["retry_count"] == 2


@pytest.mark.parametrize("retry_count", [2**63 - 1, -(2**63), 10**6])
@pytest.mark.parametrize("retry", [2**63 - 1, -(2**63)])
def test_a_job_that_came_with_an_absurd_count_fails(
    server: Server, retry: int, retry_count: int
) -> None:
    with server.connect() as wire:
        wire.greet()
        push(wire, retry=retry, failure={"retry_count": retry_count, "remaining": -(2**63)})
        wire.fetch("default")

        assert wire.call('FAIL {"jid":"odd-job-1"}').raw == b"+OK\r\n"

    assert RetryJob.objects.count() + DeadJob.objects.count() == 1


@pytest.mark.parametrize(
    ("at", "waits"),
    [
        ("0000-01-01T00:00:00Z", False),
        ("0001-01-01T00:00:00+23:59", False),
        ("9999-12-31T23:59:59.9999999-23:59", True),
    ],
)
def test_a_job_may_be_due_at_the_ends_of_time(server: Server, at: str, waits: bool) -> None:
    with server.connect() as wire:
        wire.greet()
        push(wire, at=at)

    assert (ScheduledJob.objects.count(), Job.objects.count()) == ((1, 0) if waits else (0, 1))


def test_a_failure_of_any_size_is_cut_at_characters(server: Server) -> None:
    told = {
        "jid": "odd-job-1",
        "errtype": " é" * 1_000,
        "message": "😀" * 1_000_000,
        "backtrace": ["\0line " + "x" * 2_000] * 10_000,
    }
    with server.connect() as wire:
        wire.greet()
        push(wire)
        wire.fetch("default")

        assert wire.call(f"FAIL {json.dumps(told)}").raw == b"+OK\r\n"

    failure = json.loads(RetryJob.objects.get().failure or "")
    assert failure["message"] == "😀" * 1_000
    assert len(failure["errtype"]) == 100
    assert len(failure["backtrace"]) == 50
    assert {len(line) for line in failure["backtrace"]} == {1_000}
