"""Frames: bytes to lines and replies to bytes (protocol section 2). Pure: no sockets here.

A line ends at LF; one CR before it is dropped. A reply has one of five shapes.
"""

from __future__ import annotations

import re
from typing import Final

OK: Final = b"+OK\r\n"
NIL: Final = b"$-1\r\n"
# What is echoed of a client's words: it cannot end a line, nor fill a log.
MAX_ECHO: Final = 100
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class LineTooLong(Exception):
    """A line is longer than the limit, whether its end has come or not."""


class Lines:
    """Takes bytes as they come and gives lines without their ends."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._start = 0
        self._searched = 0

    def __len__(self) -> int:
        """How many bytes are held."""
        return len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data

    def whole(self, data: bytes) -> bytes | None:
        """Return data as the line that it is, when it is just one and nothing waits before it.

        Else None, and nothing is taken. Raises LineTooLong.
        """
        end = len(data) - 1
        if len(self._buffer) or data.find(b"\n") != end:
            return None
        if data[end - 1 : end] == b"\r":
            end -= 1
        if end > self.limit:
            raise LineTooLong
        return data[:end]

    def next(self) -> bytes | None:
        """Return the next line; None when it is not complete. Raises LineTooLong."""
        end = self._buffer.find(b"\n", max(self._start, self._searched))
        if end < 0:
            self._drop_read()
            self._searched = len(self._buffer)
            # a CR at the end may belong to the end of the line
            if len(self._buffer) - self._buffer.endswith(b"\r") > self.limit:
                raise LineTooLong
            return None
        stop = end - 1 if end > self._start and self._buffer[end - 1] == 13 else end
        if stop - self._start > self.limit:
            raise LineTooLong
        line = bytes(self._buffer[self._start : stop])
        self._start = self._searched = end + 1
        if self._start == len(self._buffer):
            self._drop_read()
        return line

    def _drop_read(self) -> None:
        if self._start:
            del self._buffer[: self._start]
            self._start = self._searched = 0


def bulk(data: bytes) -> bytes:
    """Return data as a bulk reply."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def error(text: str, code: str = "ERR") -> bytes:
    """Return an error reply; it is one line whatever the text holds."""
    return f"-{code} {escaped(text)}\r\n".encode()


def escaped(text: str) -> str:
    """Return text whose control characters are escapes."""
    return _UNPRINTABLE.sub(lambda found: ascii(found.group())[1:-1], text)


def echo(words: bytes) -> str:
    """Return what a client said for an error text: escaped, at most 100 characters of it."""
    text = words[: 4 * MAX_ECHO + 4].decode(errors="backslashreplace")
    shown = text[:MAX_ECHO]
    return escaped(shown) + ("…" if len(text) > MAX_ECHO else "")
