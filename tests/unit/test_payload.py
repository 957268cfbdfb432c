"""The job hash: made once in the protocol's order, read with every digit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faktory_django import payload


def body(*parts: str) -> str:
    """Return a whole body of template's parts."""
    head, middle, tail = parts
    return f"{head}{'a' * 24}{middle}[1]{tail}"


def test_a_plain_job_is_as_short_as_the_protocol_allows() -> None:
    text = payload.canonical("a.b", "a" * 24, "[1]", queue="default")

    assert text == f'{{"retry":25,"jid":"{"a" * 24}","queue":"default","jobtype":"a.b","args":[1]}}'


def test_all_fields_stand_in_the_order_of_the_protocol() -> None:
    text = body(
        *payload.template(
            'say "é"',
            queue="q",
            retry=0,
            custom={"k": "é"},
            at="2026-01-01T00:00:00Z",
            reserve_for=60,
            backtrace=5,
        )
    )

    order = ["retry", "custom", "jid", "queue", "jobtype", "at", "args", "reserve_for", "backtrace"]
    assert list(json.loads(text)) == order
    assert json.loads(text)["jobtype"] == 'say "é"'


def test_what_is_read_is_what_was_made() -> None:
    text = body(*payload.template("a.b", queue="q", retry=-1, custom={"k": [1]}, reserve_for=90))

    found = payload.parse(text)

    assert (found.jobtype, found.queue, found.retry, found.custom) == ("a.b", "q", -1, {"k": [1]})
    assert (found.args, found.reserve_for, found.backtrace, found.at) == ([1], 90, None, None)


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ("[9007199254740993]", [9007199254740993]),
        ("[12345678901234567890123]", [12345678901234567890123]),
        ("[1e400]", [float("inf")]),
        ('["\\ud800"]', ["\ud800"]),
        ('["\\u0000"]', ["\0"]),
        ("[1.0, 1]", [1.0, 1]),
        ('[{"a":1,"a":2}]', [{"a": 2}]),
    ],
)
def test_numbers_and_texts_of_other_clients_are_read_as_python_reads_them(
    args: str, found: list[Any]
) -> None:
    read = payload.parse(f'{{"jid":"x","jobtype":"y","args":{args}}}').args

    assert read == found
    assert [type(value) for value in read] == [type(value) for value in found]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "{", '{"jid":"x"}', '{"jid":"x","jobtype":"y","args":{}}', "null"],
)
def test_what_is_not_a_job_hash_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        payload.parse(text)


@pytest.mark.parametrize(
    ("text", "retry"),
    [
        ('{"jid":"x","jobtype":"y","args":[],"retry":3}', 3),
        ('{"jid":"x","jobtype":"y","args":[],"retry":0}', 0),
        ('{"jid":"x","jobtype":"y","args":[],"retry":null}', 25),
        ('{"jid":"x","jobtype":"y","args":[]}', 25),
        ("not json", 25),
        ("[" * 200_000, 25),
    ],
    ids=["3", "0", "null", "absent", "unreadable", "too deep"],
)
def test_the_retries_of_a_body_default_to_25(text: str, retry: int) -> None:
    assert payload.retry_of(text) == retry


@pytest.mark.parametrize(
    ("text", "count"),
    [('{"retry_count":4}', 4), ("{}", 0), ("[]", 0), ("no", 0), ('{"retry_count":"4"}', 0)],
)
def test_the_retry_count_of_a_failure_defaults_to_0(text: str, count: int) -> None:
    assert payload.retry_count_of(text) == count


def test_what_the_store_knows_stands_in_front_of_the_body() -> None:
    text = payload.with_failure('{"jid":"x"}', '{"retry_count":0}', "2026-01-01T00:00:00Z")

    assert text == ('{"enqueued_at":"2026-01-01T00:00:00Z","failure":{"retry_count":0},"jid":"x"}')
    assert payload.with_failure('{"jid":"x"}', None) == '{"jid":"x"}'
