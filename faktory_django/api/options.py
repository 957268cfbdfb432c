"""Options of @job, .set() and perform_*: checked where they are written, with the limit named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Final

from django.db import connections
from django.utils import timezone

from faktory_django import payload, settings
from faktory_django.errors import (
    InvalidArguments,
    InvalidOption,
    InvalidQueueName,
    InvalidTime,
)
from faktory_django.features import expiry, fairness, history, periods, unique

from . import limits
from .joining import Membership

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_PRIORITY: Final = 100
MAX_RETRY: Final = 1_000
MAX_RESERVE_FOR: Final = 86_400
MAX_JOBTYPE: Final = 255
# What a message shows of a value at most.
MAX_SHOWN: Final = 300


def shown(value: object) -> str:
    """Return a value as a message shows it: cut, and named where its repr() raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the application's __repr__, or an int beyond 4300 digits
        text = f"<a {type(value).__name__} that cannot be shown>"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def check_fit(
    jobtype: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise InvalidArguments when arguments do not fit the function of a job."""
    try:
        signature(function).bind(*args, **kwargs)
    except TypeError as wrong:
        raise InvalidArguments(f"the arguments do not fit {jobtype}: {wrong}") from wrong


def _whole(name: str, low: int, high: int) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise InvalidOption(f"{name} must be an int from {low} to {high}, got {shown(value)}")

    return check


def _queue(value: Any) -> None:
    if wrong := settings.check_queue_name(value):
        raise InvalidQueueName(wrong)


def _timeout(value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= 86_400:
        raise InvalidOption(
            f"timeout_seconds must be more than 0 and at most 86400, got {shown(value)}"
        )


def _flag(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, bool):
            raise InvalidOption(f"{name} must be True or False, got {shown(value)}")

    return check


def _history(value: Any) -> None:
    history.days(value)


def _callable(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not callable(value):
            raise InvalidOption(f"{name} must be callable, got {shown(value)}")

    return check


def _backoff(value: Any) -> None:
    _callable("backoff")(value)
    if iscoroutinefunction(value):
        raise InvalidOption(f"backoff must be a plain function, got {shown(value)}")


def _errors(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        listed = isinstance(value, (list, tuple))
        if not listed or not all(_is_error(kind) for kind in value):
            raise InvalidOption(f"{name} must hold exception classes, got {shown(value)}")

    return check


def _is_error(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _custom(value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidOption(f"custom must be a dict with str keys, got {shown(value)}")
    if payload.MARK in value:
        raise InvalidOption(f"custom must not hold {payload.MARK!r}, which is ours")
    if "priority" in value:
        raise InvalidOption(
            f"custom must not hold 'priority' ({shown(value['priority'])}), which the option "
            "priority sets"
        )
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as wrong:
        raise InvalidOption(f"custom must be JSON: {wrong}") from None


def _name(value: Any, *, what: str = "name") -> None:
    right = isinstance(value, str) and value.isprintable()
    if not right or not 1 <= len(value) <= MAX_JOBTYPE:
        raise InvalidOption(
            f"{what} must be a str of 1 to {MAX_JOBTYPE} printable characters, got {shown(value)}"
        )


def _names(value: Any) -> None:
    if not isinstance(value, (list, tuple)):
        raise InvalidOption(f"aliases must be a list of names, got {shown(value)}")
    for name in value:
        _name(name, what="each of aliases")


def _words(value: Any) -> None:
    listed = isinstance(value, (list, tuple))
    if not listed or any(settings.check_redact_word(word) for word in value):
        raise InvalidOption(
            "redact must be a list of words with a letter or digit, or '*' for all arguments, "
            f"got {shown(value)}"
        )


def _period(name: str, most: int) -> Callable[[Any], None]:
    """Return a check of seconds, or a timedelta; None takes the option away."""

    def check(value: Any) -> None:
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if value is not None and (not number or not 0 < seconds <= most):
            raise InvalidOption(
                f"{name} must be more than 0 and at most {most} seconds, or a timedelta, "
                f"got {shown(value)}"
            )

    return check


def _one_of(name: str, known: Sequence[str]) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if value is not None and value not in known:
            raise InvalidOption(f"{name} must be one of {', '.join(known)}, got {shown(value)}")

    return check


def _key(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        names = [value] if isinstance(value, str) else value
        listed = isinstance(names, (list, tuple)) and bool(names)
        right = listed and all(isinstance(one, str) for one in names)
        if value is not None and not callable(value) and not right:
            raise InvalidOption(
                f"{name} must name arguments, or be a callable that takes them, got {shown(value)}"
            )

    return check


def _moment(value: Any) -> None:
    if value is not None:
        instant(value)


def _fairness_key(value: Any) -> None:
    named = isinstance(value, str) and value.isidentifier()
    if value is not None and not named and not callable(value):
        raise InvalidOption(
            f"fairness_key must be the name of an argument, a callable or None, got {shown(value)}"
        )


def _fairness_weight(value: Any) -> None:
    if value is not None and not callable(value):
        fairness.weight(value)


def _batch(value: Any) -> None:
    if value is not None and not isinstance(getattr(value, "membership", None), Membership):
        raise InvalidOption(f"batch must be a Batch or None, got {shown(value)}")


def _using(value: Any) -> None:
    if not isinstance(value, str) or value not in connections:
        known = ", ".join(connections)
        raise InvalidOption(f"using must be an alias in DATABASES ({known}), got {shown(value)}")


# What .set() takes; @job takes these and the next.
PUSH_OPTIONS: Final[Mapping[str, Callable[[Any], None]]] = {
    "queue": _queue,
    "priority": _whole("priority", -MAX_PRIORITY, MAX_PRIORITY),
    "retry": _whole("retry", -1, MAX_RETRY),
    "reserve_for": _whole("reserve_for", 60, MAX_RESERVE_FOR),
    "backtrace": _whole("backtrace", 0, 50),
    "custom": _custom,
    "history": _history,
    "keep_result": _flag("keep_result"),
    "using": _using,
    unique.FOR: _period(unique.FOR, periods.MAX_SECONDS),
    unique.UNTIL: _one_of(unique.UNTIL, unique.ENDS),
    unique.KEY: _key(unique.KEY),
    unique.ON_DUPLICATE: _one_of(unique.ON_DUPLICATE, unique.WAYS),
    expiry.IN: _period(expiry.IN, periods.MAX_SECONDS),
    expiry.AT: _moment,
    "fairness_key": _fairness_key,
    "fairness_weight": _fairness_weight,
    "limit": limits.check_option,
    "batch": _batch,
}
JOB_OPTIONS: Final[Mapping[str, Callable[[Any], None]]] = {
    **PUSH_OPTIONS,
    "name": _name,
    "aliases": _names,
    "timeout_seconds": _timeout,
    "atomic": _flag("atomic"),
    "backoff": _backoff,
    "retry_on": _errors("retry_on"),
    "discard_on": _errors("discard_on"),
    "on_dead": _callable("on_dead"),
    "redact": _words,
    "encrypt": _flag("encrypt"),
}


def check_options(given: Mapping[str, Any], known: Mapping[str, Callable[[Any], None]]) -> None:
    """Raise InvalidOption, or InvalidQueueName, for an option that is unknown or wrong."""
    for name, value in given.items():
        if name not in known:
            raise InvalidOption(f"unknown option {name!r}; there are {', '.join(known)}")
        known[name](value)


def seconds_of(period: float | timedelta) -> float:
    """Return an option that was checked, in seconds."""
    return period.total_seconds() if isinstance(period, timedelta) else period


def delay_seconds(delay: float | timedelta) -> float:
    """Return a delay in seconds. Raises InvalidTime when it is negative or too far ahead."""
    if isinstance(delay, timedelta):
        delay = delay.total_seconds()
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        raise InvalidTime(f"a delay must be seconds or a timedelta, got {shown(delay)}")
    limit = settings.get().max_delay_days
    if not 0 <= delay <= limit * 86_400:  # neither is NaN
        raise InvalidTime(
            f"a delay must be 0 to {limit} days (MAX_DELAY_DAYS), got {shown(delay)} s"
        )
    return float(delay)


def instant(when: datetime) -> datetime:
    """Return an aware datetime. Raises InvalidTime when it is naive or too far ahead."""
    if not isinstance(when, datetime):
        raise InvalidTime(f"a time must be a datetime, got {shown(when)}")
    if timezone.is_naive(when):
        raise InvalidTime(f"a time must be aware, {shown(when)} has no time zone")
    try:
        when.astimezone(UTC)
    except OverflowError:
        raise InvalidTime(
            f"a time must be of the years 1 to 9999 in UTC, got {shown(when)}"
        ) from None
    limit = settings.get().max_delay_days
    if when - timezone.now() > timedelta(days=limit):
        raise InvalidTime(f"a time must be within {limit} days (MAX_DELAY_DAYS), got {shown(when)}")
    return when
