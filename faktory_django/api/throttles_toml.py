"""Faktory's own throttles.toml (protocol section 9.6), read into throttles."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from faktory_django.errors import InvalidOption
from faktory_django.settings import check_queue_name
from faktory_django.throttling import check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faktory_django.throttling import Limits


def throttles_of(texts: Iterable[str]) -> dict[str, Limits]:
    """Return the throttles of some files, joined, by queue; the last one that names it counts.

    Raises InvalidOption, which says which throttle is wrong.
    """
    found: dict[str, Limits] = {}
    for text in texts:
        try:
            table = tomllib.loads(text).get("throttles", {})
        except tomllib.TOMLDecodeError as wrong:
            raise InvalidOption(f"not TOML: {wrong}") from wrong
        if not isinstance(table, dict):
            raise InvalidOption("throttles are written as a [throttles] table")
        for queue, said in table.items():
            if wrong_name := check_queue_name(queue):
                raise InvalidOption(f"[throttles]: {wrong_name}")
            found[queue] = check(f"[throttles] {queue!r}", said)
    return found
