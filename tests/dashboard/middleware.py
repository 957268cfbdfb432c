"""Middleware of a project, around its pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def stop(handler: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Let no push through."""
    del handler
    return lambda _push: None
