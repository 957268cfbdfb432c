"""When a cron entry ticks: expressions, zones, and the days on which clocks change."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

import pytest

from faktory_django.errors import InvalidOption
from faktory_django.schedule import Schedule, read

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = timedelta(hours=1)
YEARS = range(2020, 2030)


def at(text: str) -> datetime:
    """Return an instant of UTC."""
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("expression", "zone", "after", "ticks"),
    [
        ("*/5 * * * *", "UTC", "2026-03-01 10:02:30", ["2026-03-01 10:05", "2026-03-01 10:10"]),
        ("30 4 * * 1", "UTC", "2026-03-01 00:00", ["2026-03-02 04:30", "2026-03-09 04:30"]),
        ("0 9 * * *", "Asia/Tokyo", "2026-03-01 00:00", ["2026-03-02 00:00", "2026-03-03 00:00"]),
        ("@daily", "Asia/Tokyo", "2026-03-01 00:00", ["2026-03-01 15:00", "2026-03-02 15:00"]),
        (" @Hourly ", "UTC", "2026-03-01 00:00", ["2026-03-01 01:00", "2026-03-01 02:00"]),
        ("@weekly", "UTC", "2026-03-02 00:00", ["2026-03-08 00:00", "2026-03-15 00:00"]),
        ("@monthly", "UTC", "2026-03-02 00:00", ["2026-04-01 00:00", "2026-05-01 00:00"]),
        ("@yearly", "UTC", "2026-03-02 00:00", ["2027-01-01 00:00", "2028-01-01 00:00"]),
        ("0 12 L * *", "UTC", "2028-02-01 00:00", ["2028-02-29 12:00", "2028-03-31 12:00"]),
        ("0 0 * * FRI#2", "UTC", "2026-03-01 00:00", ["2026-03-13 00:00", "2026-04-10 00:00"]),
        ("0 0 29 feb *", "UTC", "2026-03-01 00:00", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        (
            "*/20 * * * * *",
            "UTC",
            "2026-03-01 00:00:05",
            ["2026-03-01 00:00:20", "2026-03-01 00:00:40"],
        ),
        ("0 0 1 * 1", "UTC", "2026-03-01 00:00", ["2026-03-02 00:00", "2026-03-09 00:00"]),
        # the clocks of Berlin go on at 2 on March 29, and back at 3 on October 25
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 12:00",
            ["2026-03-29 01:00", "2026-03-30 00:30"],
        ),
        (
            "0,30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 12:00",
            ["2026-03-29 01:00", "2026-03-30 00:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24 12:00",
            ["2026-10-25 00:30", "2026-10-26 01:30"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25 01:10",
            ["2026-10-26 01:30", "2026-10-27 01:30"],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25 00:00",
            ["2026-10-25 00:30", "2026-10-25 01:30"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29 00:40",
            ["2026-03-29 01:00", "2026-03-29 01:30"],
        ),
    ],
)
def test_an_expression_ticks_when_it_says(
    expression: str, zone: str, after: str, ticks: list[str]
) -> None:
    found = read(expression, zone).ticks(at(after))

    assert [next(found), next(found)] == [at(tick) for tick in ticks]


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("", "UTC", "wrong number of fields"),
        ("* * * *", "UTC", "wrong number of fields"),
        ("* * * * * * *", "UTC", "wrong number of fields"),
        ("@reboot", "UTC", "wrong number of fields"),
        ("60 * * * *", "UTC", "bad minute"),
        ("* 24 * * *", "UTC", "bad hour"),
        ("* * 0 * *", "UTC", "bad day-of-month"),
        ("* * * 13 *", "UTC", "bad month"),
        ("* * * * 8", "UTC", "bad day-of-week"),
        ("*/0 * * * *", "UTC", "bad minute"),
        ("5-1 * * * *", "UTC", "bad minute"),
        ("\u0665 * * * *", "UTC", "bad minute"),
        ("0 0 30 2 *", "UTC", "bad day-of-month"),
        ("0 0 */29 2 MON#5", "UTC", "come to pass"),
        ("* " * 101, "UTC", "at most 200 characters"),
        (None, "UTC", "must be a str"),
        ("* * * * *", "Mars/Olympus", "IANA"),
        ("* * * * *", "../etc/passwd", "IANA"),
        ("* * * * *", "Asia", "IANA"),
        ("* * * * *", "", "IANA"),
        ("* * * * *", "a" * 65, "IANA"),
        ("* * * * *", "a\0", "IANA"),
        ("* * * * *", None, "IANA"),
    ],
)
def test_what_is_no_schedule_is_named(expression: str, zone: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        read(expression, zone)


@pytest.mark.parametrize(
    ("expression", "after", "until", "latest"),
    [
        ("* * * * *", "2020-01-01 00:00", "2026-03-01 10:02:30", "2026-03-01 10:02"),
        ("* * * * * *", "2020-01-01 00:00", "2026-03-01 10:02:30.5", "2026-03-01 10:02:30"),
        ("0 0 1 1 *", "2020-01-01 00:00", "2026-03-01 10:02:30", "2026-01-01 00:00"),
        ("0 0 29 2 *", "2019-01-01 00:00", "2026-03-01 00:00", "2024-02-29 00:00"),
        ("0 0 * * *", "2026-03-01 00:00", "2026-03-01 23:59:59", None),
        ("0 0 * * *", "2026-03-01 00:00", "2026-03-02 00:00", "2026-03-02 00:00"),
        ("* * * 1 *", "2020-01-01 00:00", "2025-12-31 00:00", "2025-01-31 23:59"),
    ],
)
def test_the_latest_tick_of_a_long_time_is_found_at_once(
    expression: str, after: str, until: str, latest: str | None
) -> None:
    began = time.process_time()

    found = read(expression, "UTC").latest(at(after), at(until))

    assert found == (latest and at(latest))
    assert time.process_time() - began < 1.0


def transitions(zone: ZoneInfo) -> list[tuple[datetime, timedelta]]:
    """Return when the clocks of a zone change in these years, and by how much."""
    found = []
    day = datetime(YEARS[0], 1, 1, tzinfo=UTC)
    while day.year in YEARS:
        if shift := _offset(day + 24 * HOUR, zone) - _offset(day, zone):
            low, high = day, day + 24 * HOUR
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) / 2
                middle = middle.replace(microsecond=0)
                low, high = (
                    (middle, high) if _offset(middle, zone) == _offset(day, zone) else (low, middle)
                )
            found.append((high, shift))
        day += 24 * HOUR
    return found


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


# Links and zones with the same clocks have the same transitions: each set is tried once.
def _zones() -> Iterator[tuple[str, list[tuple[datetime, timedelta]]]]:
    known = set()
    for name in sorted(available_timezones()):
        found = transitions(ZoneInfo(name))
        if found and (key := tuple(found)) not in known:
            known.add(key)
            yield name, found


def test_on_days_of_change_a_fixed_time_ticks_once_and_others_follow_the_time_that_passes() -> None:
    tried = 0
    for name, found in _zones():
        for moment, shift in found:
            check_fixed_times(name, moment)
            check_elapsed(name, moment, shift)
            tried += 1

    assert tried > 200


def check_fixed_times(name: str, moment: datetime) -> None:
    """Look at each half hour of the days around a change: each comes once a day, in order."""
    zone = ZoneInfo(name)
    here = moment.astimezone(zone)
    start, end = moment - 40 * HOUR, moment + 40 * HOUR
    # the hours around the change, where all the difference is, and one that is far from it
    for hour in sorted({(here.hour + n) % 24 for n in (-2, -1, 0, 1)} | {(here.hour + 12) % 24}):
        ticks = between(Schedule(f"30 {hour} * * *", zone), start, end)
        assert all(before < after for before, after in pairwise(ticks))
        days = Counter(_day_meant(tick.astimezone(zone), hour) for tick in ticks)
        whole = [d for d in _days(start, end, zone) if _is_a_day(d, zone)]
        assert {d: days[d] for d in whole} == dict.fromkeys(whole, 1), (name, moment, hour)
        for tick in ticks:
            local = tick.astimezone(zone)
            assert local.fold == 0, (name, tick)
            assert (local.hour, local.minute) == (hour, 30) or _follows_a_gap(local), (name, tick)


def check_elapsed(name: str, moment: datetime, shift: timedelta) -> None:
    """Look at each quarter of an hour: as much time lies between them as anywhere."""
    ticks = between(read("*/15 * * * *", name), moment - 3 * HOUR, moment + 3 * HOUR)
    gaps = {after - before for before, after in pairwise(ticks)}
    quarter = timedelta(minutes=15)
    assert gaps == {quarter} or shift % quarter, (name, moment, gaps)


def between(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    """Return the ticks between two instants."""
    return list(takewhile(lambda tick: tick <= end, schedule.ticks(start)))


def _days(start: datetime, end: datetime, zone: ZoneInfo) -> list[date]:
    """Return the days that lie whole between two instants."""
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    return [first + timedelta(days=n) for n in range(1, (last - first).days)]


def _is_a_day(day: date, zone: ZoneInfo) -> bool:
    """Return whether a zone has this day: who crosses the date line skips one."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
    return noon.astimezone(UTC).astimezone(zone) == noon


def _day_meant(local: datetime, hour: int) -> date:
    """Return the day of a tick; of one that follows a gap, the day of the time in the gap."""
    if (local.hour, local.minute) == (hour, 30) or not _follows_a_gap(local):
        return local.date()
    before = (local.astimezone(UTC) - timedelta(seconds=1)).astimezone(local.tzinfo)
    return before.date() + timedelta(days=int((before.hour, before.minute) >= (hour, 30)))


def _follows_a_gap(local: datetime) -> bool:
    before = (local.astimezone(UTC) - timedelta(seconds=1)).astimezone(local.tzinfo)
    return before.utcoffset() != local.utcoffset()
