"""The rules of tracking, each as a table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from faktory_django.errors import InvalidOption
from faktory_django.features import tracking


@pytest.mark.parametrize(
    ("value", "kept"), [(0, 0), (100, 100), (99.99, 99), (0.5, 0), (42, 42), (33.4, 33)]
)
def test_a_percentage_is_rounded_down(value: float, kept: int) -> None:
    assert tracking.percent(value) == kept


@pytest.mark.parametrize(
    "value", [-1, 101, 100.01, -0.01, float("nan"), float("inf"), True, "5", None, [1]]
)
def test_what_is_no_percentage_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="0 to 100"):
        tracking.percent(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("", ""),
        ("half", "half"),
        ("x" * 2_000, "x" * 1_000),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
        ("半分", "半分"),
    ],
)
def test_a_text_is_cut_to_what_can_be_stored(value: str, kept: str) -> None:
    assert tracking.text(value) == kept


@pytest.mark.parametrize("value", [1, b"x", None])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match="must be str"):
        tracking.text(value)


@pytest.mark.parametrize(
    ("by", "seconds"), [(1, 1.0), (0.5, 0.5), (timedelta(hours=2), 7_200.0), (86_400, 86_400.0)]
)
def test_an_extension_is_seconds_or_a_timedelta(by: Any, seconds: float) -> None:
    assert tracking.extension_seconds(by) == seconds


@pytest.mark.parametrize(
    "by", [0, -1, 86_401, timedelta(days=2), timedelta(0), True, "60", None, float("nan")]
)
def test_an_extension_beyond_its_limits_is_refused(by: Any) -> None:
    with pytest.raises(InvalidOption, match="at most 86400 seconds"):
        tracking.extension_seconds(by)


@pytest.mark.parametrize(
    ("custom", "asked"),
    [(None, False), ({}, False), ({"track": 0}, False), ({"track": 1}, True), ({"x": 1}, False)],
)
def test_a_job_asks_for_tracking_by_its_custom_attributes(custom: Any, asked: bool) -> None:
    assert tracking.is_asked_for(custom) is asked


@pytest.mark.parametrize(
    ("place", "tracked", "end", "state"),
    [
        ("working", False, "", "working"),
        ("dead", True, "failed", "dead"),
        (None, False, "", "unknown"),
        (None, True, "", "done"),
        (None, True, "failed", "failed"),
        (None, True, "discarded", "unknown"),
    ],
)
def test_the_state_of_a_job(place: str | None, tracked: bool, end: str, state: str) -> None:
    assert tracking.state(place, tracked=tracked, end=end) == state
