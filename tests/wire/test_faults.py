"""When something breaks: nothing acknowledged is lost, and the server goes on."""

from __future__ import annotations

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from django.db import connection, transaction

from faktory_django.lifecycle.beat import set_state
from faktory_django.models import Job, Lease, Process, RetryJob
from tests.waiting import until

from .running import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .running import Server

    Begin = Callable[..., Server]

QUICK = {"SILENT_WIRE_SECONDS": 1, "BEAT_SECONDS": 0.2}


@pytest.fixture
def begin(transactional_db: None, tmp_path: Path) -> Iterator[Begin]:  # noqa: ARG001
    """Return a function that starts a server that ends with its test.

    Its upkeep is that of the whole database: a setting of one test must not meet another.
    """
    servers: list[Server] = []

    def start_one(*options: str, faktory: dict[str, Any] | None = None) -> Server:
        servers.append(start(tmp_path / f"log-{len(servers)}", *options, faktory=faktory))
        assert servers[-1].port
        return servers[-1]

    yield start_one
    for server in servers:
        if server.process.poll() is None:
            assert server.stop() == 0


@pytest.fixture
def own(begin: Begin) -> Server:
    """Return a server that a test may break, its connections to the database made."""
    server = begin()
    with server.connect() as wire:
        wire.greet()
        wire.push("the-first-1", queue="first")
        wire.fetch("first")
    return server


def sql(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def sessions_of_servers() -> list[int]:
    found = sql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'faktory_server%%'")
    return [row[0] for row in found]


def is_waiting_for_a_lock() -> bool:
    sql("SELECT pg_stat_clear_snapshot()")
    return bool(sql("SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1"))


def wait_for_more(done: list[str], what: str) -> None:
    least = len(done) + 20
    until(lambda: len(done) > least, what)


@pytest.fixture
def strangers(transactional_db: None) -> list[int]:  # noqa: ARG001
    """Return the sessions of the servers of other tests."""
    return sessions_of_servers()


def test_a_push_is_not_answered_before_it_is_committed(server: Server) -> None:
    with server.connect() as wire, ThreadPoolExecutor(1) as pool:
        wire.greet()
        with transaction.atomic():
            sql("LOCK TABLE faktory_django_job IN SHARE MODE")
            pushing = pool.submit(wire.push, "not-yet-1234")
            until(is_waiting_for_a_lock, "the push waits for the lock")
            answered_before = pushing.done()
        pushing.result(10)

    assert not answered_before
    assert Job.objects.get().jid == "not-yet-1234"


def test_no_acknowledged_push_is_lost_when_the_connections_to_the_database_break(
    strangers: list[int], own: Server
) -> None:
    enough, refused = threading.Event(), [0]
    done: list[str] = []

    def push(number: int) -> None:
        with own.connect() as wire:
            wire.greet()
            sent = 0
            while not enough.is_set():
                sent += 1
                jid = f"pusher-{number}-{sent:06}"
                try:
                    wire.push(jid)
                except ValueError:
                    refused[0] += 1
                else:
                    done.append(jid)

    with ThreadPoolExecutor(8) as pool:
        pushers = [pool.submit(push, number) for number in range(8)]
        for broken in range(8):
            wait_for_more(done, f"pushes go on after {broken}")
            for pid in set(sessions_of_servers()) - set(strangers):
                sql("SELECT pg_terminate_backend(%s)", pid)
        wait_for_more(done, "pushes go on at the end")
        enough.set()
        for pusher in pushers:
            pusher.result(10)

    assert refused[0], "no push met a broken connection"
    assert done
    assert set(done) <= set(Job.objects.values_list("jid", flat=True))
    assert own.process.poll() is None


def test_a_connection_that_was_cut_while_idle_costs_no_client_an_error(
    strangers: list[int], own: Server
) -> None:
    cut = set(sessions_of_servers()) - set(strangers)
    for pid in cut:
        sql("SELECT pg_terminate_backend(%s, 5000)", pid)

    with own.connect() as wire:
        wire.greet()
        for n in range(4):
            wire.push(f"after-all-{n}", queue="other")
        assert wire.fetch("other")["jid"] == "after-all-0"
        assert wire.call('ACK {"jid":"after-all-0"}').raw == b"+OK\r\n"

    assert len(cut) >= 4


def test_a_fetch_whose_client_has_gone_gives_its_job_to_the_next(server: Server) -> None:
    for n in range(20):
        with server.connect() as gone, server.connect() as wire:
            gone.greet()
            wire.greet()
            gone.send("FETCH default\r\n")
            gone.close()
            wire.push(f"for-next-{n:04}")

            assert wire.fetch("default")["jid"] == f"for-next-{n:04}"
    until(lambda: Lease.objects.count() == 20, "no other reservation")


def test_a_silent_worker_is_dropped_and_its_job_stays_reserved(begin: Begin) -> None:
    server = begin(faktory=QUICK)
    with server.connect() as wire:
        wire.greet(wid="silent-worker")
        wire.push("kept-12345")
        assert wire.fetch("default")["jid"] == "kept-12345"

        assert wire.ends()

    until(lambda: not Process.objects.filter(wid="silent-worker").exists(), "it is forgotten")
    assert Lease.objects.get().jid == "kept-12345"


def test_where_it_is_asked_for_the_job_of_a_silent_worker_comes_back(begin: Begin) -> None:
    server = begin(faktory=QUICK | {"RESCUE_SILENT_WIRE": True})
    with server.connect() as wire, server.connect() as other:
        other.greet()
        wire.greet(wid="silent-worker")
        wire.push("back-12345")
        wire.fetch("default")
        assert wire.ends()

        found = until(lambda: other.fetch("default"), "the job comes back", seconds=20)

    assert found["jid"] == "back-12345"


def test_a_reservation_that_runs_out_is_a_failure_and_its_late_ack_is_nothing(
    server: Server,
) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("expires-123")
        wire.fetch("default")
        sql("UPDATE faktory_django_lease SET expires_at = clock_timestamp() - interval '1 s'")

        retry = until(lambda: RetryJob.objects.first(), "it is in the retries", seconds=20)

        assert retry is not None
        assert retry.failure_hash["errtype"] == "ReservationExpired"
        assert wire.call('ACK {"jid":"expires-123"}').raw == b"+OK\r\n"
        assert wire.call('FAIL {"jid":"expires-123"}').text == "ERR Job not found expires-123"
        assert RetryJob.objects.count() == 1


def test_quiet_reaches_a_worker_at_its_next_beat_and_all_its_connections(server: Server) -> None:
    with server.connect() as one, server.connect() as two, server.connect() as producer:
        producer.greet()
        for wire in (one, two):
            wire.greet(wid="to-be-quiet")
        producer.push("stays-12345")

        set_state(connection, ["to-be-quiet"], "quiet")

        assert one.call('BEAT {"wid":"to-be-quiet"}').text == '{"state":"quiet"}'
        assert (one.fetch("default"), two.fetch("default")) == (None, None)
        assert producer.fetch("default")["jid"] == "stays-12345"


def test_a_stop_answers_what_is_under_way(own: Server) -> None:
    with own.connect() as waiting, own.connect() as pushing, ThreadPoolExecutor(1) as pool:
        waiting.greet()
        pushing.greet()
        waiting.send("FETCH default\r\n")
        with transaction.atomic():
            sql("LOCK TABLE faktory_django_job IN SHARE MODE")
            under_way = pool.submit(pushing.push, "in-time-123", queue="other")
            until(is_waiting_for_a_lock, "the push waits for the lock")
            own.process.send_signal(signal.SIGTERM)
            until(lambda: "stopping" in own.log, "it stops")

        under_way.result(10)
        assert waiting.read().shape == "nil"

    assert own.process.wait(15) == 0
    assert Job.objects.get(queue="other").jid == "in-time-123"


def test_a_killed_process_is_replaced_and_one_without_its_launcher_ends(begin: Begin) -> None:
    server = begin("--processes", "2")
    port = server.port
    launcher = psutil.Process(server.process.pid)
    until(lambda: len(launcher.children()) == 2, "two processes run")
    first, second = launcher.children()

    first.kill()
    until(lambda: len(launcher.children()) == 2 and not first.is_running(), "a new one has started")
    children = launcher.children()
    with server.connect() as wire:
        wire.greet()
        wire.push("goes-on-123")
    os.kill(launcher.pid, signal.SIGKILL)
    server.process.wait(10)

    until(lambda: not any(child.is_running() for child in children), "the servers have ended")
    assert f"server {first.pid} died with code -9 and is replaced" in server.log
    assert second.pid in {child.pid for child in children}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
