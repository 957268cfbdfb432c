"""Several front ends serve one database: none of them holds anything that another has not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from faktory_django.models import Job, Process
from tests.waiting import until

from .talking import Closed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Serve
    from .running import Server
    from .talking import Wire

CLIENTS = 100
WID = "worker-of-both"


@pytest.fixture(scope="module")
def other(serve: Serve) -> Server:
    """Return a second front end on the database of the first."""
    return serve()


@pytest.fixture
def here(server: Server) -> Iterator[Wire]:
    """Return a connection of a worker to the first front end."""
    with server.connect() as wire:
        wire.greet(wid=WID)
        yield wire


@pytest.fixture
def there(other: Server) -> Iterator[Wire]:
    """Return a connection of the same worker to the second front end."""
    with other.connect() as wire:
        wire.greet(wid=WID)
        yield wire


def test_a_job_fetched_at_one_is_acked_at_the_other_and_counted_once(
    here: Wire, there: Wire
) -> None:
    here.push("crosswise-1")

    assert here.fetch("default")["jid"] == "crosswise-1"
    assert there.call('ACK {"jid":"crosswise-1"}').raw == b"+OK\r\n"
    assert here.call('ACK {"jid":"crosswise-1"}').raw == b"+OK\r\n"

    assert here.call("INFO").json["faktory"]["total_processed"] == 1
    assert not Job.objects.exists()


def test_a_job_fetched_at_one_fails_at_the_other(here: Wire, there: Wire) -> None:
    here.push("crosswise-2")
    here.fetch("default")

    assert there.call('FAIL {"jid":"crosswise-2"}').raw == b"+OK\r\n"

    assert here.call('FAIL {"jid":"crosswise-2"}').raw == b"-ERR Job not found crosswise-2\r\n"
    assert here.call("INFO").json["faktory"]["sets"]["retries"] == 1


def test_a_worker_is_known_at_the_other_as_soon_as_it_is_greeted_at_one(
    server: Server, other: Server
) -> None:
    with other.connect() as stranger:
        stranger.greet()
        for n in range(20):
            with server.connect() as worker:
                worker.greet(wid=f"worker-{n}")

                assert stranger.call(f'BEAT {{"wid":"worker-{n}"}}').raw == b"+OK\r\n"


def test_a_worker_that_is_quiet_at_one_gets_nothing_at_the_other(here: Wire, there: Wire) -> None:
    here.push("untouched-1")

    here.call(f'BEAT {{"wid":"{WID}","current_state":"quiet"}}')

    assert there.call(f'BEAT {{"wid":"{WID}"}}').json == {"state": "quiet"}
    assert there.fetch("default") is None


def test_a_worker_stays_known_until_its_last_connection_at_any_has_closed(
    here: Wire, there: Wire
) -> None:
    def workers(wire: Wire) -> int:
        return int(wire.call("INFO").json["faktory"]["tasks"]["Workers"]["size"])

    here.hang_up()

    assert there.call(f'BEAT {{"wid":"{WID}"}}').raw == b"+OK\r\n"
    assert workers(there) == 1


def test_a_push_at_one_wakes_a_fetch_that_waits_at_the_other(here: Wire, there: Wire) -> None:
    there.send("FETCH default\r\n")

    here.push("wakes-you-1")

    assert there.read().json["jid"] == "wakes-you-1"


def test_a_queue_paused_at_one_is_paused_at_the_other(here: Wire, there: Wire) -> None:
    here.push("paused-0001", queue="paused")
    here.push("flowing-001", queue="flowing")

    here.call("QUEUE PAUSE paused")

    assert there.fetch("paused", "flowing")["jid"] == "flowing-001"
    there.call("QUEUE RESUME paused")
    assert here.fetch("paused", "flowing")["jid"] == "paused-0001"


def test_a_queue_removed_at_one_is_known_again_after_a_push_at_the_other(
    here: Wire, there: Wire
) -> None:
    here.push("removed-001", queue="again")
    there.call("QUEUE REMOVE again")

    here.push("removed-002", queue="again")

    assert there.call("INFO").json["faktory"]["queues"] == {"again": 1}
    there.call("QUEUE PAUSE again")
    here.push("flowing-002", queue="flowing")
    assert here.fetch("again", "flowing")["jid"] == "flowing-002"


def test_a_job_fetched_at_a_front_end_that_is_killed_is_acked_at_another(
    serve: Serve, there: Wire
) -> None:
    doomed = serve()
    with doomed.connect() as wire:
        wire.greet(wid=WID)
        wire.push("outlives-01")
        wire.fetch("default")

        doomed.kill()

        assert wire.ends()
    assert there.call('ACK {"jid":"outlives-01"}').raw == b"+OK\r\n"
    assert not Job.objects.exists()
    # Nobody takes back the connection that the killed one had counted, until the worker is silent.
    Process.objects.filter(wid=WID).delete()


@dataclass
class Pushers:
    """Clients that push for as long as they may, at another front end when one is gone."""

    servers: list[Server]
    acknowledged: set[str] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    enough: threading.Event = field(default_factory=threading.Event)

    def push(self, number: int) -> None:
        """Push at the first front end, then at the second."""
        sent = 0
        for server in self.servers:
            try:
                with server.connect() as wire:
                    wire.greet()
                    while not self.enough.is_set():
                        sent += 1
                        wire.push(f"client-{number}-{sent}")
                        self.acknowledged.add(f"client-{number}-{sent}")
                        self.moved |= {number} if server is self.servers[1] else set()
            except (Closed, ConnectionError):
                continue


def test_no_acknowledged_push_is_lost_when_a_front_end_is_killed_under_many_clients(
    serve: Serve, other: Server
) -> None:
    doomed = serve()
    pushers = Pushers([doomed, other])

    with ThreadPoolExecutor(CLIENTS) as pool:
        done = pool.map(pushers.push, range(CLIENTS))
        until(lambda: len(pushers.acknowledged) > 10 * CLIENTS, "all push")
        doomed.kill()
        until(lambda: len(pushers.moved) == CLIENTS, "all push at the other front end")
        pushers.enough.set()
        assert list(done) == [None] * CLIENTS

    stored = set(Job.objects.values_list("jid", flat=True))
    assert pushers.acknowledged - stored == set()
