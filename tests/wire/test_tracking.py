"""TRACK, as the documentation of Faktory Enterprise says (protocol section 9.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from faktory_django import Job
from faktory_django.models import Lease, Track
from tests.jobapp import jobs
from tests.waiting import until

from .recording import WRITTEN, scenarios
from .replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.running import Ledger, Worker

    from .running import Server

SCENARIOS = [pytest.param(name, id="-".join(name)) for name in scenarios(WRITTEN)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_answered_as_documented(server: Server, name: tuple[str, str]) -> None:
    found = replay(server, scenarios(WRITTEN)[name])

    assert not found, "\n".join(found)


def test_a_client_of_the_wire_extends_what_it_holds(server: Server) -> None:
    with server.connect() as wire:
        wire.greet(wid="holder-0001", hostname="h", pid=1, labels=[])
        wire.push("extended-0001", reserve_for=600)
        wire.fetch("default")
        wanted = datetime.now(UTC) + timedelta(hours=2)
        wire.call(f'TRACK SET {{"jid":"extended-0001","reserve_until":"{wanted.isoformat()}"}}')

        assert Lease.objects.get().expires_at == wanted
        far = datetime.now(UTC) + timedelta(days=30)
        wire.call(f'TRACK SET {{"jid":"extended-0001","reserve_until":"{far.isoformat()}"}}')

    ends = Lease.objects.get().expires_at
    assert ends is not None
    assert ends - datetime.now(UTC) < timedelta(hours=24, seconds=5)


def test_a_stranger_does_not_extend_what_another_worker_holds(server: Server) -> None:
    with server.connect() as holder, server.connect() as stranger:
        holder.greet(wid="holder-0002", hostname="h", pid=1, labels=[])
        stranger.greet(wid="stranger-001", hostname="h", pid=2, labels=[])
        holder.push("extended-0002", reserve_for=600)
        holder.fetch("default")
        before = Lease.objects.get().expires_at
        far = (datetime.now(UTC) + timedelta(hours=2)).isoformat()

        stranger.call(f'TRACK SET {{"jid":"extended-0002","reserve_until":"{far}"}}')

    assert Lease.objects.get().expires_at == before


@pytest.mark.parametrize(("percent", "kept"), [(250, 100), (-5, 0), (41.9, 41), (100, 100)])
def test_a_percentage_is_cut_to_what_there_is(server: Server, percent: float, kept: int) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("percent-0001")
        wire.call(f'TRACK SET {{"jid":"percent-0001","percent":{percent}}}')

        assert wire.call("TRACK GET percent-0001").json["percent"] == kept


@pytest.mark.parametrize("jid", ["nul-\0-0001", "\ufffd-000001", "a" * 1_000])
def test_a_jid_that_no_job_has_is_unknown(server: Server, jid: str) -> None:
    with server.connect() as wire:
        wire.greet()

        assert wire.call(f"TRACK GET {jid}").json["state"] == "unknown"

    assert not Track.objects.exists()


def test_many_that_say_something_at_once_are_all_answered(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        for n in range(50):
            wire.push(f"at-once-{n:04}", custom={"track": 1})
        lines = [f'TRACK SET {{"jid":"at-once-{n:04}","percent":{n}}}\r\n' for n in range(50)] * 2
        wire.send("".join(lines))

        assert {wire.read().text for _ in lines} == {"OK"}

    assert set(Track.objects.values_list("percent", flat=True)) == set(range(50))


def test_what_was_said_on_the_wire_is_what_python_hears_and_the_other_way_round(
    server: Server, django_worker: Worker, ledger: Ledger
) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("both-doors-1", "T", queue="of-the-wire", custom={"track": 1})
        wire.fetch("of-the-wire")
        wire.call('TRACK SET {"jid":"both-doors-1","percent":7,"desc":"seven"}')
        found = Job.status("both-doors-1")
        assert (found.state, found.percent, found.text) == ("working", 7, "seven")

        handle = jobs.report.perform_async(str(ledger), 3)
        ledger.wait_for("reported")
        until(
            lambda: wire.call(f"TRACK GET {handle.jid}").json["state"] == "success",
            "the job has ended",
        )

        def told() -> bool:
            answer = wire.call(f"TRACK GET {handle.jid}").json
            return (answer.get("percent"), answer.get("desc")) == (100, "part 3 of 3")

        until(told, "the last of what it said is there")
    assert not django_worker.process.poll()


def test_the_server_calls_itself_what_its_setting_says(serve: Callable[..., Server]) -> None:
    server = serve(faktory={"SERVER_DESCRIPTION": "Faktory Enterprise"})
    with server.connect() as wire:
        wire.greet()
        assert wire.call("INFO").json["server"]["description"] == "Faktory Enterprise"
    assert server.stop() == 0
