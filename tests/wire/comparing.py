"""Is a reply the one that was recorded? Masks are patterns, JSON is compared as JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from .recording import expanded

if TYPE_CHECKING:
    from .talking import Reply

# The recorded server drops zeros at the end of a fraction, Python writes six digits: the same time.
TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"
PATTERNS: Final = {
    "<TIME>": re.compile(TIME),
    "<TIME> UTC": re.compile(r"\d\d:\d\d:\d\d UTC"),
    # Clients ask for major version 1 and at least minor version 8.
    "<VERSION>": re.compile(r"1\.([89]|\d\d+)\.\d+"),
}
# What a parser says is its own business, up to here it is the protocol's.
PARSER: Final = re.compile(
    r"""(?:-ERR )?(?:invalid JSON: |invalid timestamp for 'at': "(?:[^"\\]|\\.)*": )"""
)


class Decimal(str):
    """A number with a fraction or an exponent, as it is written."""

    __slots__ = ()


def difference(expected: str, reply: Reply) -> str:
    """Return what is wrong with a reply; empty when it is the recorded one."""
    if expected.startswith("+HI"):
        same = reply.raw == expected.encode()
    elif masked(expected):
        same = reply.shape == "bulk" and not _unlike(_read(_content(expected)), _read(reply.text))
    elif said := PARSER.match(expected):
        same = reply.text.startswith(said[0].removeprefix("-")) and reply.shape == "error"
    else:
        same = reply.raw == expected.encode()
    return "" if same else f"expected {_short(expected)}, got {_short(reply.raw.decode())}"


def masked(expected: str) -> bool:
    """Tell whether a reply holds masks, or what a parser says inside JSON."""
    return expected.startswith("$<LEN>") or (
        expected.startswith("$") and "parsing time" in expected
    )


def _unlike(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict):
        if expected == {"...": "..."}:
            return not isinstance(found, dict)
        if not isinstance(found, dict) or expected.keys() != found.keys():
            return True
        return any(_unlike(value, found[key]) for key, value in expected.items())
    if isinstance(expected, list):
        if not isinstance(found, list) or len(expected) != len(found):
            return True
        return any(map(_unlike, expected, found))
    if isinstance(expected, str) and not isinstance(expected, Decimal):
        return _unlike_text(expected, found)
    return type(expected) is not type(found) or expected != found


def _unlike_text(expected: str, found: Any) -> bool:
    if expected == "<NUM>":
        return not isinstance(found, int | Decimal) or str(found).startswith("-")
    if type(found) is not str:
        return True
    if pattern := PATTERNS.get(expected):
        return not pattern.fullmatch(found)
    if said := PARSER.match(expected):
        return not found.startswith(said[0])
    return expanded(expected) != found


def _content(expected: str) -> str:
    text = expected.partition("\r\n")[2].removesuffix("\r\n")
    return text.replace(":<NUM>", ':"<NUM>"').replace("{...}", '{"...":"..."}')


def _read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _short(text: str) -> str:
    return repr(text if len(text) <= 900 else f"{text[:450]} ... {text[-450:]}")
