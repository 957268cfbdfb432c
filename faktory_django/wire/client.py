"""A client's connection: bytes in, one command at a time, replies out; nothing is decided here."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import CommandRefused

from . import frames, handshake, requests
from .session import State

if TYPE_CHECKING:
    from .server import Server

logger = logging.getLogger(__name__)

# What a client may send ahead of its answers; then it is not read.
READ_AHEAD: Final = 65_536
# So many lines that are answered on the spot, then it is the others' turn.
LINES_AT_ONCE: Final = 50


class Client(asyncio.Protocol):
    """One connection. busy: a command waits for its answer; what follows it waits in turn."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.session = server.new_session()
        self.lines = frames.Lines(server.options.hello_bytes)
        self.address = ""
        self.busy = False
        self.was_open = False
        # number of the command that waits: an answer that comes too late finds another one
        self.turn = 0
        self.command: requests.Request | None = None
        self.since = time.monotonic()
        self.line_since: float | None = None
        self.blocked_since: float | None = None
        self._transport: Any = None
        self._reading = True
        self._processing = False
        self._gives_way = False
        self._says_no_more = False
        self._held = 0

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client, or turn it away."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else "local"
        if not self.server.joined(self):
            transport.abort()  # type: ignore[attr-defined]
            return
        self.write(handshake.greeting(self.session.challenge))

    def data_received(self, data: bytes) -> None:
        """Take bytes; answer what is complete."""
        if self.session.state is State.CLOSED or self._is_whole_command(data):
            return
        self.lines.feed(data)
        self.server.hold(len(data))
        self._held += len(data)
        if not self.busy and not self._processing and not self._gives_way:
            self.process()
        self._throttle()

    def eof_received(self) -> bool:
        """What the client has asked for is answered first; it may be gone, so it gets no job."""
        self._says_no_more = True
        if self.is_gone() or self._transport.get_extra_info("sslcontext") is not None:
            return False  # TLS knows no half of a connection
        return self._gives_way or (self.busy and not isinstance(self.command, requests.Fetch))

    def pause_writing(self) -> None:
        """The client does not read its answers: do nothing more for it."""
        self.blocked_since = time.monotonic()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.blocked_since = None
        if not self.busy and not self._processing and not self._gives_way:
            self.process()
            self._throttle()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client is gone."""
        self.session.close()
        self.server.hold(-self._held)
        self._held = 0
        self.server.left(self)

    # commands

    def process(self) -> None:
        """Read lines and begin what they ask for, until one has to wait for its answer."""
        self._processing = True
        left = LINES_AT_ONCE
        try:
            while not self.busy and self.blocked_since is None:
                if not left:
                    self._gives_way = True
                    asyncio.get_running_loop().call_soon(self._go_on)
                    break
                left -= 1
                if self.session.state is State.CLOSED:
                    return
                line = self.lines.next()
                if line is None:
                    break
                self._handle(line)
        except frames.LineTooLong:
            self._refuse_line()
        finally:
            self._processing = False
            held = len(self.lines)
            self.server.hold(held - self._held)
            self._held = held
        if not held or self.busy:
            self.line_since = None
        elif self.line_since is None:
            self.line_since = time.monotonic()
        self._end_when_all_is_answered()

    def _end_when_all_is_answered(self) -> None:
        if self._says_no_more and not (self.busy or self._gives_way or self.blocked_since):
            self.close()

    def _go_on(self) -> None:
        self._gives_way = False
        if not self.is_gone():
            self.process()
            self._throttle()

    def _is_whole_command(self, data: bytes) -> bool:
        """Handle the usual case at once: one complete line, and nothing before it."""
        if self.busy or self._processing or self._gives_way or self.blocked_since is not None:
            return False
        try:
            line = self.lines.whole(data)
        except frames.LineTooLong:
            self._refuse_line()
            return True
        if line is None:
            return False
        self._processing = True
        self._handle(line)
        self._processing = False
        return True

    def answer(self, turn: int, data: bytes) -> None:
        """Send the answer of the command with this number, and go on with what follows."""
        if turn != self.turn or not self.busy:
            return
        self.busy = False
        self.command = None
        self.write(data)
        if not self._processing:
            if len(self.lines) or self._says_no_more:
                self.process()
            self._throttle()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self, last_words: bytes = b"") -> None:
        """Send what is to be sent, and close."""
        if last_words:
            self.write(last_words)
        self.session.close()
        self._transport.close()

    def abort(self) -> None:
        """Close without another word."""
        self.session.close()
        self._transport.abort()

    def is_gone(self) -> bool:
        """Tell whether the connection is closed, or about to be."""
        return self.session.state is State.CLOSED or self._transport.is_closing()

    def _handle(self, line: bytes) -> None:
        self.since = time.monotonic()
        self.line_since = None
        if self.session.state is State.GREETED:
            self._hello(line)
            return
        server = self.server
        server.commands += 1
        try:
            request = requests.read(line, server.request_limits)
            self.session.allow(request)
        except CommandRefused as wrong:
            self.write(frames.error(str(wrong)))
            return
        except Exception:
            logger.exception("a command of %s broke the parser", self.address)
            self.write(frames.error(requests.INTERNAL))
            return
        if self._says_no_more and isinstance(request, requests.Fetch):
            self.close()
            return
        self.turn += 1
        self.busy = True
        self.command = request
        server.dispatch(self, self.turn, request)

    def _hello(self, line: bytes) -> None:
        try:
            hello = handshake.read_hello(line)
        except handshake.BadHello:
            self.close()
            return
        self.turn += 1
        self.busy = True
        self.server.admit(self, self.turn, hello)

    def opened(self, turn: int) -> None:
        """The client has said who it is and is let in."""
        self.lines.limit = self.server.options.line_bytes
        self.answer(turn, frames.OK)

    def _refuse_line(self) -> None:
        limit = self.lines.limit
        logger.warning("%s sent a line over %d bytes and is disconnected", self.address, limit)
        if self.session.state is State.GREETED:
            self.close()
        else:
            self.close(frames.error(f"a line is longer than {limit} bytes"))

    # flow

    def _throttle(self) -> None:
        """Read no more while answers are due or the memory for all clients is used up."""
        ahead = self.busy or self._gives_way or self.blocked_since is not None
        stop = len(self.lines) > READ_AHEAD and (ahead or self.server.is_full())
        if stop and self._reading:
            self._reading = False
            self._transport.pause_reading()
            self.server.paused.add(self)
        elif not stop and not self._reading:
            self.read_again()

    def read_again(self) -> None:
        """Go on reading."""
        self._reading = True
        self.server.paused.discard(self)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def throttle(self) -> None:
        """Look again whether to read."""
        if not self._reading:
            self._throttle()
