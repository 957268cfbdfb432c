"""Throttles of queues: what may be said of one, in settings, in Faktory's files and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PERMITS: Final = 100_000
MAX_TIMEOUT: Final = 604_800
KEYS: Final = ("concurrency", "worker", "timeout")


class Limits(NamedTuple):
    """How many jobs of a queue may be in work: in all, in each process; None for any."""

    concurrency: int | None = None
    per_worker: int | None = None
    timeout_seconds: float | None = None


def check(name: str, said: object) -> Limits:
    """Return what a throttle says. Raises InvalidOption, which shows name and the value."""
    if not isinstance(said, dict):
        raise InvalidOption(f"{name} must be a dict of {', '.join(KEYS)}, got {said!r:.200}")
    unknown = sorted(str(key) for key in said if key not in KEYS)
    if unknown:
        raise InvalidOption(f"{name} has no key {unknown[0]!r}; it knows {', '.join(KEYS)}")
    concurrency, worker = (_permits(name, key, said) for key in ("concurrency", "worker"))
    if concurrency is None and worker is None:
        raise InvalidOption(f"{name} needs concurrency or worker, got {said!r:.200}")
    timeout = said.get("timeout")
    if timeout is not None:
        number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if not number or not 0 < timeout <= MAX_TIMEOUT:
            raise InvalidOption(
                f"{name}: timeout must be more than 0 and at most {MAX_TIMEOUT} seconds, "
                f"got {timeout!r:.100}"
            )
        timeout = float(timeout)
    return Limits(concurrency, worker, timeout)


def _permits(name: str, key: str, said: Mapping[str, Any]) -> int | None:
    value = said.get(key)
    if value is not None and (type(value) is not int or not 1 <= value <= MAX_PERMITS):
        raise InvalidOption(
            f"{name}: {key} must be an int from 1 to {MAX_PERMITS}, got {value!r:.100}"
        )
    return value
