"""Clients that are slow, greedy or broken: they are cut off, and the others do not notice."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.waiting import until

from .hostile import greeted, is_closed, mebibytes, seconds_to_greet
from .talking import Closed, job

if TYPE_CHECKING:
    from .conftest import Serve
    from .running import Server
    from .talking import Wire

LINE_BYTES = 2_048
CONNECTIONS = 20
TIGHT = {
    "SERVER_LINE_BYTES": LINE_BYTES,
    "SERVER_LINE_SECONDS": 1,
    "SERVER_WRITE_SECONDS": 1,
}


@pytest.fixture(scope="module")
def tight(serve: Serve) -> Server:
    """Return a server with small limits."""
    return serve(faktory=TIGHT)


@pytest.fixture(scope="module")
def small(serve: Serve) -> Server:
    """Return a server for few connections."""
    return serve(faktory={"SERVER_CONNECTIONS": CONNECTIONS})


def test_a_hello_that_takes_more_than_two_seconds_is_cut_off(server: Server) -> None:
    with server.connect() as wire:
        wire.read()
        began = time.monotonic()

        wire.send('HELLO {"v":')

        assert wire.ends()
        assert 1.5 < time.monotonic() - began < 4


def test_two_hundred_dribbling_clients_keep_nobody_out(server: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(200)]
        began, waits = time.monotonic(), []

        def all_are_cut_off() -> bool:
            slow[:] = [wire for wire in slow if not is_closed(wire, b"H")]
            waits.append(seconds_to_greet(server))
            return not slow

        until(all_are_cut_off, "all are cut off", seconds=10)

    assert time.monotonic() - began > 1.5
    assert len(waits) > 5
    assert max(waits) < 1.5


def hello(size: int) -> str:
    return 'HELLO {"v":2,"x":"' + "x" * (size - 20) + '"}'


def test_a_hello_has_at_most_4_kib(server: Server) -> None:
    with server.connect() as wire:
        wire.read()
        assert wire.call(hello(4_096)).raw == b"+OK\r\n"

    for data in (hello(4_097) + "\r\n", "H" * 4_098, "\r" * 4_098, "x" * 1_000_000):
        with server.connect() as wire:
            wire.read()
            wire.send(data)
            assert wire.ends()


def line(size: int) -> str:
    return f"PUSH {job('a-line-of-some-size', 'T', 'x' * (size - 65))}"


def test_a_line_over_the_limit_is_refused_and_the_connection_closed(tight: Server) -> None:
    assert len(line(LINE_BYTES)) == LINE_BYTES
    with greeted(tight) as wire:
        assert wire.call(line(LINE_BYTES)).raw == b"+OK\r\n"

        reply = wire.call(line(LINE_BYTES + 1))

        assert reply.raw == b"-ERR a line is longer than 2048 bytes\r\n"
        assert wire.ends()


def test_a_line_without_an_end_is_cut_off(tight: Server) -> None:
    before = mebibytes(tight)
    with greeted(tight) as wire:
        until(lambda: is_closed(wire, b"x" * 65_536), "it is cut off")

    assert mebibytes(tight) < before + 5
    assert "127.0.0.1 sent a line over 2048 bytes and is disconnected" in tight.log


def test_half_lines_are_cut_off_and_lines_in_pieces_are_not(tight: Server) -> None:
    with ExitStack() as stack:
        halves = [stack.enter_context(greeted(tight)) for _ in range(100)]
        patient = stack.enter_context(greeted(tight))
        began = time.monotonic()
        for wire in halves:
            wire.send("PUSH {")
        patient.send("PI")

        def all_are_cut_off() -> bool:
            # never at the end of a line, yet each line in time
            patient.send("NG\r\nPI")
            assert patient.read().text == "ERR unknown command PING"
            halves[:] = [wire for wire in halves if not is_closed(wire, b"x")]
            return not halves

        until(all_are_cut_off, "all are cut off", seconds=10)
        assert time.monotonic() - began > 0.9
        assert patient.call("NG").text == "ERR unknown command PING"

    assert "a line took more than 1 s (SERVER_LINE_SECONDS)" in tight.log


def flood(wire: Wire, data: bytes) -> None:
    """Send without reading, as much as the server takes. Raises Closed."""
    wire.socket.settimeout(0)
    try:
        while True:
            wire.socket.send(data)
    except BlockingIOError:
        return
    except ConnectionError:
        raise Closed from None


@pytest.mark.parametrize("command", [b"INFO\r\n", b"x\r\n", b"FETCH\r\n", b"ACK {}\r\n"])
def test_a_client_that_asks_and_never_reads_is_cut_off(tight: Server, command: bytes) -> None:
    before = mebibytes(tight)
    waits, sizes = [], []
    with greeted(tight) as wire, greeted(tight) as other:
        began = time.monotonic()

        def is_cut_off() -> bool:
            asked = time.monotonic()
            assert other.call("INFO").shape == "bulk"
            waits.append(time.monotonic() - asked)
            sizes.append(mebibytes(tight))
            try:
                flood(wire, command * 10_000)
            except Closed:
                return True
            return False

        until(is_cut_off, "it is cut off", seconds=20)
        assert time.monotonic() - began > 0.9

    assert max(waits) < 1.5
    assert max(sizes) < before + 8
    assert "it has not read for 1 s (SERVER_WRITE_SECONDS)" in tight.log


def test_one_connection_more_than_the_limit_is_told_so(small: Server) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(greeted(small)) for _ in range(CONNECTIONS)]

        with small.connect() as wire:
            assert wire.greet().raw == b"+OK\r\n"
            assert wire.read().text == f"ERR too many connections: {CONNECTIONS + 1}"
            assert wire.ends()

        assert {wire.call("FETCH").text for wire in clients} == {
            "ERR must call fetch with at least one queue"
        }
        clients[0].hang_up()
        with greeted(small) as wire:
            assert wire.call("INFO").json["server"]["connections"] == CONNECTIONS


def test_many_that_connect_and_say_nothing_keep_nobody_out(small: Server) -> None:
    with ExitStack() as stack:
        inside = stack.enter_context(greeted(small))
        silent = [stack.enter_context(small.connect()) for _ in range(200)]

        def turned_away() -> int:
            return sum(is_closed(wire, b"H") for wire in silent)

        until(lambda: turned_away() >= 200 - CONNECTIONS, "most are turned away")
        assert inside.call("INFO").shape == "bulk"
        until(lambda: turned_away() == 200, "the others are cut off", seconds=5)
        assert seconds_to_greet(small) < 1
        assert inside.call("INFO").shape == "bulk"
