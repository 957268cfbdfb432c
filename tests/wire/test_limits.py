"""Throttles and limits at the door of the wire: the same rules, the same permits and slots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django.lifecycle import throttles
from faktory_django.models import Job, LimitedJob, LimitSlot
from tests.jobapp import jobs
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.running import Ledger, Worker

    from .running import Server
    from .talking import Wire


def greet(wire: Wire, wid: str) -> Wire:
    wire.greet(wid=wid, hostname="h", pid=1, labels=[])
    return wire


def fetched(wire: Wire, *queues: str) -> str | None:
    """Fetch, and return the jid of the job, None for none."""
    wire.send(f"FETCH {' '.join(queues or ('default',))}\r\n")
    reply = wire.read()
    return None if reply.shape == "nil" else str(reply.json["jid"])


def test_a_throttled_queue_gives_no_more_jobs_than_it_may(server: Server) -> None:
    throttles.throttle("default", concurrency=1)
    with server.connect() as one, server.connect() as two:
        greet(one, "worker-0001")
        greet(two, "worker-0002")
        one.push("throttled-1")
        one.push("throttled-2")
        first, second = fetched(one), fetched(two)
        one.call('ACK {"jid":"throttled-1"}')

        third = fetched(two)

    assert (first, second, third) == ("throttled-1", None, "throttled-2")


def test_an_ack_at_one_connection_wakes_a_fetch_at_another(server: Server) -> None:
    throttles.throttle("default", concurrency=1)
    with server.connect() as one, server.connect() as two:
        greet(one, "worker-0001")
        greet(two, "worker-0002")
        one.push("throttled-1")
        one.push("throttled-2")
        fetched(one)
        two.send("FETCH default\r\n")

        one.call('ACK {"jid":"throttled-1"}')

        assert two.read().json["jid"] == "throttled-2"


def test_each_worker_of_the_wire_has_permits_of_its_own(server: Server) -> None:
    throttles.throttle("default", worker=1)
    with server.connect() as one, server.connect() as again, server.connect() as two:
        greet(one, "worker-0001")
        greet(again, "worker-0001")
        greet(two, "worker-0002")
        for n in range(3):
            one.push(f"throttled-{n}")

        found = [fetched(one), fetched(again), fetched(two)]

    assert found == ["throttled-0", None, "throttled-1"]


def test_a_client_asks_for_limits_in_custom(server: Server) -> None:
    limit = {"key": "account-42", "concurrency": 1}
    with server.connect() as wire:
        greet(wire, "worker-0001")
        for n in range(3):
            wire.push(f"limited-{n}", custom={"limit": limit})
        first, second = fetched(wire), fetched(wire)
        wire.call('ACK {"jid":"limited-0"}')
        third = fetched(wire)
        wire.call('FAIL {"jid":"limited-1","errtype":"E","message":"no"}')
        fourth = fetched(wire)

    assert (first, second, third, fourth) == ("limited-0", None, "limited-1", "limited-2")
    assert LimitSlot.objects.get().key == "account-42"


def test_a_wrong_limit_is_refused_with_its_value(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        job: dict[str, Any] = {"jid": "limited-1", "jobtype": "t", "args": []}
        reply = wire.call("PUSH " + json.dumps(job | {"custom": {"limit": {"concurrency": 0}}}))

    assert reply.shape == "error"
    assert "an int from 1 to 10000, got 0" in reply.text
    assert not Job.objects.exists()


def test_a_bulk_push_takes_those_that_are_right(server: Server) -> None:
    right = {"jobtype": "t", "args": [], "custom": {"limit": {"key": "k", "concurrency": 1}}}
    wrong = {"jobtype": "t", "args": [], "custom": {"limit": 5}}
    with server.connect() as wire:
        greet(wire, "worker-0001")
        pushed = [right | {"jid": "limited-1"}, wrong | {"jid": "limited-2"}]
        reply = wire.call("PUSHB " + json.dumps([*pushed, right | {"jid": "limited-3"}]))

        found = fetched(wire)

    assert list(reply.json) == ["limited-2"]
    assert found == "limited-1"
    assert LimitedJob.objects.count() == 1


def test_both_doors_share_a_limit(server: Server, django_worker: Worker, ledger: Ledger) -> None:
    limit = {"key": "shared", "concurrency": 1}
    with server.connect() as wire:
        greet(wire, "worker-0001")
        wire.push("limited-1", custom={"limit": limit})
        assert fetched(wire) == "limited-1"
        jobs.record.set(custom={"limit": limit}).perform_async(str(ledger), "python")
        until(django_worker.children, "the worker runs")
        until(lambda: LimitedJob.objects.count() == 1, "it waits")
        before = ledger.lines

        wire.call('ACK {"jid":"limited-1"}')

        ledger.wait_for("python")
    assert before == []


@pytest.mark.parametrize("queue", ["default"])
def test_the_settings_of_a_server_throttle(serve: Callable[..., Server], queue: str) -> None:
    server = serve(faktory={"THROTTLES": {queue: {"concurrency": 1}}})
    with server.connect() as wire:
        greet(wire, "worker-0001")
        until(lambda: throttles.listed(), "the throttle is declared")
        wire.push("throttled-1")
        wire.push("throttled-2")

        found = [fetched(wire), fetched(wire)]

    assert found == ["throttled-1", None]
