"""Schedule: when a cron entry ticks: an expression and a zone in, instants in UTC out.

cronsim reads expressions and knows Debian's rules for the days on which clocks change: an entry
with a fixed time ticks once that day, at the first instant after the hour that is skipped and in
the first of two that are alike; one with * in its minutes or hours follows the time that passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MAX_EXPRESSION: Final = 200
MAX_ZONE: Final = 64
SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """An expression that was read, in a zone that exists."""

    expression: str
    zone: tzinfo

    def ticks(self, after: datetime) -> Iterator[datetime]:
        """Yield the instants after an aware one, in UTC and in order, each once."""
        last = after
        for local in CronSim(self.expression, after.astimezone(self.zone)):
            tick = local.astimezone(UTC)
            # In an hour that comes twice, and after one that is skipped, it may look back.
            if tick > last:
                last = tick
                yield tick

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first tick after an instant; None when there is none in 50 years."""
        return next(self.ticks(after), None)

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last tick after one instant and not after another, in some 30 steps."""
        low, high = after, until
        if not self._ticks_between(low, until):
            return None
        while high - low > SECOND:
            middle = low + (high - low) / 2
            if self._ticks_between(middle, until):
                low = middle
            else:
                high = middle
        return self.next_after(low)

    def _ticks_between(self, after: datetime, until: datetime) -> bool:
        found = self.next_after(after)
        return found is not None and found <= until


@lru_cache(maxsize=1_000)
def read(expression: str, zone: str) -> Schedule:
    """Read five fields, six with seconds in front, or a name such as @daily.

    Raises InvalidOption, which names what is wrong.
    """
    schedule = Schedule(_fields(expression), _zone(zone))
    try:
        found = schedule.next_after(datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as wrong:
        said = str(wrong)
        raise InvalidOption(
            f"a schedule is five fields, six with seconds, or one of {', '.join(NAMES)}; "
            f"got {expression!r}: {said[:1].lower()}{said[1:]}"
        ) from None
    if found is None:
        raise InvalidOption(f"a schedule must come to pass in 50 years, got {expression!r}")
    return schedule


def _fields(expression: Any) -> str:
    if not isinstance(expression, str) or len(expression) > MAX_EXPRESSION:
        raise InvalidOption(
            f"a schedule must be a str of at most {MAX_EXPRESSION} characters, "
            f"got {str(expression)[:MAX_EXPRESSION]!r}"
        )
    return str(NAMES.get(expression.strip().lower(), expression))


@lru_cache(maxsize=1_000)
def _zone(name: Any) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        if isinstance(name, str) and 0 < len(name) <= MAX_ZONE:
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    shown = str(name)[:MAX_ZONE]
    raise InvalidOption(f"a zone must be one of IANA's, such as Europe/Berlin, got {shown!r}")
