"""Expiry: jobs that are of no use after some time; whoever fetches one throws it away (9.2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import InvalidOption

from . import periods

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .traits import Pushed

# What a job says in `custom`.
AT: Final = "expires_at"
IN: Final = "expires_in"

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)

# What features are told of it, and how it ended for those who track it.
EXPIRED: Final = "expired"


def traits(custom: Mapping[str, Any], pushed: Pushed) -> dict[str, Any]:
    """Return when a job expires: an instant in Unix seconds, or seconds from when it is due.

    The database turns the latter into the former, by its own clock. Raises InvalidOption.
    """
    del pushed
    found: dict[str, Any] = {}
    if (at := custom.get(AT)) is not None:
        found[AT] = _instant(at)
    if (seconds := custom.get(IN)) is not None:
        found[IN] = periods.seconds(IN, seconds)
    return found


def has_passed(traits: Mapping[str, Any], moment: float) -> bool:
    """Return whether a job has expired at a moment in Unix seconds of the database."""
    return bool(traits.get(AT, moment) < moment)


def _instant(value: object) -> float:
    try:
        when = datetime.fromisoformat(value)  # type: ignore[arg-type]
        if when.tzinfo is None or not _FIRST <= when <= _LAST:
            raise ValueError("it has no zone, or is not of the years 1970 to 9999")
    except (TypeError, ValueError, OverflowError):
        raise InvalidOption(
            f"{AT} must be a time as RFC 3339 with its zone, such as 2030-01-31T12:00:00Z, "
            f"got {value!r:.100}"
        ) from None
    return when.timestamp()
