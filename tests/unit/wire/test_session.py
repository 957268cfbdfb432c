"""Session: what a connection may ask, by its state and by what the server permits."""

from __future__ import annotations

import pytest

from faktory_django.errors import CommandRefused
from faktory_django.wire.handshake import Hello
from faktory_django.wire.requests import Ack, End, Flush, Info, Mutate, QueueAct, Request
from faktory_django.wire.session import Permissions, Session, State

OPEN, STRICT = Permissions(), Permissions(old_clients=False, mutations=False)


@pytest.mark.parametrize(("wid", "kept"), [("", None), ("w", "w")])
def test_a_hello_opens_a_session_and_names_its_worker(wid: str, kept: str | None) -> None:
    session = Session(OPEN)

    session.open(Hello(version=2, wid=wid))

    assert (session.state, session.wid) == (State.OPEN, kept)


@pytest.mark.parametrize("version", [0, 1])
def test_an_old_client_is_let_in_unless_that_is_forbidden(version: int) -> None:
    Session(OPEN).open(Hello(version=version))
    strict = Session(STRICT)

    with pytest.raises(CommandRefused) as refusal:
        strict.open(Hello(version=version))

    assert str(refusal.value) == (f"protocol version {version} is not allowed here, the least is 2")
    assert strict.state is State.GREETED


def test_a_client_of_this_version_is_let_in_everywhere() -> None:
    session = Session(STRICT)

    session.open(Hello(version=2))

    assert session.state is State.OPEN


def test_a_session_opens_once() -> None:
    session = Session(OPEN)
    session.open(Hello(version=2))

    with pytest.raises(AssertionError, match=r"HELLO in state State\.OPEN"):
        session.open(Hello(version=2))


FORBIDDEN = [
    (Flush(), "FLUSH"),
    (Mutate("kill", "dead"), "MUTATE"),
    (QueueAct("REMOVE", ("a",)), "QUEUE REMOVE"),
]


@pytest.mark.parametrize(("request_", "name"), FORBIDDEN)
def test_what_destroys_is_refused_where_it_is_forbidden(request_: Request, name: str) -> None:
    Session(OPEN).allow(request_)

    with pytest.raises(CommandRefused) as refusal:
        Session(STRICT).allow(request_)

    assert str(refusal.value) == f"{name} is not permitted by this server"


@pytest.mark.parametrize(
    "request_",
    [Info(), End(), Ack("j"), *(QueueAct(act) for act in ("PAUSE", "RESUME", "LATENCY"))],
)
def test_all_else_is_allowed_everywhere(request_: Request) -> None:
    Session(STRICT).allow(request_)


def test_a_session_closes() -> None:
    session = Session(OPEN)

    session.close()

    assert session.state is State.CLOSED
