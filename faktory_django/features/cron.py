"""Cron: which ticks of an entry are pushed when it is looked at, and when to look again.

A tick that is due is pushed at once, and late only when nobody looked: all workers and servers
were down, or the database was. Then the entry's policy decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from faktory_django.schedule import Schedule

# What an entry does about ticks that were missed.
SKIP: Final = "skip"
LAST: Final = "last"
ALL: Final = "all"
POLICIES: Final = (SKIP, LAST, ALL)
# A tick is not missed while it is no later than this.
ON_TIME: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Plan:
    """The ticks to push, in order, and the tick to wait for; None when there will be none."""

    push: tuple[datetime, ...]
    next_at: datetime | None


def plan(
    schedule: Schedule,
    *,
    next_at: datetime,
    now: datetime,
    missed: str,
    within: timedelta | None = None,
    limit: int,
) -> Plan:
    """Return what to do about an entry whose next tick was expected at next_at.

    skip pushes the latest tick if it is on time, last pushes it however late, all pushes each;
    none of them what is older than within. At most limit at a time: the rest is due at once.
    """
    if next_at > now:
        return Plan((), next_at)
    oldest = _oldest(next_at, now, missed, within)
    if missed == ALL:
        due = tuple(islice(_due(schedule, next_at, oldest, now), limit))
        after = due[-1] if len(due) == limit else now
        return Plan(due, schedule.next_after(after))
    latest = schedule.latest(next_at, now) or next_at
    return Plan((latest,) if latest >= oldest else (), schedule.next_after(now))


def _oldest(next_at: datetime, now: datetime, missed: str, within: timedelta | None) -> datetime:
    if missed == SKIP:
        return now - ON_TIME
    return next_at if within is None else max(next_at, now - max(within, ON_TIME))


def _due(
    schedule: Schedule, next_at: datetime, oldest: datetime, now: datetime
) -> Iterator[datetime]:
    # The one that was waited for counts, even if the rules of its zone have changed since.
    if next_at >= oldest:
        yield next_at
    after = max(next_at, oldest - timedelta(microseconds=1))
    yield from takewhile(lambda tick: tick <= now, schedule.ticks(after))
