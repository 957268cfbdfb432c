"""The rules of unique and expiring jobs: what is the same, what can be said, when it is over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from faktory_django.errors import InvalidOption
from faktory_django.features import expiry, traits, unique

PUSHED = traits.Pushed("T", "q", '[1,{"a":1}]')


def said(custom: dict[str, Any], pushed: traits.Pushed = PUSHED) -> dict[str, Any] | None:
    text = traits.traits_of(custom, pushed)
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('[1,{"a":1,"b":2}]', '[ 1, {"b":2 , "a":1} ]', True),
        ("[1.0]", "[1]", True),
        ("[1e3]", "[1000]", True),
        ("[-0.0]", "[0]", True),
        ("[1.5]", "[1.25]", False),
        ("[9007199254740993]", "[9007199254740992]", False),
        ("[9007199254740993.0]", "[9007199254740993]", False),
        ('["\\u00e9"]', '["é"]', True),
        ('["1"]', "[1]", False),
        ("[true]", "[1]", False),
        ("[null]", "[]", False),
        ("[[]]", "[{}]", False),
        ('["\\u0000"]', '[""]', False),
        ('["\\ud800", 1]', '[ "\\ud800",1.0]', True),
        ('["\\ud800"]', '["\\ud801"]', False),
        ("[36893488147419103232,2]", "[36893488147419103232,2.0]", True),
        ("[36893488147419103232]", "[36893488147419103233]", False),
        ('["1.5",1]', '["1.5", 1.0]', True),
        ("[" * 5_000 + "]" * 5_000, "[" * 5_000 + "]" * 5_000, True),
        ("[" * 5_000 + "]" * 5_000, "[" * 4_000 + "]" * 4_000, False),
    ],
)
def test_what_is_the_same(one: str, other: str, same: bool) -> None:
    assert (unique.digest(one) == unique.digest(other)) is same


def test_a_plain_job_has_no_traits() -> None:
    assert said({"tenant": 1}) is None
    assert said({"unique_for": None, "expires_in": None, "expires_at": None}) is None


def test_a_unique_job_says_its_key_its_time_and_what_is_not_usual() -> None:
    plain = said({"unique_for": 0.5})
    other = said({"unique_for": 60, "unique_until": "start", "on_duplicate": "replace"})

    assert plain is not None
    assert other is not None
    key = plain["unique"]["key"]
    assert plain == {"unique": {"key": key, "for": 0.5}}
    assert other == {"unique": {"key": key, "for": 60, "until": "start", "or": "replace"}}
    assert len(key) == 32


def test_a_key_of_its_own_is_not_that_of_arguments() -> None:
    digest = unique.digest(PUSHED.args)

    assert said({"unique_for": 1, "unique_key": digest}) != said({"unique_for": 1})


@pytest.mark.parametrize(
    ("found", "ends"),
    [({}, False), ({"unique": {"key": "k"}}, False), ({"unique": {"until": "start"}}, True)],
)
def test_whether_a_lock_ends_at_the_start(found: dict[str, Any], ends: bool) -> None:
    assert unique.ends_at_start(found) is ends


def test_the_args_of_an_encrypted_job_do_not_make_it_unique() -> None:
    mark = {"faktory_django": {"encrypted": "fernet"}}

    with pytest.raises(InvalidOption, match=r"needs custom\.unique_key"):
        said({"unique_for": 1, **mark})
    assert said({"unique_for": 1, "unique_key": "k", **mark})


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00.5+09:00", datetime(2030, 1, 31, 3, 0, 0, 500_000, tzinfo=UTC)),
        ("2030-01-31T12:00:00.123456789Z", datetime(2030, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, when: datetime) -> None:
    assert said({"expires_at": text}) == {"expires_at": when.timestamp()}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "soon",
        "2030-01-31T12:00:00",
        "1969-12-31T23:59:59Z",
        "2030-13-01T00:00:00Z",
        5,
        [],
        True,
    ],
)
def test_a_time_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="expires_at must be a time as RFC 3339 with its zone"):
        said({"expires_at": wrong})


@pytest.mark.parametrize("wrong", [0, -1, "5", True, [], 4e8, float("nan")])
def test_a_span_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="expires_in must be more than 0 and at most 315360000"):
        said({"expires_in": wrong})


@pytest.mark.parametrize(
    ("found", "moment", "passed"),
    [({}, 1e12, False), ({"expires_at": 5}, 5, False), ({"expires_at": 5}, 5.1, True)],
)
def test_when_a_job_has_expired(found: dict[str, Any], moment: float, passed: bool) -> None:
    assert expiry.has_passed(found, moment) is passed
