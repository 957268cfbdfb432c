"""Keys of limits: what the limits of a job are called for one push, as they stand in its custom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faktory_django import keyed
from faktory_django.features import limits
from faktory_django.features.limits import MARK

from .keys import is_hidden, value_of
from .limits import listed

if TYPE_CHECKING:
    from .limits import Limit, Rate
    from .requests import PushRequest

# A value that is longer stands in the key as its hash.
MAX_VALUE: Final = 80


def noted(request: PushRequest) -> dict[str, Any]:
    """Return the limits of a push as they stand in its custom attributes.

    Of encrypted arguments, and of those that pages hide, no value stands in a key, but a hash of
    it. Raises InvalidOption when a key cannot be told.
    """
    found = [
        {"key": key, **one.asked()}
        for one in listed(request.options.get(MARK) or ())
        if (key := _key(one, request)) is not None
    ]
    return {MARK: found} if found else {}


def _key(one: Limit | Rate, request: PushRequest) -> str | None:
    name = one.name or request.jobtype
    if one.key is None:
        return limits.check_key(name)
    value = value_of("the key of a limit", one.key, request.jobtype, request.args, request.kwargs)
    if callable(one.key) and value is None:
        return None
    shown = _shown(value, hidden=is_hidden(request, one.key))
    return limits.check_key(f"{name} {shown}" if callable(one.key) else f"{name} {one.key}={shown}")


def _shown(value: Any, *, hidden: bool) -> str:
    text = str(value)
    if hidden or not text or len(text) > MAX_VALUE or not text.isprintable():
        return f"#{keyed.hexdigest('limit', text)}"
    return text
