"""Traits: what features have to know of a job, read from its `custom` when it is pushed.

Whatever the door, a job says in `custom` which features it uses (protocol section 9). What the
store needs of that stands beside the job, as one small object; a plain job has none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import batches, expiry, fairness, history, limits, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


class Pushed(NamedTuple):
    """A job as features see it when it is pushed; args is the text of a JSON array.

    at is aware. Of a job that is due at once at and delay_seconds are None. history is what the
    settings say of all jobs.
    """

    jobtype: str
    queue: str
    args: str
    at: datetime | None = None
    delay_seconds: float | None = None
    history: history.Defaults = history.NOTHING


# Each takes what `custom` says, and returns its entries of the traits. It raises InvalidOption for
# a value that cannot be. A feature adds its own line here, and its keys below.
_RULES: Final[tuple[Callable[[Mapping[str, Any], Pushed], dict[str, Any]], ...]] = (
    unique.traits,
    expiry.traits,
    lambda custom, pushed: history.traits(custom, queue=pushed.queue, defaults=pushed.history),
    fairness.traits,
    limits.traits,
    batches.traits,
)
# The keys of `custom` that lead to traits.
KEYS: Final[frozenset[str]] = frozenset(
    {
        unique.FOR,
        expiry.AT,
        expiry.IN,
        history.DAYS,
        history.RESULT,
        fairness.KEY,
        fairness.WEIGHT,
        limits.MARK,
        *batches.KEYS,
    }
)
_MARKS: Final = tuple(f'"{key}"'.encode() for key in sorted(KEYS))


def are_asked_for(custom: Mapping[str, Any] | None) -> bool:
    """Return whether a job may have traits."""
    return bool(custom) and not KEYS.isdisjoint(custom)  # type: ignore[arg-type]


def may_be_in(custom: bytes) -> bool:
    """Return whether a text of `custom` may lead to traits; fast, for every job comes by."""
    return any(mark in custom for mark in _MARKS)


def traits_of(custom: Mapping[str, Any] | None, pushed: Pushed) -> str | None:
    """Return the traits of a job as JSON; None for a plain job.

    Raises InvalidOption, which names the value and what is possible.
    """
    if not are_asked_for(custom) and not pushed.history.applies(pushed.queue):
        return None
    found: dict[str, Any] = {}
    for rule in _RULES:
        found |= rule(custom or {}, pushed)
    return json.dumps(found, separators=(",", ":")) if found else None
