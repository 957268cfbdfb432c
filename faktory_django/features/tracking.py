"""Tracking: how far a job is, as its worker says; and what its state is called, here and there."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

# A push asks for tracking by this key of its `custom` (protocol section 9.4).
MARK: Final = "track"
MAX_TEXT: Final = 1_000
# No reservation ends later than so far from now, however it was asked for.
MAX_AHEAD_SECONDS: Final = 86_400

# How a job ended that left nothing behind but a row of tracking; none is success.
FAILED: Final = "failed"
DISCARDED: Final = "discarded"
EXPIRED: Final = "expired"
CANCELLED: Final = "cancelled"

# Our words for where a job is, and those of the protocol.
WIRE_STATES: Final = {
    "waiting": "enqueued",
    "scheduled": "enqueued",
    "working": "working",
    "retries": "failed",
    "dead": "dead",
    "done": "success",
    "failed": "failed",
    "expired": "unknown",
    "cancelled": "failed",  # the protocol has no word for it: it will not succeed
    "unknown": "unknown",
}


def is_asked_for(custom: Mapping[str, Any] | None) -> bool:
    """Return whether a job's custom attributes ask for tracking."""
    return bool(custom and custom.get(MARK))


def state(place: str | None, *, tracked: bool, end: str) -> str:
    """Return what became of a job: where it is, or how it ended when it is nowhere.

    A job that is gone has succeeded when it was tracked and nothing else was noted.
    """
    if place is not None:
        return place
    if not tracked or end == DISCARDED:
        return "unknown"
    return end or "done"


def percent(value: object) -> int:
    """Return a percentage as it is kept, rounded down: 99.9 is not done.

    Raises InvalidOption unless it is a number from 0 to 100.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise InvalidOption(f"percent must be a number from 0 to 100, got {value!r:.100}")
    return math.floor(value)


def text(value: object) -> str:
    """Return what is said of the progress as it is kept: 1,000 characters of it, without NUL.

    Raises InvalidOption unless it is a str.
    """
    if not isinstance(value, str):
        raise InvalidOption(f"the text of a progress must be str, got {value!r:.100}")
    return storable(value)


def storable(value: str) -> str:
    """Return 1,000 characters of a text that the database can hold."""
    cut = value[:MAX_TEXT].replace("\0", "\ufffd")
    return cut.encode("utf-8", "replace").decode() if not cut.isascii() else cut


def extension_seconds(by: object) -> float:
    """Return the seconds that a job asks for, from now on.

    Raises InvalidOption unless it is a number of seconds or a timedelta, more than 0 and at most
    one day.
    """
    seconds = by.total_seconds() if isinstance(by, timedelta) else by
    right = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not right or not 0 < seconds <= MAX_AHEAD_SECONDS:  # type: ignore[operator]
        raise InvalidOption(
            f"a reservation is extended by more than 0 and at most {MAX_AHEAD_SECONDS} seconds, "
            f"got {by!r:.100}"
        )
    return float(seconds)  # type: ignore[arg-type]
