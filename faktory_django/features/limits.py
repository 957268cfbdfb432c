"""Limits per key: what a job's custom attributes ask for, and in which order it waits.

Rates come first, then concurrency limits by their keys: all jobs take slots in one order, so no two
wait for each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The key of `custom`, and of the traits.
MARK: Final = "limit"
MAX_LIMITS: Final = 8
MAX_KEY: Final = 200
MAX_CONCURRENCY: Final = 10_000
MAX_RATE: Final = 1_000_000
MAX_PER: Final = 31 * 86_400
KEYS: Final = ("key", "concurrency", "rate", "per")


class Typed(Protocol):
    """A job that is pushed."""

    @property
    def jobtype(self) -> str: ...


def traits(custom: Mapping[str, Any], pushed: Typed) -> dict[str, Any]:
    """Return the limits of a job in the order in which it waits for them; nothing for none.

    k is the key, n how many may be in work at a time, or, with per, begin in so many seconds.
    Raises InvalidOption.
    """
    said = custom.get(MARK)
    if said is None:
        return {}
    listed = said if isinstance(said, list) else [said]
    stages = [stage for one in listed for stage in _stages(one, pushed.jobtype)]
    if len(stages) > MAX_LIMITS:
        raise InvalidOption(f"a job has at most {MAX_LIMITS} limits, got {len(stages)}")
    keys = [stage["k"] for stage in stages]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise InvalidOption(f"custom.limit names {twice[0]!r} twice")
    stages.sort(key=lambda stage: ("per" not in stage, str(stage["k"])))
    return {MARK: stages} if stages else {}


def check_key(key: object) -> str:
    """Return a key. Raises InvalidOption unless it is 1 to 200 printable characters."""
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise InvalidOption(
            f"the key of a limit must be 1 to {MAX_KEY} printable characters, got {key!r:.300}"
        )
    return key


def check_concurrency(value: object) -> int:
    """Return how many may be in work at a time. Raises InvalidOption."""
    return _whole("concurrency", value, MAX_CONCURRENCY)


def check_rate(value: object) -> int:
    """Return how many may begin in a period. Raises InvalidOption."""
    return _whole("rate", value, MAX_RATE)


def check_per(value: object) -> float:
    """Return a period in seconds. Raises InvalidOption."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.01 <= value <= MAX_PER:  # type: ignore[operator]
        raise InvalidOption(
            f"the period of a rate (per) must be 0.01 to {MAX_PER} seconds, got {value!r:.100}"
        )
    return float(value)  # type: ignore[arg-type]


def rate_key(key: str, per: float) -> str:
    """Return the key of a rate: those of other periods have other keys."""
    return f"{key} per {per:g} s"


def _stages(said: Any, jobtype: str) -> Iterator[dict[str, str | int | float]]:
    if not isinstance(said, dict):
        raise InvalidOption(f"custom.limit must be an object or a list of them, got {said!r:.200}")
    unknown = sorted(str(key) for key in said if key not in KEYS)
    if unknown:
        raise InvalidOption(f"custom.limit has no {unknown[0]!r}; it knows {', '.join(KEYS)}")
    key = check_key(said.get("key", jobtype))
    if ("rate" in said) != ("per" in said):
        raise InvalidOption(f"custom.limit needs rate and per together, got {said!r:.200}")
    if "concurrency" not in said and "rate" not in said:
        raise InvalidOption(f"custom.limit needs concurrency, or rate and per, got {said!r:.200}")
    if "rate" in said:
        rate, per = check_rate(said["rate"]), check_per(said["per"])
        yield {"k": rate_key(key, per), "n": rate, "per": per}
    if "concurrency" in said:
        yield {"k": key, "n": check_concurrency(said["concurrency"])}


def _whole(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise InvalidOption(
            f"the {name} of a limit must be an int from 1 to {most}, got {value!r:.100}"
        )
    return value
