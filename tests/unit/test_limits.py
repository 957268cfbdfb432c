"""What `custom.limit` may say, the order in which a job waits, and how Limit and Rate are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from faktory_django import InvalidOption, Limit, Rate
from faktory_django.features.limits import traits
from faktory_django.features.traits import Pushed

PUSHED = Pushed("mail", "default", "[]")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        ([], None),
        ({"concurrency": 3}, [{"k": "mail", "n": 3}]),
        ({"key": "a", "concurrency": 1}, [{"k": "a", "n": 1}]),
        ({"key": "a", "rate": 5, "per": 60}, [{"k": "a per 60 s", "n": 5, "per": 60.0}]),
        ({"key": "a", "rate": 5, "per": 0.5}, [{"k": "a per 0.5 s", "n": 5, "per": 0.5}]),
        (
            {"key": "a", "concurrency": 2, "rate": 5, "per": 60},
            [{"k": "a per 60 s", "n": 5, "per": 60.0}, {"k": "a", "n": 2}],
        ),
        (
            [
                {"key": "b", "concurrency": 2},
                {"key": "z", "rate": 1, "per": 1},
                {"key": "a", "concurrency": 1},
                {"key": "c", "rate": 1, "per": 1},
            ],
            [
                {"k": "c per 1 s", "n": 1, "per": 1.0},
                {"k": "z per 1 s", "n": 1, "per": 1.0},
                {"k": "a", "n": 1},
                {"k": "b", "n": 2},
            ],
        ),
    ],
)
def test_rates_come_first_and_slots_by_their_keys(said: Any, expected: Any) -> None:
    assert traits({"limit": said}, PUSHED).get("limit") == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("x", "custom.limit must be an object or a list of them, got 'x'"),
        ([1], "custom.limit must be an object or a list of them, got 1"),
        ({}, "custom.limit needs concurrency, or rate and per, got {}"),
        ({"key": "a"}, "custom.limit needs concurrency, or rate and per"),
        ({"rate": 1}, "custom.limit needs rate and per together, got {'rate': 1}"),
        ({"per": 1}, "custom.limit needs rate and per together"),
        ({"max": 1}, "custom.limit has no 'max'; it knows key, concurrency, rate, per"),
        ({"key": "", "concurrency": 1}, "1 to 200 printable characters, got ''"),
        ({"key": 5, "concurrency": 1}, "1 to 200 printable characters, got 5"),
        ({"key": "a\0", "concurrency": 1}, "1 to 200 printable characters, got 'a\\x00'"),
        ({"key": "a" * 201, "concurrency": 1}, "1 to 200 printable characters"),
        ({"concurrency": 0}, "the concurrency of a limit must be an int from 1 to 10000, got 0"),
        ({"concurrency": True}, "an int from 1 to 10000, got True"),
        ({"concurrency": 10_001}, "an int from 1 to 10000, got 10001"),
        ({"rate": 0, "per": 1}, "the rate of a limit must be an int from 1 to 1000000, got 0"),
        ({"rate": 1, "per": 0}, "(per) must be 0.01 to 2678400 seconds, got 0"),
        ({"rate": 1, "per": "1"}, "(per) must be 0.01 to 2678400 seconds, got '1'"),
        ({"rate": 1, "per": True}, "(per) must be 0.01 to 2678400 seconds, got True"),
        ([{"concurrency": 1}, {"concurrency": 2}], "custom.limit names 'mail' twice"),
        (
            [{"key": str(n), "concurrency": 1} for n in range(9)],
            "a job has at most 8 limits, got 9",
        ),
    ],
)
def test_what_cannot_be_a_limit_is_refused_with_its_value(said: Any, message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        traits({"limit": said}, PUSHED)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limit(0), "an int from 1 to 10000, got 0"),
        (lambda: Limit(1, key=5), "the name of a parameter, a function or None, got 5"),  # type: ignore[arg-type]
        (lambda: Limit(1, key="a b"), "the name of a parameter, a function or None, got 'a b'"),
        (lambda: Limit(1, name=""), "1 to 200 printable characters, got ''"),
        (lambda: Rate(0, per=1), "an int from 1 to 1000000, got 0"),
        (lambda: Rate(1, per=0), "0.01 to 2678400 seconds, got 0"),
        (lambda: Rate(1, per=timedelta(days=32)), "0.01 to 2678400 seconds, got 2764800.0"),
    ],
)
def test_a_wrong_limit_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        make()

    assert message in str(caught.value)


def test_a_coroutine_cannot_tell_a_key() -> None:
    async def key() -> None:
        """Never called."""

    with pytest.raises(InvalidOption, match="must be a plain function"):
        Limit(1, key=key)
