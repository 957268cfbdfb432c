"""Unique jobs as @job and .set() ask for them: what is noted of a push in its custom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faktory_django import arguments, settings
from faktory_django.errors import InvalidOption
from faktory_django.features import unique

from .keys import value_of
from .options import seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .requests import PushRequest

# The options beside unique_for, which say nothing without it.
WITH: Final = (unique.UNTIL, unique.KEY, unique.ON_DUPLICATE)
OPTIONS: Final = (unique.FOR, *WITH)


def may_be_asked_for(options: Mapping[str, Any]) -> bool:
    """Return whether pushes with these options may be unique; a middleware may say so later."""
    custom = options.get("custom") or {}
    return options.get(unique.FOR) is not None or custom.get(unique.FOR) is not None


def noted(request: PushRequest) -> dict[str, Any]:
    """Return what the custom of a push says of its being unique.

    Raises InvalidOption, and InvalidArguments for a key that is not JSON.
    """
    options, custom = request.options, request.custom
    given = options.get(unique.FOR)
    if given is None and custom.get(unique.FOR) is None:
        if unique.FOR not in options and (lone := [n for n in WITH if options.get(n) is not None]):
            raise InvalidOption(f"{lone[0]} of {request.jobtype} needs {unique.FOR}")
        return {}
    found: dict[str, Any] = {} if given is None else {unique.FOR: seconds_of(given)}
    for name in (unique.UNTIL, unique.ON_DUPLICATE):
        if (word := options.get(name)) is not None:
            found[name] = word
    if (key := options.get(unique.KEY)) is not None:
        value = value_of(unique.KEY, key, request.jobtype, request.args, request.kwargs)
        text, _ = arguments.encode([value], {}, max_depth=settings.get().max_argument_depth)
        found[unique.KEY] = unique.digest(text)
    return found
