"""History: the rules of what is kept, as tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from faktory_django.errors import InvalidOption
from faktory_django.features import history
from faktory_django.features.history import Defaults, Limited, Result

ON = Defaults(days=7, off_queues=("hot",))


@pytest.mark.parametrize(
    ("value", "days"),
    [
        (False, 0),
        (1, 1),
        (366, 366),
        (timedelta(days=3), 3),
        (timedelta(hours=1), 1),
        (timedelta(days=3, seconds=1), 4),
    ],
)
def test_an_option_is_whole_days_rounded_up(value: Any, days: int) -> None:
    assert history.days(value) == days


@pytest.mark.parametrize(
    "value", [0, 367, -1, True, 1.5, "7", None, timedelta(0), timedelta(days=367)]
)
def test_an_option_that_cannot_be_is_refused_with_its_value_and_the_limit(value: Any) -> None:
    with pytest.raises(InvalidOption, match="1 to 366 days") as refused:
        history.days(value)

    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    ("custom", "queue", "defaults", "found"),
    [
        (None, "default", Defaults(), None),
        ({}, "default", Defaults(), None),
        (None, "default", ON, {"days": 7}),
        ({"locale": "ja"}, "default", ON, {"days": 7}),
        (None, "hot", ON, None),
        ({"history_days": 3}, "default", Defaults(), {"days": 3}),
        ({"history_days": 3}, "hot", ON, {"days": 3}),
        ({"history_days": 0}, "default", ON, None),
        ({"history_days": None}, "default", ON, {"days": 7}),
        ({"history_days": 0, "keep_result": True}, "default", ON, None),
        ({"keep_result": True}, "default", Defaults(), {"days": 1, "result": True}),
        ({"keep_result": True}, "default", ON, {"days": 7, "result": True}),
        ({"keep_result": True}, "hot", ON, {"days": 1, "result": True}),
        ({"keep_result": False}, "default", Defaults(), None),
        (None, "default", Defaults(days=1, args=True), {"days": 1, "args": True}),
        (
            {"history_days": 366, "keep_result": True},
            "default",
            Defaults(args=True),
            {"days": 366, "result": True, "args": True},
        ),
    ],
)
def test_the_job_says_what_is_kept_and_else_the_settings(
    custom: Any, queue: str, defaults: Defaults, found: Any
) -> None:
    kept = history.traits(custom or {}, queue=queue, defaults=defaults)

    assert kept == ({} if found is None else {"keep": found})


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ({"history_days": 367}, "custom.history_days must be an int from 0 to 366, got 367"),
        ({"history_days": -1}, "custom.history_days must be an int from 0 to 366, got -1"),
        ({"history_days": "7"}, "custom.history_days must be an int from 0 to 366, got '7'"),
        ({"history_days": True}, "custom.history_days must be an int from 0 to 366, got True"),
        ({"keep_result": 1}, "custom.keep_result must be true or false, got 1"),
    ],
)
def test_a_job_that_says_what_cannot_be_is_refused(custom: Any, said: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        history.traits(custom, queue="default", defaults=Defaults())

    assert str(refused.value) == said


@pytest.mark.parametrize(
    "value",
    [
        *(None, 0, "", "ü", 1.5, True, [1, {"a": None}], {"a": [1]}),
        *(datetime(2027, 1, 31, tzinfo=UTC), Decimal("1.10"), {"when": timedelta(1)}, {1, 2}),
    ],
)
def test_a_result_comes_back_as_it_was(value: Any) -> None:
    kept = history.result_of(value, max_bytes=1_000, max_depth=10)

    assert kept.remark == ""
    assert kept.text is not None
    back = history.value_of(kept.text, kept.kinds)
    assert (back, type(back)) == (value, type(value))


Odd = type("Odd\ufffd", (), {})


class Broken:
    """It cannot even say what it is."""

    @property
    def _meta(self) -> Any:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "remark"),
    [
        (object(), "not JSON: the result is a object, which is not JSON"),
        (float("nan"), "not JSON: the result is not JSON: "),
        ("\ud800", "not JSON: the result holds a lone surrogate"),
        ([[[[]]]], "not JSON: the result is nested deeper than 3 levels"),
        (Broken(), "not JSON: RuntimeError"),
        ({"a": {("\0", "\ud800"): 1}}, "not JSON: the object at /0/a has the key ('\\x00'"),
        (Odd, "not JSON: the result is a type, which is not JSON"),
        ("x" * 20, "too large: 22 bytes, RESULT_BYTES is 20"),
        ("ü" * 10, "too large: 22 bytes, RESULT_BYTES is 20"),
    ],
)
def test_a_result_that_cannot_be_kept_is_no_error_and_says_why(value: Any, remark: str) -> None:
    kept = history.result_of(value, max_bytes=20, max_depth=3)

    assert kept.text is None
    assert kept.remark.startswith(remark)


def test_a_result_of_just_the_limit_is_kept() -> None:
    assert history.result_of("x" * 18, max_bytes=20, max_depth=3) == Result('"' + "x" * 18 + '"')


@pytest.mark.parametrize(
    ("options", "custom"),
    [
        ({}, {}),
        ({"queue": "q"}, {}),
        ({"history": 3}, {"history_days": 3}),
        ({"history": False}, {"history_days": 0}),
        (
            {"history": timedelta(days=2), "keep_result": True},
            {"history_days": 2, "keep_result": True},
        ),
        ({"keep_result": True}, {"keep_result": True}),
        ({"history": False, "keep_result": False}, {"history_days": 0}),
    ],
)
def test_options_become_entries_of_custom(options: Any, custom: Any) -> None:
    assert history.said(options) == custom


def test_a_result_cannot_be_kept_of_a_job_of_which_nothing_is() -> None:
    with pytest.raises(InvalidOption, match="keep_result and history=False"):
        history.said({"history": False, "keep_result": True})


@pytest.mark.parametrize(
    ("traits", "keep"),
    [
        (None, None),
        ('{"bid":"keep"}', None),
        ('{"bid": "b", "keep": {"days": 3}}', {"days": 3}),
    ],
)
def test_the_trait_is_read_from_the_text_of_all(traits: str | None, keep: Any) -> None:
    assert history.keep_of(traits) == keep


def test_a_line_is_cut_and_storable() -> None:
    assert history.line("x" * 2_000) == "x" * 1_000
    assert history.line("a\0b\ud800") == "a\ufffdb?"


def test_a_line_is_text() -> None:
    with pytest.raises(InvalidOption, match="a line of a log must be str, got 5"):
        history.line(5)


def test_a_note_says_what_is_known() -> None:
    told = history.note(started=1.5, ran=0.0, wid="w", attempt=2, result="[1]", remark="")

    assert json.loads(told) == {
        "started": 1.5,
        "ran": 0.0,
        "wid": "w",
        "attempt": 2,
        "result": "[1]",
    }
    assert history.note() == "{}"


def test_lines_beyond_the_limit_are_told_once() -> None:
    lines = Limited(2)

    said = [lines.next(text) for text in "abcd"]

    assert said == ["a", "b", "… no more lines of this run are kept (LOG_LINES is 2)", None]
