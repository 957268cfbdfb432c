"""Fairness: the jobs of a queue that have a key take turns, key by key, however many one has.

A job's place is a virtual time. A round is the span in which each key that has jobs waiting gets
as many as its weight says; the next job of a key lies a stride behind its last one, and no job
lies before the round that is being served.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a push says in its `custom`, and the name of the two in a job's traits.
KEY: Final = "fairness_key"
WEIGHT: Final = "fairness_weight"
TRAIT: Final = "fair"
MAX_KEY: Final = 255
MIN_WEIGHT: Final = 0.01
MAX_WEIGHT: Final = 100

# Places have 63 bits: virtual time in 1024ths of a round, then bits of the job's id, so that jobs
# of one moment have places of their own. Where nothing waits, time is what the ids have come to,
# modulo 2**34; as many rounds again fit before a place is too large.
ROUND: Final = 1_024
TIE_BITS: Final = 18
START_BITS: Final = 34


def traits(custom: Mapping[str, Any], _pushed: object = None) -> dict[str, Any]:
    """Return what a job's custom attributes say of its turn; empty when they name no key.

    Raises InvalidOption, which names the value and the limit.
    """
    named, told = key(custom.get(KEY)), custom.get(WEIGHT)
    share = 1.0 if told is None else weight(told)
    if named is None:
        return {}
    return {TRAIT: {"key": named} if share == 1 else {"key": named, "weight": share}}


def key(value: object) -> str | None:
    """Return a key as it is kept, None for none: 7 and "7" are the same.

    Raises InvalidOption unless it is a str of 1 to 255 characters, an int or a UUID.
    """
    if value is None:
        return None
    known = isinstance(value, str | int | UUID) and not isinstance(value, bool)
    text = _text(value) if known else ""
    if not 1 <= len(text) <= MAX_KEY or not text.isprintable():
        raise InvalidOption(
            f"{KEY} must be a str of 1 to {MAX_KEY} printable characters, an int, a UUID or None, "
            f"got {_shown(value)}"
        )
    return text


def weight(value: object) -> float:
    """Return a weight: how many jobs of a key run for one of a key of weight 1.

    Raises InvalidOption unless it is a number from 0.01 to 100.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not MIN_WEIGHT <= value <= MAX_WEIGHT:  # type: ignore[operator]
        raise InvalidOption(
            f"{WEIGHT} must be a number from {MIN_WEIGHT} to {MAX_WEIGHT}, got {_shown(value)}"
        )
    return float(value)  # type: ignore[arg-type]


def stride(share: float) -> int:
    """Return how far apart the jobs of a key of this weight lie, in 1024ths of a round."""
    return max(1, math.floor(ROUND / share + 0.5))


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an int of more digits than Python writes
        return ""


def _shown(value: object) -> str:
    try:
        return f"{value!r:.100}"
    except ValueError:
        return f"a {type(value).__name__} that cannot be shown"
