"""Unique: jobs of which one at a time is wanted, until it has started or succeeded (section 9.1).

The lock is a row whose key is a hash. It says nothing of the arguments to those who read it; that
of an encrypted job is keyed besides, where the keys are.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from faktory_django import payload
from faktory_django.errors import InvalidOption

from . import periods

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .traits import Pushed

# What a job says in `custom`; the first two are the protocol's.
FOR: Final = "unique_for"
UNTIL: Final = "unique_until"
KEY: Final = "unique_key"
ON_DUPLICATE: Final = "on_duplicate"

MAX_KEY: Final = 255

SUCCESS: Final = "success"
START: Final = "start"
ENDS: Final = (SUCCESS, START)
# In the trait of a job whose lock ends at the start.
ENDS_AT: Final = "until"

REFUSE: Final = "refuse"
RAISE: Final = "raise"
EXISTING: Final = "existing"
REPLACE: Final = "replace"
DEBOUNCE: Final = "debounce"
WAYS: Final = (REFUSE, RAISE, EXISTING, REPLACE, DEBOUNCE)

# What the wire says to a push that is refused, and the code of that error.
CODE: Final = "NOTUNIQUE"
REFUSED: Final = "Job not unique"

# Quick, and a false alarm inside a string costs time only.
_MAY_HOLD_FLOAT: Final = re.compile(r"[0-9][.eE]", re.ASCII)


def traits(custom: Mapping[str, Any], pushed: Pushed) -> dict[str, Any]:
    """Return what the store needs to know of a unique job. Raises InvalidOption."""
    if custom.get(FOR) is None:
        return {}
    found: dict[str, Any] = {"key": _key(custom, pushed), "for": periods.seconds(FOR, custom[FOR])}
    if _one_of(UNTIL, custom.get(UNTIL), ENDS) == START:
        found[ENDS_AT] = START
    if (way := _one_of(ON_DUPLICATE, custom.get(ON_DUPLICATE), WAYS)) != REFUSE:
        found["or"] = way
    return {"unique": found}


def ends_at_start(traits: Mapping[str, Any]) -> bool:
    """Return whether the lock of a job ends when it starts."""
    return bool(traits.get("unique", {}).get(ENDS_AT) == START)


def digest(args: str) -> str:
    """Return a hash of a text of JSON, however it is spaced and its keys are ordered.

    1.0 is 1, for some languages write the one for the other.
    """
    try:
        return _hash(_canonical(args))
    except RecursionError:  # nested deeper than can be sorted
        return _hash(args.encode())


def _canonical(args: str) -> bytes:
    if _MAY_HOLD_FLOAT.search(args):
        found = json.loads(args, parse_float=_number)
    else:
        try:
            found = msgspec.json.decode(args)
        except msgspec.DecodeError:  # a lone surrogate
            found = json.loads(args)
    try:
        return msgspec.json.encode(found, order="sorted")
    except (ValueError, OverflowError):  # and an integer of more than 64 bits
        return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()


def _key(custom: Mapping[str, Any], pushed: Pushed) -> str:
    own = custom.get(KEY)
    if own is None:
        if payload.is_encrypted(custom):
            raise InvalidOption(f"a unique job whose args are encrypted needs custom.{KEY}")
        what = "args", digest(pushed.args)
    elif isinstance(own, str) and 1 <= len(own) <= MAX_KEY:
        what = "key", own
    else:
        raise InvalidOption(f"{KEY} must be a text of 1 to {MAX_KEY} characters, got {own!r:.100}")
    return _hash(json.dumps([pushed.jobtype, pushed.queue, *what]).encode())


def _hash(text: bytes) -> str:
    return blake2b(text, digest_size=16).hexdigest()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value is None:
        return known[0]
    if value not in known:
        raise InvalidOption(f"{name} must be one of {', '.join(known)}, got {value!r:.100}")
    return str(value)
