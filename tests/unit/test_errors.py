"""The tree of errors."""

from __future__ import annotations

import inspect
import math
from datetime import timedelta
from typing import Any

import pytest

import faktory_django
from faktory_django import errors
from faktory_django.errors import (
    Discard,
    FaktoryError,
    InvalidPayload,
    InvalidTime,
    JobCancelled,
    JobControl,
    JobInterrupted,
    JobTimeout,
    Kill,
    Retry,
    Snooze,
)


def test_all_errors_but_those_that_end_a_run_from_outside_have_one_root() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c is not timedelta]

    strangers = [c for c in classes if not issubclass(c, FaktoryError)]

    assert strangers == [JobCancelled, JobInterrupted, JobTimeout]


@pytest.mark.parametrize("error", [JobTimeout, JobCancelled, JobInterrupted])
def test_what_ends_a_run_from_outside_passes_by_except_exception(error: type) -> None:
    assert not issubclass(error, Exception)


@pytest.mark.parametrize("name", ["InvalidArguments", "InvalidQueueName", "InvalidTime"])
def test_a_refused_push_is_one_error_and_a_value_error(name: str) -> None:
    assert issubclass(getattr(errors, name), InvalidPayload)
    assert issubclass(InvalidPayload, ValueError)


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in faktory_django.__all__ if not hasattr(faktory_django, name)] == []


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Worker'"):
        faktory_django.Worker  # noqa: B018


@pytest.mark.parametrize(
    ("control", "delay"),
    [
        (Retry(in_=5), 5.0),
        (Retry(in_=timedelta(minutes=1)), 60.0),
        (Retry(in_=0), 0.0),
        (Retry("later"), None),
        (Snooze(1.5), 1.5),
        (Snooze(timedelta(days=1)), 86_400.0),
    ],
)
def test_a_control_error_holds_its_delay_in_seconds(
    control: Retry | Snooze, delay: float | None
) -> None:
    assert control.delay_seconds == delay


@pytest.mark.parametrize("delay", [-1, 10**9, math.inf, math.nan, timedelta(seconds=-1)])
def test_a_delay_out_of_range_is_refused_where_it_is_written(delay: Any) -> None:
    with pytest.raises(InvalidTime, match="a delay must be 0 to 999999999 seconds, got"):
        Snooze(delay)


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (Retry(), "the job asked to be retried"),
        (Retry("busy"), "busy"),
        (Snooze(1), "the job asked to run later"),
        (Discard(), "the job discarded itself"),
        (Discard("stale"), "stale"),
        (Kill(), "the job killed itself"),
        (Kill("hopeless"), "hopeless"),
    ],
)
def test_a_control_error_says_why(control: JobControl, message: str) -> None:
    assert str(control) == message
