"""Noted: what the options of features become in the `custom` of a job, where all doors read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faktory_django.features import limits

from . import expiry, fairness, kept, limit_keys, unique

if TYPE_CHECKING:
    from collections.abc import Callable

    from .requests import PushRequest

# Each returns its entries for one push. A feature adds its own line here, and its options below.
_NOTES: Final[tuple[Callable[[PushRequest], dict[str, Any]], ...]] = (
    unique.noted,
    expiry.noted,
    kept.note,
    fairness.note,
    limit_keys.noted,
)
OPTIONS: Final[frozenset[str]] = frozenset(
    {*unique.OPTIONS, *expiry.OPTIONS, *kept.OPTIONS, *fairness.OPTIONS, limits.MARK}
)


def are_asked_for(request: PushRequest) -> bool:
    """Return whether options of a push may become entries of its custom."""
    return not OPTIONS.isdisjoint(request.options)


def noted(request: PushRequest) -> dict[str, Any]:
    """Return the entries. Raises InvalidOption for what cannot be said of these arguments."""
    found: dict[str, Any] = {}
    for note in _NOTES:
        found |= note(request)
    return found
