"""Clients and connections that vanish in the middle: no job goes with them."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest
from django.db import transaction

from faktory_django.models import Job, Lease
from tests.waiting import until

from .hostile import greeted
from .talking import job
from .test_faults import is_waiting_for_a_lock, sessions_of_servers, sql

if TYPE_CHECKING:
    from .conftest import Serve
    from .running import Server
    from .talking import Wire

JOBS = 400


def test_a_job_whose_client_vanishes_while_it_is_claimed_goes_back(server: Server) -> None:
    before = server.log.count("put back")
    with greeted(server) as wire, greeted(server) as doomed:
        wire.push("vanishing-1", queue="vanishing")
        with transaction.atomic():
            sql("LOCK TABLE faktory_django_lease IN SHARE MODE")
            doomed.send("FETCH vanishing\r\n")
            until(is_waiting_for_a_lock, "the claim waits for the lock")
            doomed.hang_up()

        assert wire.fetch("vanishing")["jid"] == "vanishing-1"

    assert server.log.count("put back") == before + 1
    assert Lease.objects.count() == 1


def test_clients_that_vanish_at_any_moment_lose_no_job(server: Server) -> None:
    with greeted(server) as wire:
        for number in range(JOBS):
            wire.push(f"at-any-moment-{number}")
    taken: set[str] = set()

    def come_and_go(offset: int) -> None:
        for number in range(50):
            with greeted(server) as wire:
                wire.send("FETCH default\r\n")
                if (number + offset) % 2:
                    taken.add(wire.read().json["jid"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))

    # a job that was on its way to a client is reserved for it, as the protocol has it; one
    # statement, for claims of clients that are gone may still be under way
    held, waiting = map(
        set,
        sql(
            """
            SELECT ARRAY(SELECT jid FROM faktory_django_lease), ARRAY(
                SELECT j.jid
                FROM faktory_django_job j
                JOIN faktory_django_ready r ON r.job_id = j.id
            )
            """
        )[0],
    )
    assert len(taken) == 100
    assert taken <= held
    assert not held & waiting
    assert len(held | waiting) == JOBS


@pytest.mark.parametrize("last", ["INFO", "PING", "BEAT {}", "END"])
def test_who_says_all_at_once_and_no_more_gets_all_answers(server: Server, last: str) -> None:
    pushes = [f"PUSH {job(f'half-closed-{number:03}')}" for number in range(100)]
    lines = ['HELLO {"v":2}', *["PING"] * 60, *pushes, last]
    with server.connect() as wire:
        assert wire.read().shape == "hello"

        wire.send("".join(f"{line}\r\n" for line in lines) + "half a line")
        wire.socket.shutdown(socket.SHUT_WR)

        shapes = [wire.read().shape for _ in lines[:-1]]
        assert shapes == ["simple", *["error"] * 60, *["simple"] * 100]
        assert last == "END" or wire.read().shape in {"bulk", "error"}
        assert wire.ends()
    assert Job.objects.count() == 100


def test_who_says_no_more_is_given_no_job(server: Server) -> None:
    with server.connect() as wire:
        wire.read()

        wire.send(f'HELLO {{"v":2}}\r\nPUSH {job("not-for-you-1")}\r\nFETCH default\r\n')
        wire.socket.shutdown(socket.SHUT_WR)

        assert [wire.read().raw, wire.read().raw] == [b"+OK\r\n"] * 2
        assert wire.ends()
    assert not Lease.objects.exists()


@dataclass
class Workers:
    """Workers that fetch and ack until all jobs are done."""

    server: Server
    acked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def work(self, number: int) -> None:
        """Be one of them."""
        with greeted(self.server, wid=f"worker-{number}") as wire:
            while len(self.acked) < JOBS:
                reply = wire.call("FETCH broken")
                if reply.shape == "bulk":
                    self._ack(wire, reply.json["jid"])
                elif reply.shape == "error":
                    self.refused.append(reply.text)

    def have_acked(self, count: int) -> bool:
        """Tell whether so many jobs are done."""
        return len(self.acked) >= count

    def _ack(self, wire: Wire, jid: str) -> None:
        reply = wire.call(f'ACK {{"jid":"{jid}"}}')
        assert reply.raw == b"+OK\r\n"
        self.acked.append(jid)


def test_workers_go_on_when_the_connections_to_the_database_break(serve: Serve) -> None:
    others = set(sessions_of_servers())
    workers = Workers(serve())
    with greeted(workers.server) as wire:
        for number in range(JOBS):
            wire.push(f"worked-off-{number:04}", queue="broken")

    with ThreadPoolExecutor(4) as pool:
        done = pool.map(workers.work, range(4))
        for enough in range(40, JOBS, 40):
            until(partial(workers.have_acked, enough), "they work", seconds=30)
            for pid in set(sessions_of_servers()) - others:
                sql("SELECT pg_terminate_backend(%s)", pid)
        assert list(done) == [None] * 4

    assert set(workers.refused) == {"ERR the database does not answer"}
    assert sorted(workers.acked) == [f"worked-off-{number:04}" for number in range(JOBS)]
    assert not Job.objects.exists()
    assert not Lease.objects.exists()
