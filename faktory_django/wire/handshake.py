"""Handshake: the greeting, HELLO and the password (protocol section 3). Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Raw

from .jobs import sanitized

MIN_ITERATIONS: Final = 4_000
ITERATIONS: Final = range(MIN_ITERATIONS, 8_096)
MAX_WID: Final = 64
MAX_LABELS: Final = 10
MAX_LABEL: Final = 64
MAX_HOSTNAME: Final = 255
_START: Final = b"HELLO {"
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_TYPES: Final[dict[str, Any]] = {
    "v": int | None,
    "hostname": str | None,
    "wid": str | None,
    "pid": int | None,
    "labels": list[str] | None,
    "username": str | None,
    "pwdhash": str | None,
}


class BadHello(Exception):
    """The first line is no HELLO: the connection is closed without a word."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the greeting asks for: the hash of the password with this salt, so many times."""

    salt: str
    iterations: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says of itself; with a wid it is a worker."""

    version: int = 0
    hostname: str = ""
    wid: str = ""
    pid: int = 0
    labels: tuple[str, ...] = ()
    pwdhash: str = ""


def greeting(challenge: Challenge | None) -> bytes:
    """Return the first line; no space in its JSON, its keys in this order."""
    if challenge is None:
        return b'+HI {"v":2}\r\n'
    return f'+HI {{"v":2,"i":{challenge.iterations},"s":"{challenge.salt}"}}\r\n'.encode()


def read_hello(line: bytes) -> Hello:
    """Read the first line of a client. Raises BadHello."""
    if not line.startswith(_START):
        raise BadHello
    found: dict[str, Any] = {}
    try:
        for name, raw in _FIELDS.decode(sanitized(line[6:])).items():
            if (field := name.lower()) in _TYPES:
                found[field] = msgspec.json.decode(raw, type=_TYPES[field])
    except (ValueError, RecursionError):
        raise BadHello from None
    version = found.get("v") or 0
    wid, labels = found.get("wid") or "", found.get("labels") or []
    if not 0 <= version <= 255 or not _is_fine(wid, MAX_WID):
        raise BadHello
    return Hello(
        version=version,
        hostname=_cut(found.get("hostname") or "", MAX_HOSTNAME),
        wid=wid,
        pid=min(max(found.get("pid") or 0, 0), 2**31 - 1),
        labels=tuple(_cut(label, MAX_LABEL) for label in labels[:MAX_LABELS]),
        pwdhash=found.get("pwdhash") or "",
    )


def password_hash(password: bytes, challenge: Challenge, *, version: int = 2) -> str:
    """Return the hash that a client must send: once for a version below 2, as old clients do."""
    digest = hashlib.sha256(password + challenge.salt.encode()).digest()
    if version >= 2:
        for _ in range(challenge.iterations - 1):
            digest = hashlib.sha256(digest).digest()
    return digest.hex()


def is_right(hello: Hello, password: bytes, challenge: Challenge) -> bool:
    """Tell whether a client knows the password; takes the same time for every wrong answer."""
    wanted = password_hash(password, challenge, version=hello.version)
    return hmac.compare_digest(wanted.encode(), hello.pwdhash.encode(errors="replace"))


def reply(greeting: bytes, password: bytes | None) -> bytes:
    """Return the JSON with which a client answers a greeting."""
    hello: dict[str, Any] = {"v": 2}
    asked = msgspec.json.decode(greeting[3:].strip() or b"{}")
    if "s" in asked and password is not None:
        challenge = Challenge(asked["s"], asked["i"])
        hello["pwdhash"] = password_hash(password, challenge)
    return msgspec.json.encode(hello)


def _is_fine(name: str, longest: int) -> bool:
    return len(name) <= longest and (name.isprintable() or not name)


def _cut(text: str, longest: int) -> str:
    return text.replace("\0", "\ufffd")[:longest]
