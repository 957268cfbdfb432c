"""What a form about a job shows, and what comes back of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from faktory_django import payload
from faktory_django.dashboard.copying import Original, read_args, read_custom

MAIL = ["ada@example.org", {"token": "s3cret", "deep": [{"password": "hidden too"}]}]


def original(args: Any = MAIL, **custom: Any) -> Original:
    return Original("Mail", {"args": args, "custom": custom})


def pushed(text: str, job: Original | None = None, *, jobtype: str = "Mail") -> list[Any]:
    return read_args(job or original(), jobtype, text).args


def test_a_form_shows_no_secret_and_pushes_them_where_they_were() -> None:
    text = original().shown_args()

    assert "s3cret" not in text
    assert "hidden too" not in text
    assert pushed(text) == MAIL


def test_what_is_written_in_the_place_of_a_secret_is_taken() -> None:
    text = original().shown_args().replace("•••", "new", 1)

    assert pushed(text)[1]["token"] == "new"
    assert pushed(text)[1]["deep"] == [{"password": "hidden too"}]


def test_a_custom_attribute_is_hidden_and_put_back_too() -> None:
    job = original(locale="ja", api_key="s3cret", priority=5)
    text = job.shown_custom()

    assert json.loads(text) == {"locale": "ja", "api_key": "•••"}
    assert read_custom(job, "Mail", text) == {"locale": "ja", "api_key": "s3cret"}
    assert read_custom(job, "Mail", "  ") == {}


@pytest.mark.parametrize(
    ("text", "jobtype", "words"),
    [
        ("", "Mail", "not JSON"),
        ("[1", "Mail", "not JSON"),
        ("[NaN]", "Mail", "NaN is not a number of JSON"),
        ("[Infinity]", "Mail", "not a number"),
        ("[" * 100_000, "Mail", "nested too deeply"),
        ('{"a": 1}', "Mail", "JSON array"),
        ("null", "Mail", "JSON array"),
        ('["x", {"other": "•••"}]', "Mail", "no hidden value"),
        ('["x", {}, "•••"]', "Mail", "no hidden value"),
        ('["x", {"token": {"more": "•••"}}]', "Mail", "no hidden value"),
        ('["x", {"token": "•••"}]', "Other", "not copied to another type"),
    ],
)
def test_what_cannot_be_pushed_is_refused_in_words(text: str, jobtype: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        pushed(text, jobtype=jobtype)


def test_another_type_gets_what_is_written() -> None:
    assert pushed('["x", {"token": "mine"}]', jobtype="Other") == ["x", {"token": "mine"}]


@pytest.mark.parametrize(("text", "words"), [("[]", "JSON object"), ("{", "not JSON")])
def test_custom_attributes_that_are_none_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        read_custom(original(), "Mail", text)


def test_arguments_of_python_come_back_as_they_were() -> None:
    mark = {"kinds": {"/0": "datetime", "/1/when": "datetime"}, "kwargs": True}
    stored = ["2026-11-25T12:00:00+00:00", {"when": "2026-11-25T13:00:00+00:00"}]
    job = original(stored, **{payload.MARK: mark})

    found = read_args(job, "Mail", job.shown_args())

    assert found.args == [datetime(2026, 11, 25, 12, tzinfo=UTC)]
    assert found.kwargs == {"when": datetime(2026, 11, 25, 13, tzinfo=UTC)}
    assert job.shown_custom() == ""
    with pytest.raises(ValidationError, match="is not a datetime"):
        read_args(job, "Mail", '["tomorrow", {"when": "2026-11-25T13:00:00+00:00"}]')
    with pytest.raises(ValidationError, match="is not a datetime"):
        read_args(job, "Mail", '["2026-11-25T12:00:00+00:00"]')


@pytest.mark.parametrize("text", ["[]", "[1]"])
def test_named_arguments_stay_an_object(text: str) -> None:
    job = original([{"a": 1}], **{payload.MARK: {"kwargs": True}})

    with pytest.raises(ValidationError, match="must be an object"):
        read_args(job, "Mail", text)


def test_half_a_character_does_not_break_the_form() -> None:
    job = Original.read("Mail", '{"args":["\\ud800"]}')

    assert job.shown_args().encode()


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"args":1}'])
def test_what_is_no_job_is_not_copied(body: str) -> None:
    with pytest.raises(ValidationError, match="not readable"):
        Original.read("Mail", body)


def test_arguments_that_are_hidden_altogether_are_not_copied(settings: Any) -> None:
    settings.FAKTORY = {"REDACT_KEYS": ["Mail:*"]}

    with pytest.raises(ValidationError, match="All arguments of this type are hidden"):
        original().shown_args()
