"""Keys: what an option of a job names among its arguments, for one push."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from faktory_django import redaction, registry
from faktory_django.errors import InvalidOption

from . import options as checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .requests import PushRequest

    Key = str | Sequence[str] | Callable[..., Any]


def value_of(
    option: str, key: Key, jobtype: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Return the value of the argument that is named, a list of values for a list of names.

    A callable is called with the arguments. Raises InvalidOption for a name that the job does not
    have, or when the function of the jobtype is not known here.
    """
    if callable(key):
        return key(*args, **kwargs)
    definition = registry.discovered(jobtype)
    if definition is None:
        raise InvalidOption(
            f"{option}={key!r} names arguments, and no job {jobtype!r} is known here"
        )
    bound = inspect.signature(definition.function).bind(*args, **kwargs)
    bound.apply_defaults()
    names = [key] if isinstance(key, str) else list(key)
    for name in names:
        if name not in bound.arguments:
            known = ", ".join(bound.arguments) or "none"
            raise InvalidOption(
                f"{option} names the argument {checks.shown(name)} of {jobtype}, which has {known}"
            )
    values = [bound.arguments[name] for name in names]
    return values[0] if isinstance(key, str) else values


def is_hidden(request: PushRequest, key: Key) -> bool:
    """Return whether the value of a key may not lie readable: it is encrypted, or pages hide it."""
    if request.encrypt:
        return True
    hiding = redaction.rules_of(request.jobtype)
    return hiding.everything or (isinstance(key, str) and hiding.word_for(key) is not None)
