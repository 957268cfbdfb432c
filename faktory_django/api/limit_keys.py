"""Keys of limits: what the limits of a job are called for one push, as they stand in its custom."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from faktory_django import encryption, redaction
from faktory_django.features import limits
from faktory_django.features.limits import MARK

from .keys import value_of
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
    if callable(one.key):
        if value is None:
            return None
        return limits.check_key(f"{name} {_shown(value, request)}")
    return limits.check_key(f"{name} {one.key}={_shown(value, request, one.key)}")


def _shown(value: Any, request: PushRequest, parameter: str = "") -> str:
    text = str(value)
    if request.encrypt:
        return encryption.hidden(text)
    rules = redaction.rules_of(request.jobtype)
    if rules.everything or (parameter and rules.word_for(parameter) is not None):
        return _hash(text)
    if len(text) > MAX_VALUE or not text.isprintable() or not text:
        return _hash(text)
    return text


def _hash(text: str) -> str:
    return f"#{blake2b(text.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"
