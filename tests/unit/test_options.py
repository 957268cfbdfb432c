"""Options are checked where they are written: each refusal names the value and the limit."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.utils import timezone as django_timezone

from faktory_django.api import options
from faktory_django.errors import InvalidOption, InvalidQueueName, InvalidTime

PRIORITY = "priority must be an int from -100 to 100, got "
RETRY = "retry must be an int from -1 to 1000, got "
RESERVE = "reserve_for must be an int from 60 to 86400, got "
TIMEOUT = "timeout_seconds must be more than 0 and at most 86400, got "
NAME = "name must be a str of 1 to 255 printable characters, got "
QUEUE = "a queue name is 1 to 100 characters of a-z, A-Z, 0-9, '.', '_' and '-', got "


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("priority", 101, PRIORITY + "101"),
        ("priority", -101, PRIORITY + "-101"),
        ("priority", "high", PRIORITY + "'high'"),
        ("priority", 1.0, PRIORITY + "1.0"),
        ("priority", True, PRIORITY + "True"),
        ("retry", -2, RETRY + "-2"),
        ("retry", 1_001, RETRY + "1001"),
        ("retry", None, RETRY + "None"),
        ("retry", False, RETRY + "False"),
        ("reserve_for", 59, RESERVE + "59"),
        ("reserve_for", 86_401, RESERVE + "86401"),
        ("reserve_for", timedelta(minutes=5), RESERVE + "datetime.timedelta(seconds=300)"),
        ("timeout_seconds", 0, TIMEOUT + "0"),
        ("timeout_seconds", -1, TIMEOUT + "-1"),
        ("timeout_seconds", 86_401, TIMEOUT + "86401"),
        ("timeout_seconds", math.nan, TIMEOUT + "nan"),
        ("timeout_seconds", True, TIMEOUT + "True"),
        ("timeout_seconds", "5", TIMEOUT + "'5'"),
        ("backtrace", 51, "backtrace must be an int from 0 to 50, got 51"),
        ("backtrace", -1, "backtrace must be an int from 0 to 50, got -1"),
        ("custom", [], "custom must be a dict with str keys, got []"),
        ("custom", {1: 2}, "custom must be a dict with str keys, got {1: 2}"),
        ("custom", {"k": math.nan}, "custom must be JSON: Out of range float values"),
        ("custom", {"k": object()}, "custom must be JSON: Object of type object"),
        ("custom", {"k": "\ud800"}, "custom must be JSON: 'utf-8' codec can't encode"),
        ("custom", {"faktory_django": {}}, "custom must not hold 'faktory_django', which is ours"),
        ("custom", {"priority": 5}, "custom must not hold 'priority' (5), which the option prio"),
        ("using", "", "using must be an alias in DATABASES (default), got ''"),
        ("using", "nowhere", "using must be an alias in DATABASES (default), got 'nowhere'"),
        ("using", 5, "using must be an alias in DATABASES (default), got 5"),
        ("name", "", NAME + "''"),
        ("name", "x" * 256, NAME + "'xx"),
        ("name", "a\0b", NAME + "'a\\x00b'"),
        ("name", "a\nb", NAME + "'a\\nb'"),
        ("name", "\ud800", NAME + "'\\ud800'"),
        ("name", 5, NAME + "5"),
        ("aliases", [""], "each of aliases must be a str of 1 to 255 printable characters, got ''"),
        ("aliases", "old.name", "aliases must be a list of names, got 'old.name'"),
        ("aliases", 5, "aliases must be a list of names, got 5"),
        ("atomic", 1, "atomic must be True or False, got 1"),
        ("backoff", 60, "backoff must be callable, got 60"),
        ("backoff", asyncio.sleep, "backoff must be a plain function, got <function sleep"),
        ("retry", [10**5_000], RETRY + "<a list that cannot be shown>"),
        ("retry", "x" * 1_000, RETRY + "'" + "x" * 299 + "..."),
        ("on_dead", "f", "on_dead must be callable, got 'f'"),
        ("retry_on", [1], "retry_on must hold exception classes, got [1]"),
        ("retry_on", [ValueError()], "retry_on must hold exception classes, got [ValueError()]"),
        ("retry_on", ValueError, "retry_on must hold exception classes, got <class 'ValueError'>"),
        ("discard_on", [int], "discard_on must hold exception classes, got [<class 'int'>]"),
        ("discard_on", None, "discard_on must hold exception classes, got None"),
        ("retries", 5, "unknown option 'retries'; there are queue, priority, retry, reserve_for,"),
    ],
)
def test_a_wrong_option_is_refused_with_its_value_and_limit(
    name: str, value: Any, message: str
) -> None:
    with pytest.raises(InvalidOption) as refusal:
        options.check_options({name: value}, options.JOB_OPTIONS)

    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["", "a b", "x" * 101, "a/b", "é", None, 5])
def test_a_wrong_queue_is_refused_with_the_grammar(name: Any) -> None:
    with pytest.raises(InvalidQueueName) as refusal:
        options.check_options({"queue": name}, options.PUSH_OPTIONS)

    assert str(refusal.value) == f"{QUEUE}{name!r}"


@pytest.mark.parametrize("name", ["name", "aliases", "atomic", "backoff", "retry_on", "on_dead"])
def test_what_belongs_to_the_function_cannot_be_set_for_one_push(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"unknown option '{name}'; there are queue"):
        options.check_options({name: None}, options.PUSH_OPTIONS)


def test_options_at_their_limits_are_right() -> None:
    low = {"priority": -100, "retry": -1, "reserve_for": 60, "backtrace": 0, "name": "x"}
    high = {"priority": 100, "retry": 1_000, "reserve_for": 86_400, "backtrace": 50}
    rest = {
        "queue": "a" * 100,
        "custom": {"k": [1, None]},
        "using": "default",
        "timeout_seconds": 0.5,
        "aliases": ["old"],
        "atomic": True,
        "backoff": lambda n: n,
        "retry_on": [OSError],
        "discard_on": (KeyboardInterrupt,),
        "on_dead": print,
        "name": "é" * 255,
    }

    for given in (low, high, rest):
        options.check_options(given, options.JOB_OPTIONS)


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(0, 0.0), (1.5, 1.5), (timedelta(minutes=1), 60.0), (3_650 * 86_400, 3_650 * 86_400.0)],
)
def test_a_delay_is_seconds_or_a_timedelta(delay: Any, seconds: float) -> None:
    assert options.delay_seconds(delay) == seconds


@pytest.mark.parametrize(
    ("delay", "message"),
    [
        (-1, "a delay must be 0 to 3650 days (MAX_DELAY_DAYS), got -1 s"),
        (timedelta(days=-1), "a delay must be 0 to 3650 days (MAX_DELAY_DAYS), got -86400.0 s"),
        (3_651 * 86_400, "a delay must be 0 to 3650 days (MAX_DELAY_DAYS), got 315446400 s"),
        (math.inf, "a delay must be 0 to 3650 days (MAX_DELAY_DAYS), got inf s"),
        (math.nan, "a delay must be 0 to 3650 days (MAX_DELAY_DAYS), got nan s"),
        pytest.param(
            10**400, "a delay must be 0 to 3650 days (MAX_DELAY_DAYS), got 10000", id="googols"
        ),
        ("5", "a delay must be seconds or a timedelta, got '5'"),
        (True, "a delay must be seconds or a timedelta, got True"),
        (None, "a delay must be seconds or a timedelta, got None"),
    ],
)
def test_a_wrong_delay_is_refused_with_its_value_and_limit(delay: Any, message: str) -> None:
    with pytest.raises(InvalidTime) as refusal:
        options.delay_seconds(delay)

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    "when",
    [
        django_timezone.now(),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        django_timezone.now() + timedelta(days=3_649),
    ],
)
def test_an_aware_datetime_of_the_past_or_the_next_years_is_right(when: datetime) -> None:
    assert options.instant(when) == when


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (datetime(2026, 1, 1), "a time must be aware, datetime.datetime(2026, 1, 1, 0, 0) has no"),  # noqa: DTZ001
        (datetime.max.replace(tzinfo=UTC), "a time must be within 3650 days (MAX_DELAY_DAYS), got"),
        (
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            "a time must be of the years 1 to 9999 in UTC, got",
        ),
        (
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
            "a time must be of the years 1 to 9999 in UTC, got",
        ),
        (5, "a time must be a datetime, got 5"),
        ("2026-01-01T00:00:00Z", "a time must be a datetime, got '2026-01-01T00:00:00Z'"),
    ],
)
def test_a_wrong_time_is_refused_with_its_value_and_limit(when: Any, message: str) -> None:
    with pytest.raises(InvalidTime) as refusal:
        options.instant(when)

    assert message in str(refusal.value)
