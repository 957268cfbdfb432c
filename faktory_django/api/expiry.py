"""Expiring jobs as @job and .set() ask for them: what is noted of a push in its custom."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from faktory_django.features import expiry

from .options import seconds_of

if TYPE_CHECKING:
    from .requests import PushRequest

OPTIONS: Final = (expiry.IN, expiry.AT)


def noted(request: PushRequest) -> dict[str, Any]:
    """Return what the custom of a push says of when it expires."""
    found: dict[str, Any] = {}
    if (seconds := request.options.get(expiry.IN)) is not None:
        found[expiry.IN] = seconds_of(seconds)
    if (at := request.options.get(expiry.AT)) is not None:
        found[expiry.AT] = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return found
