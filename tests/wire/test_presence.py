"""A worker is known from its HELLO until its last connection has closed (section 8)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from faktory_django.models import Process
from tests.waiting import until

if TYPE_CHECKING:
    from .running import Server
    from .talking import Wire


def test_workers_that_leave_as_soon_as_they_have_come_are_forgotten(server: Server) -> None:
    def visit(number: int) -> None:
        with server.connect() as wire:
            wire.greet(wid=f"visitor-{number}")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(visit, range(200)))

    connected = Process.objects.filter(kind=Process.Kind.WIRE, connections__gt=0)
    until(lambda: not connected.exists(), "all have been forgotten", seconds=3)


def test_workers_are_counted_as_soon_as_they_are_greeted(server: Server) -> None:
    with server.connect() as producer:
        producer.greet()
        for number in range(20):
            with server.connect() as wire:
                wire.greet(wid=f"worker-{number}")

                assert workers(producer) == 1
                wire.hang_up()
            until(lambda: workers(producer) == 0, "it has been forgotten")


def workers(wire: Wire) -> int:
    return int(wire.call("INFO").json["faktory"]["tasks"]["Workers"]["size"])
