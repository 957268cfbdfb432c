"""Where our server answers otherwise than the recorded one, on purpose, with the reason.

Nothing stands here that is only not done yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .recording import scenarios, split


@dataclass(frozen=True, slots=True)
class Ours:
    """Why, and what our server answers instead."""

    why: str
    replies: tuple[str, ...]
    seconds: float = 0.0


def _instead(why: str, text: str, *, seconds: float = 0.0) -> Ours:
    return Ours(why, tuple(split(text)), seconds)


def _recorded(file: str, scenario: str, step: int, *changes: tuple[str, str]) -> str:
    """Return a recorded answer with some words of it changed."""
    [text] = scenarios()[file, scenario][step - 1].replies
    for old, new in changes:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    return text


ESCAPED: Final = "what is echoed cannot split a reply: control characters are written as escapes"
EXACT: Final = "numbers come back as they were pushed"
NAMES: Final = "queue names are checked in each push, and are at most 100 characters"
BATCHES: Final = "there are batches here, and 'x' is none: the open-source server passes the key by"
UNIQUE: Final = "unique jobs are unique here: the open-source server passes the key by"
DROPPED: Final = "FLUSH drops the reservations too (fault 13 of section 14)"

NAME_RULE: Final = r"queue names must match \A[a-zA-Z0-9._-]+\z"

OURS: Final = {
    ("framing", "odd_lines", 10): _instead(ESCAPED, "-ERR unknown command \\tINFO\r\n"),
    ("framing", "odd_lines", 11): _instead(ESCAPED, "-ERR unknown command INFO\\t\r\n"),
    ("framing", "odd_lines", 21): _instead(ESCAPED, "-ERR unknown command INFO\\r\r\n"),
    ("framing", "binary", 3): _instead(ESCAPED, "-ERR unknown command \\x00\\x01\\xff\r\n"),
    ("push", "minimal_and_full", 5): _instead(
        BATCHES, "-ERR bid must be the id of a batch, such as b-9fYQkNb0KJbFmA, got 'x'\r\n"
    ),
    ("push", "minimal_and_full", 6): _instead(BATCHES, "$-1\r\n", seconds=2.0),
    ("push", "malformed", 22): _instead(UNIQUE, "-NOTUNIQUE Job not unique\r\n"),
    ("push", "arg_values", 4): _instead(
        EXACT,
        _recorded("push", "arg_values", 4, ("1.5,1,1000,1e+21", "1.5,1.0,1e3,1e21")),
    ),
    ("push", "arg_values", 6): _instead(
        EXACT,
        _recorded(
            "push",
            "arg_values",
            6,
            ("9007199254740992", "9007199254740993"),
            ("12345678901234567000", "12345678901234567890"),
            ("1.2345678901234568e+29", "123456789012345678901234567890"),
        ),
    ),
    ("push", "arg_values", 12): _instead(
        EXACT, _recorded("push", "arg_values", 12, ('"k":1.1,', '"k":1.10,'))
    ),
    ("push", "queues", 11): _instead(
        NAMES, f'-ERR cannot get "{"a" * 100}…" queue: queue names have at most 100 characters\r\n'
    ),
    ("push", "queues", 12): _instead(NAMES, "$-1\r\n", seconds=2.0),
    ("push", "at", 27): _instead(NAMES, f'-ERR cannot get "bad queue" queue: {NAME_RULE}\r\n'),
    ("info", "shapes", 19): _instead(
        DROPPED,
        _recorded(
            "info",
            "shapes",
            19,
            ('"Busy":{"reaped":<NUM>,"size":1', '"Busy":{"reaped":<NUM>,"size":0'),
        ),
    ),
    ("info", "shapes", 21): _instead(
        DROPPED,
        _recorded("info", "shapes", 21, ('"total_processed":1', '"total_processed":0')),
    ),
}
