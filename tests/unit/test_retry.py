"""What becomes of a job that failed: the tables of the protocol, sections 6.2 and 6.3."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from faktory_django.lifecycle.retry import (
    MAX_DELAY_SECONDS,
    Error,
    Fate,
    backoff_seconds,
    delay_of,
    judge,
)
from faktory_django.registry import Definition

BOOM = Error.cut("ValueError", "boom", ["line 1"])


def failure_of(text: str) -> dict[str, Any]:
    """Read a failure as the database completes it."""
    found: dict[str, Any] = json.loads("{" + text)
    return found


@pytest.mark.parametrize(
    ("retry_count", "shortest", "longest"),
    [(0, 15, 44), (1, 16, 74), (2, 31, 118), (3, 96, 212), (10, 10_015, 10_334)],
)
def test_the_delay_is_the_formula_of_faktory(retry_count: int, shortest: int, longest: int) -> None:
    assert backoff_seconds(retry_count, draw=lambda _: 0) == shortest
    assert backoff_seconds(retry_count, draw=lambda n: n - 1) == longest
    assert shortest <= backoff_seconds(retry_count) <= longest


def test_25_retries_take_about_three_weeks() -> None:
    days = sum(backoff_seconds(n, draw=lambda _: 15) for n in range(25)) / 86_400

    assert 20 < days < 22


def test_the_delay_never_overflows() -> None:
    assert backoff_seconds(10**9) == MAX_DELAY_SECONDS


@pytest.mark.parametrize(
    ("retry", "before", "fate", "retry_count", "remaining"),
    [
        (0, None, Fate.GONE, None, None),
        (0, {"retry_count": 0, "remaining": 0}, Fate.GONE, None, None),
        (-1, None, Fate.DEAD, 0, -1),
        (-5, None, Fate.DEAD, 0, -5),
        (1, None, Fate.RETRY, 0, 1),
        (1, {"retry_count": 0, "remaining": 1}, Fate.DEAD, 1, 0),
        (3, None, Fate.RETRY, 0, 3),
        (3, {"retry_count": 0, "remaining": 3}, Fate.RETRY, 1, 2),
        (3, {"retry_count": 1, "remaining": 2}, Fate.RETRY, 2, 1),
        (3, {"retry_count": 2, "remaining": 1}, Fate.DEAD, 3, 0),
        (3, {"retry_count": 3, "remaining": 0}, Fate.DEAD, 4, 0),
        (25, {"retry_count": 23, "remaining": 2}, Fate.RETRY, 24, 1),
        (25, {"retry_count": 24, "remaining": 1}, Fate.DEAD, 25, 0),
        (5, {}, Fate.RETRY, 1, 0),
    ],
)
def test_a_failure_is_judged_by_the_table_of_the_protocol(
    retry: int,
    before: dict[str, Any] | None,
    fate: Fate,
    retry_count: int | None,
    remaining: int | None,
) -> None:
    verdict = judge(retry, json.dumps(before) if before is not None else None, BOOM)

    assert verdict.fate == fate
    if retry_count is None:
        assert verdict.failure == ""
    else:
        assert failure_of(verdict.failure) == {
            "message": "boom",
            "errtype": "ValueError",
            "backtrace": ["line 1"],
            "retry_count": retry_count,
            "remaining": remaining,
        }
        assert verdict.retry_count == retry_count


def test_the_delay_is_that_of_the_retries_so_far_and_a_dead_job_has_none() -> None:
    before = json.dumps({"retry_count": 4, "remaining": 2})

    lives = judge(9, before, BOOM, delay=lambda n: 100 + n)
    dies = judge(5, before, BOOM, delay=lambda n: 100 + n)

    assert (lives.delay_seconds, dies.delay_seconds) == (105.0, None)


def test_the_time_of_the_first_failure_is_kept() -> None:
    first = judge(3, None, BOOM)
    second = judge(3, '{"failed_at":"2026-01-01T00:00:00Z","retry_count":0}', BOOM)

    assert (first.failed_at, second.failed_at) == (None, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize("retry", [-1, 0, 25])
def test_a_killed_job_dies_whatever_retries_are_left(retry: int) -> None:
    assert judge(retry, None, BOOM, kill=True).fate == Fate.DEAD


def test_an_error_is_cut_to_its_limits_and_made_storable() -> None:
    error = Error.cut(
        "E" * 101, "\0 \ud800é" + "x" * 2_000, [f"{n} \0" + "y" * 2_000 for n in range(60)]
    )

    assert error.errtype == "E" * 100
    assert error.message.startswith("\ufffd ?éxx")
    assert len(error.message) == 1_000
    assert len(error.backtrace) == 50
    assert error.backtrace[0].startswith("10 \ufffdyy")
    assert {len(line) for line in error.backtrace} == {1_000}


def test_an_error_without_words_is_called_unknown() -> None:
    assert Error.cut(" ", "") == Error("unknown", "unknown", ())


def boom(_retry_count: int) -> float:
    """Fail as an application's backoff may."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        (lambda n: 10 * n, 30.0),
        (lambda n: timedelta(minutes=n), 180.0),
        (lambda _: -5, 0.0),
        (lambda _: 10**12, float(MAX_DELAY_SECONDS)),
        (lambda _: float("inf"), float(MAX_DELAY_SECONDS)),
    ],
)
def test_a_job_may_bring_its_own_backoff(backoff: Any, seconds: float) -> None:
    delay = delay_of(Definition("a.job", boom, backoff=backoff))

    assert delay(3) == seconds


@pytest.mark.parametrize(
    "backoff", [None, boom, lambda _: "soon", lambda _: None, lambda _: float("nan")]
)
def test_without_a_backoff_that_works_the_usual_delay_holds(backoff: Any) -> None:
    delay = delay_of(Definition("a.job", boom, backoff=backoff))

    assert 96 <= delay(3) <= 212


def test_an_unknown_jobtype_has_the_usual_delay() -> None:
    assert delay_of(None) is backoff_seconds
