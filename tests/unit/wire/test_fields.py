"""The fields of a job: what each may hold, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .test_jobs import raw, read, refusal, text


@pytest.mark.parametrize(
    "jid", ["12345678", "日本語", "x" * 255, "a b\"'%\\;", "😀😀", "new\nline"]
)
def test_a_jid_is_any_8_bytes_or_more(jid: str) -> None:
    job = read(text(jid=jid))

    assert job.jid == jid
    assert json.loads(job.body)["jid"] == jid


@pytest.mark.parametrize("queue", ["a", "A-z_0.9", "q" * 100, "..", "__proto__", "-"])
def test_a_queue_has_any_name_within_the_grammar(queue: str) -> None:
    assert read(text(queue=queue)).queue == queue


@pytest.mark.parametrize(
    ("given", "seconds", "kept"),
    [
        (None, 1_800, None),
        (0, 1_800, None),
        (-1, 60, -1),
        (-(2**63), 60, -(2**63)),
        (1, 60, 1),
        (59, 60, 59),
        (60, 60, 60),
        (61, 61, 61),
        (86_400, 86_400, 86_400),
    ],
)
def test_a_reservation_is_within_a_minute_and_a_day_and_the_payload_says_what_was_asked(
    given: int | None, seconds: int, kept: int | None
) -> None:
    job = read(text(reserve_for=given))

    assert job.reserve_for == seconds
    assert json.loads(job.body).get("reserve_for") == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, 25), (0, 0), (-1, -1), (3, 3), (2**31, 2**31), (2**63 - 1, 2**63 - 1)],
)
def test_retry_is_any_integer_and_25_without(given: int | None, kept: int) -> None:
    assert json.loads(read(text(retry=given)).body)["retry"] == kept


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), (0, None), (5, 5), (-1, -1), (2**63 - 1, 2**63 - 1)]
)
def test_backtrace_is_kept_unless_it_is_nothing(given: int | None, kept: int | None) -> None:
    assert json.loads(read(text(backtrace=given)).body).get("backtrace") == kept


@pytest.mark.parametrize(
    ("custom", "priority"),
    [
        ({}, 0),
        ({"a": 1}, 0),
        ({"priority": 0}, 0),
        ({"priority": 5}, 5),
        ({"priority": -100}, -100),
        ({"priority": 100}, 100),
        ({"note": "priority"}, 0),
        ({"deeper": {"priority": 1_000}}, 0),
    ],
)
def test_custom_may_name_a_priority(custom: dict[str, Any], priority: int) -> None:
    assert read(text(custom=custom)).priority == priority


@pytest.mark.parametrize("value", [101, -101, 1.0, "5", None, True, [], 10**400])
def test_a_priority_that_cannot_be_is_refused(value: object) -> None:
    assert refusal(text(custom={"priority": value})) == (
        "custom.priority must be an integer from -100 to 100"
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("{}", '{"failed_at":"","retry_count":0,"remaining":0}'),
        ('{"retry_count":null}', '{"failed_at":"","retry_count":0,"remaining":0}'),
        ('{"message":null,"errtype":""}', '{"failed_at":"","retry_count":0,"remaining":0}'),
        (
            '{"Retry_Count":2,"REMAINING":1,"Failed_At":"f","extra":[{}]}',
            '{"failed_at":"f","retry_count":2,"remaining":1}',
        ),
        (
            '{"remaining":1,"retry_count":2,"backtrace":["a","b"],"errtype":"E","message":"é",'
            '"next_at":"n","failed_at":"f"}',
            '{"failed_at":"f","next_at":"n","message":"é","errtype":"E","backtrace":["a","b"],'
            '"retry_count":2,"remaining":1}',
        ),
        (
            r'{"failed_at":"a\u0000\"b","message":"\u0000"}',
            r'{"failed_at":"a�\"b","message":"\u0000","retry_count":0,"remaining":0}',
        ),
    ],
)
def test_a_failure_is_kept(given: str, kept: str) -> None:
    assert read(raw("failure", given)).failure == kept


def test_a_failure_that_is_null_is_none() -> None:
    assert read(raw("failure", "null")).failure is None
