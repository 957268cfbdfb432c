"""What a real server of Faktory 1.10 was recorded to answer, ours answers too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from .recording import scenarios
from .replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from .running import Server

# They wait for seconds, and touch nothing that another of them touches.
TOGETHER = [
    ("fetch", "order"),
    ("fetch", "arguments"),
    ("fetch", "blocking"),
    ("handshake", "hello_timeout"),
    ("handshake", "hello_partial_line"),
]
ALONE = [pytest.param(name, id="-".join(name)) for name in scenarios() if name not in TOGETHER]


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server]) -> Server:
    """Return a server that calls itself what the recorded one did."""
    return serve(faktory={"SERVER_DESCRIPTION": "Faktory"})


@pytest.fixture(autouse=True)
def flushed(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        assert wire.call("FLUSH").raw == b"+OK\r\n"


@pytest.mark.parametrize("name", ALONE)
def test_a_scenario_is_answered_as_recorded(server: Server, name: tuple[str, str]) -> None:
    found = replay(server, scenarios()[name])

    assert not found, "\n".join(found)


def test_scenarios_that_wait_are_answered_as_recorded(server: Server) -> None:
    with ThreadPoolExecutor(len(TOGETHER)) as pool:
        played = list(pool.map(lambda name: replay(server, scenarios()[name]), TOGETHER))

    found = [
        f"{name}: {line}" for name, lines in zip(TOGETHER, played, strict=True) for line in lines
    ]
    assert not found, "\n".join(found)
