"""What tests of hostile clients share: clients of another address, the size of a server."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

import psutil

from tests.waiting import until

from .talking import Closed, Wire

if TYPE_CHECKING:
    from .running import Server

ELSEWHERE: Final = "127.0.0.2"


class FromElsewhere(Wire):
    """A connection from another address of this machine."""

    def __init__(self, server: Server) -> None:
        """Connect."""
        super().__init__("127.0.0.1", server.port)
        self.socket.close()
        target, source = ("127.0.0.1", server.port), (ELSEWHERE, 0)
        self.socket = socket.create_connection(target, timeout=10, source_address=source)


def greeted(server: Server, **fields: object) -> Wire:
    """Return a connection that is open."""
    wire = server.connect()
    assert wire.greet(server.password, **fields).raw == b"+OK\r\n"
    return wire


def is_closed(wire: Wire, data: bytes) -> bool:
    """Send bytes, and tell whether the server has closed."""
    try:
        wire.send(data)
    except Closed:
        return True
    return False


def seconds_to_greet(server: Server) -> float:
    """Return how long it takes to be let in."""
    began = time.monotonic()
    with greeted(server):
        return time.monotonic() - began


def serving(server: Server) -> list[psutil.Process]:
    """Return the processes that serve; waits until there is one."""
    launcher = psutil.Process(server.process.pid)
    return until(launcher.children, "a process serves")


def mebibytes(server: Server) -> float:
    """Return the resident memory of the process that serves."""
    return float(serving(server)[0].memory_info().rss) / 1_048_576
