"""Periods: how long something lasts, as custom attributes say it in seconds."""

from __future__ import annotations

from typing import Final

from faktory_django.errors import InvalidOption

# Ten years: what is meant to be for ever belongs into a table of the application.
MAX_SECONDS: Final = 3_650 * 86_400


def seconds(name: str, value: object) -> float:
    """Return a number of seconds, more than 0 and at most MAX_SECONDS.

    Raises InvalidOption, which names the attribute, for anything else.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= MAX_SECONDS:  # type: ignore[operator]
        raise InvalidOption(
            f"{name} must be more than 0 and at most {MAX_SECONDS} seconds, got {value!r:.100}"
        )
    return value  # type: ignore[return-value]
