"""A raw connection to a wire server: it reads exactly what the protocol allows (section 2)."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    import ssl

Shape = Literal["simple", "hello", "bulk", "nil", "error"]
SHAPES: Final[dict[bytes, Shape]] = {b"+": "simple", b"-": "error", b"$": "bulk"}


class Closed(Exception):
    """The server has closed the connection."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its shape, what is in it, and all its bytes."""

    shape: Shape
    data: bytes
    raw: bytes

    @property
    def text(self) -> str:
        """What is in it, as text."""
        return self.data.decode()

    @property
    def json(self) -> Any:
        """What is in it, read as JSON."""
        return json.loads(self.data)


class Wire:
    """A connection with a deadline for everything that it waits for."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        seconds: float = 10.0,
    ) -> None:
        """Connect; with a context, over TLS."""
        plain = socket.create_connection((host, port), timeout=seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=host) if context else plain
        self._seconds = seconds
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes | str) -> None:
        """Send bytes as they are. Raises Closed."""
        try:
            self.socket.sendall(data.encode() if isinstance(data, str) else data)
        except ConnectionError:
            raise Closed from None

    def read(self) -> Reply:
        """Read one reply. Raises Closed at the end, TimeoutError, ValueError when it is none."""
        deadline = time.monotonic() + self._seconds
        line = self._take_line(deadline)
        shape = SHAPES.get(line[:1])
        if shape is None or b"\r" in line or b"\n" in line:
            raise ValueError(f"not a reply: {line!r}")
        if shape != "bulk":
            shape = "hello" if line.startswith(b"+HI {") else shape
            return Reply(shape, line[1:], line + b"\r\n")
        if line == b"$-1":
            return Reply("nil", b"", b"$-1\r\n")
        if not line[1:].isdigit():
            raise ValueError(f"not a length: {line!r}")
        data = self._take(int(line[1:]) + 2, deadline)
        if not data.endswith(b"\r\n"):
            raise ValueError(f"the bulk string is not {line[1:]!r} bytes long: {data[-80:]!r}")
        return Reply("bulk", data[:-2], line + b"\r\n" + data)

    def call(self, line: str) -> Reply:
        """Send a command and read its reply."""
        self.send(f"{line}\r\n")
        return self.read()

    def push(self, jid: str, jobtype: str = "T", *args: Any, **fields: Any) -> None:
        """Push a job, which has to be taken."""
        reply = self.call(f"PUSH {job(jid, jobtype, *args, **fields)}")
        if reply.raw != b"+OK\r\n":
            raise ValueError(f"the push was refused: {reply.text}")

    def fetch(self, *queues: str) -> Any:
        """Fetch a job; None when there is none."""
        reply = self.call(f"FETCH {' '.join(queues)}")
        return None if reply.shape == "nil" else reply.json

    def greet(self, password: str = "", **fields: Any) -> Reply:
        """Read the greeting, answer it with a HELLO, and return the reply."""
        greeting = json.loads(self.read().data.removeprefix(b"HI "))
        if password:
            fields["pwdhash"] = password_hash(password, greeting["s"], greeting["i"])
        return self.call(f"HELLO {json.dumps({'v': 2} | fields, separators=(',', ':'))}")

    def ends(self) -> bool:
        """Tell whether the server closes without another byte. Raises TimeoutError."""
        try:
            return not self._unread and self._receive(time.monotonic() + self._seconds) == b""
        except ConnectionError:
            return True

    def hang_up(self) -> None:
        """Say that nothing more will come, wait until the server has closed, and close."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self._receive(time.monotonic() + self._seconds):
                pass
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close at once."""
        self.socket.close()

    def _take_line(self, deadline: float) -> bytes:
        while b"\r\n" not in self._unread:
            self._fill(deadline)
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _take(self, count: int, deadline: float) -> bytes:
        parts, held = [self._unread], len(self._unread)
        while held < count:
            parts.append(self._receive(deadline))
            if not parts[-1]:
                raise Closed
            held += len(parts[-1])
        whole = b"".join(parts)
        self._unread = whole[count:]
        return whole[:count]

    def _fill(self, deadline: float) -> None:
        try:
            more = self._receive(deadline)
        except ConnectionError:
            more = b""
        if not more:
            raise Closed
        self._unread += more

    def _receive(self, deadline: float) -> bytes:
        self.socket.settimeout(max(0.01, deadline - time.monotonic()))
        return self.socket.recv(1 << 20)


def password_hash(password: str, salt: str, iterations: int) -> str:
    """Return what a client sends for a password (section 3)."""
    digest = hashlib.sha256(password.encode() + salt.encode()).digest()
    for _ in range(iterations - 1):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


def job(jid: str, jobtype: str = "T", *args: Any, **fields: Any) -> str:
    """Return a job as JSON."""
    return json.dumps({"jid": jid, "jobtype": jobtype, "args": list(args)} | fields)
