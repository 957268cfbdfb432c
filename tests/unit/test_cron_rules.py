"""What is pushed of an entry that is looked at late, by its policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from faktory_django.features.cron import Plan, plan
from faktory_django.schedule import read

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERY_MINUTE, HOURLY, WEEKLY = "* * * * *", "@hourly", "0 12 * * 0"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ago(*minutes: float) -> tuple[datetime, ...]:
    """Return instants before noon."""
    return tuple(NOON - MINUTE * n for n in minutes)


@pytest.mark.parametrize("missed", ["skip", "last", "all"])
def test_a_tick_is_pushed_when_its_time_has_come_and_not_before(missed: str) -> None:
    schedule = read(EVERY_MINUTE, "UTC")

    early = plan(schedule, next_at=NOON + MINUTE, now=NOW, missed=missed, within=DAY, limit=9)
    due = plan(schedule, next_at=NOON, now=NOON, missed=missed, within=DAY, limit=9)

    assert early == Plan((), NOON + MINUTE)
    assert due == Plan((NOON,), NOON + MINUTE)


@pytest.mark.parametrize(
    ("missed", "within", "expression", "next_at", "pushed"),
    [
        # looked at again after three minutes
        ("skip", None, EVERY_MINUTE, ago(3), ago(0)),
        ("last", None, EVERY_MINUTE, ago(3), ago(0)),
        ("all", HOUR, EVERY_MINUTE, ago(3), ago(3, 2, 1, 0)),
        # only the latest within a window; one that is shorter than a minute is a minute
        ("all", MINUTE, EVERY_MINUTE, ago(3), ago(0)),
        ("all", 2 * MINUTE, EVERY_MINUTE, ago(3), ago(1, 0)),
        ("all", timedelta(seconds=1), EVERY_MINUTE, ago(3), ago(0)),
        # a day of 1,440
        ("last", None, EVERY_MINUTE, ago(1_440), ago(0)),
        ("all", DAY, HOURLY, ago(180), ago(180, 120, 60, 0)),
        # an hourly tick that is 90 minutes old, then one of an hour
        ("skip", None, WEEKLY, ago(7 * 1_440), ago(0)),
        ("last", HOUR, "30 10 * * *", ago(90), ()),
        ("last", 2 * HOUR, "30 10 * * *", ago(90), ago(90)),
        ("last", None, "30 10 * * *", ago(90), ago(90)),
        ("skip", None, "30 10 * * *", ago(90), ()),
        ("all", HOUR, "30 10 * * *", ago(90), ()),
        # what was waited for counts, though the rules of its zone have changed
        ("last", None, HOURLY, ago(7), ago(0)),
        ("last", None, "0 13 * * *", ago(7), ago(7)),
        ("all", HOUR, "0 13 * * *", ago(7), ago(7)),
    ],
)
def test_missed_ticks_are_pushed_by_policy(
    missed: str,
    within: timedelta | None,
    expression: str,
    next_at: tuple[datetime],
    pushed: tuple[datetime, ...],
) -> None:
    schedule = read(expression, "UTC")

    found = plan(schedule, next_at=next_at[0], now=NOW, missed=missed, within=within, limit=2_000)

    assert found == Plan(pushed, schedule.next_after(NOW))


def test_many_are_pushed_a_part_at_a_time_and_none_twice() -> None:
    schedule, next_at = read(EVERY_MINUTE, "UTC"), ago(100)[0]
    pushed: list[datetime] = []

    while next_at <= NOW:
        found = plan(schedule, next_at=next_at, now=NOW, missed="all", within=DAY, limit=7)
        pushed += found.push
        assert found.next_at
        next_at = found.next_at

    assert pushed == list(ago(*range(100, -1, -1)))
