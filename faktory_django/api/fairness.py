"""Fairness: what the options fairness_key and fairness_weight say of one push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faktory_django import keyed
from faktory_django.errors import InvalidOption
from faktory_django.features import fairness as rules

from . import keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from inspect import Signature

    from .requests import PushRequest

OPTIONS: Final = frozenset({rules.KEY, rules.WEIGHT})


def note(request: PushRequest) -> dict[str, Any]:
    """Return the key and the weight of a job, as its custom says them; empty without a key.

    Raises InvalidOption for a value that cannot be one.
    """
    told = request.options.get(rules.KEY)
    if told is None:
        return {}
    args, kwargs = request.args, request.kwargs
    key = rules.key(keys.value_of(rules.KEY, told, request.jobtype, args, kwargs))
    if key is None:
        return {}
    if keys.is_hidden(request, told):
        key = keyed.digest("fairness", key)
    share = request.options.get(rules.WEIGHT)
    if callable(share):
        share = share(*args, **kwargs)
    return {rules.KEY: key} if share is None else {rules.KEY: key, rules.WEIGHT: share}


def check_signature(jobtype: str, function: Signature, options: Mapping[str, Any]) -> None:
    """Raise InvalidOption when fairness_key names an argument that a function does not have."""
    told, parameters = options.get(rules.KEY), function.parameters
    if isinstance(told, str) and told not in parameters:
        raise InvalidOption(
            f"{rules.KEY}={told!r} names no argument of {jobtype}; "
            f"it has {', '.join(parameters) or 'none'}"
        )
