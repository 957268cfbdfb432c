"""Session: what one connection may ask now, as a table. Pure.

greeted -- HELLO --> open -- END, or an error of framing --> closed
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from faktory_django.errors import CommandRefused

from . import requests

if TYPE_CHECKING:
    from .handshake import Challenge, Hello


class State(Enum):
    """How far a connection is."""

    GREETED = auto()
    OPEN = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the server lets its clients do; password None lets everybody in."""

    old_clients: bool = True
    mutations: bool = True
    password: bytes | None = None


# Commands that destroy or change what others have pushed, as the error names them.
_MUTATIONS: Final = {requests.Flush: "FLUSH", requests.Mutate: "MUTATE"}


@dataclass(slots=True)
class Session:
    """One connection: its state, and who it is once it has said so."""

    permissions: Permissions
    challenge: Challenge | None = None
    state: State = State.GREETED
    wid: str | None = field(default=None, init=False)

    def open(self, hello: Hello) -> None:
        """The client is in. Raises CommandRefused when it is too old for this server."""
        if self.state is not State.GREETED:
            raise AssertionError(f"HELLO in state {self.state}")
        if hello.version < 2 and not self.permissions.old_clients:
            raise CommandRefused(
                f"protocol version {hello.version} is not allowed here, the least is 2"
            )
        self.state = State.OPEN
        self.wid = hello.wid or None

    def allow(self, request: requests.Request) -> None:
        """Raise CommandRefused for what is not permitted here."""
        if self.permissions.mutations:
            return
        name = _MUTATIONS.get(type(request))
        if isinstance(request, requests.QueueAct) and request.act == "REMOVE":
            name = "QUEUE REMOVE"
        if name is not None:
            raise CommandRefused(f"{name} is not permitted by this server")

    def close(self) -> None:
        """Nothing more is read or answered."""
        self.state = State.CLOSED
