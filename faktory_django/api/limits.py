"""Limit and Rate: how many jobs with one key may be in work, or begin in a period."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from faktory_django.errors import InvalidOption
from faktory_django.features import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many jobs with one key are in work at a time, wherever.

    key is the name of a parameter, a function of the job's arguments, or None for all jobs of the
    type; jobs of several types share a limit by its name, the jobtype by default. A function may
    return None: no limit.
    """

    concurrency: int
    key: str | Callable[..., Any] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Raise InvalidOption for what cannot be a limit."""
        limits.check_concurrency(self.concurrency)
        _check(self.key, self.name)

    def asked(self) -> dict[str, Any]:
        """Return it as it stands in custom, but for the key."""
        return {"concurrency": self.concurrency}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many jobs with one key begin in any period of per seconds (or a timedelta).

    They are counted when they enter their queue. key and name: as of Limit.
    """

    jobs: int
    per: float | timedelta
    key: str | Callable[..., Any] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        """Raise InvalidOption for what cannot be a limit."""
        limits.check_rate(self.jobs)
        limits.check_per(self._seconds())
        _check(self.key, self.name)

    def asked(self) -> dict[str, Any]:
        """Return it as it stands in custom, but for the key."""
        return {"rate": self.jobs, "per": self._seconds()}

    def _seconds(self) -> float:
        return self.per.total_seconds() if isinstance(self.per, timedelta) else self.per


def check_option(value: Any) -> None:
    """Raise InvalidOption unless it is a Limit, a Rate, or a list of them."""
    for one in listed(value):
        if not isinstance(one, Limit | Rate):
            raise InvalidOption(
                f"limit must be a Limit, a Rate or a list of them, got {value!r:.200}"
            )


def check_keys(jobtype: str, value: Any, signature: inspect.Signature) -> None:
    """Raise InvalidOption when a key names a parameter that the function does not have."""
    for one in listed(value):
        if isinstance(one.key, str) and one.key not in signature.parameters:
            raise InvalidOption(
                f"{jobtype}: the limit has key={one.key!r}, and there is no such parameter; "
                f"there are {', '.join(signature.parameters) or 'none'}"
            )


def listed(value: Any) -> Iterator[Any]:
    """Yield the limits of an option: it may be one, or a list of them."""
    yield from value if isinstance(value, list | tuple) else [value]


def _check(key: Any, name: Any) -> None:
    if not (key is None or callable(key) or (isinstance(key, str) and key.isidentifier())):
        raise InvalidOption(
            f"the key of a limit is the name of a parameter, a function or None, got {key!r:.200}"
        )
    if inspect.iscoroutinefunction(key):
        raise InvalidOption(f"the key of a limit must be a plain function, got {key!r:.200}")
    if name is not None:
        limits.check_key(name)
