"""Wait for a condition with a deadline; a test never sleeps for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, seconds: float = 15.0) -> T:
    """Return the first true value of condition; fail after seconds, naming what was awaited."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last answer was {found!r}")
        time.sleep(0.01)
    return found
