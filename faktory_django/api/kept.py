"""Kept: what options of a job say about what is kept when it has ended, as its custom says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faktory_django.features import history

if TYPE_CHECKING:
    from .requests import PushRequest

OPTIONS: Final = frozenset({"history", "keep_result"})


def note(request: PushRequest) -> dict[str, Any]:
    """Return the entries of custom of a push. Raises InvalidOption for what cannot be both."""
    return history.said(request.options)
