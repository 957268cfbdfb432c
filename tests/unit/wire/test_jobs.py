"""A job of the wire: what is refused with which words, and what comes out of what is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faktory_django.errors import CommandRefused
from faktory_django.wire.jobs import Limits, WireJob, read_job

LIMITS = Limits()
RIGHT = {"jid": "12345678", "jobtype": "T", "args": []}


def text(**fields: Any) -> bytes:
    return json.dumps(RIGHT | fields, separators=(",", ":")).encode()


def raw(field: str, value: str) -> bytes:
    """Return a job with a field as it is written."""
    return b'{"jid":"12345678","jobtype":"T","args":[],"%b":%b}' % (field.encode(), value.encode())


def without(field: str) -> bytes:
    return json.dumps({key: value for key, value in RIGHT.items() if key != field}).encode()


def read(job: bytes, limits: Limits = LIMITS) -> WireJob:
    return read_job(job, limits)


def refusal(job: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(CommandRefused) as refused:
        read_job(job, limits)
    return str(refused.value)


NO_JID = "jobs must have a reasonable jid parameter"
NO_JOBTYPE = "jobs must have a jobtype parameter"
NO_ARGS = "jobs must have an args parameter"
NAMES = r"queue names must match \A[a-zA-Z0-9._-]+\z"


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (b"null", NO_JID),
        (b" null ", NO_JID),
        (b"{}", NO_JID),
        (without("jid"), NO_JID),
        (text(jid=None), NO_JID),
        (text(jid=""), NO_JID),
        (text(jid="1234567"), NO_JID),
        (text(jid="é" * 3), NO_JID),
        (without("jobtype"), NO_JOBTYPE),
        (text(jobtype=None), NO_JOBTYPE),
        (text(jobtype=""), NO_JOBTYPE),
        (without("args"), NO_ARGS),
        (text(args=None), NO_ARGS),
        (text(jid="x", jobtype="", args=None), NO_JID),
        (text(jobtype="", args=None), NO_JOBTYPE),
        (text(args=None, reserve_for=86_401), NO_ARGS),
        (text(reserve_for=86_401, at="x"), "jobs cannot be reserved for more than one day"),
        (text(reserve_for=2**63 - 1), "jobs cannot be reserved for more than one day"),
        (text(at="x", queue="a b"), """invalid timestamp for 'at': "x": it is not RFC 3339"""),
        (text(at='a"\n'), r"""invalid timestamp for 'at': "a\"\n": it is not RFC 3339"""),
        (text(queue="a b"), f'cannot get "a b" queue: {NAMES}'),
        (text(queue="a\nb"), rf'cannot get "a\nb" queue: {NAMES}'),
        (text(queue="a\n"), rf'cannot get "a\n" queue: {NAMES}'),
        (text(queue="*"), f'cannot get "*" queue: {NAMES}'),
        (text(queue="größe"), f'cannot get "größe" queue: {NAMES}'),
        (text(queue="٣"), f'cannot get "٣" queue: {NAMES}'),
        (text(queue="../x"), f'cannot get "../x" queue: {NAMES}'),
        (text(queue="a\0"), rf'cannot get "a\u0000" queue: {NAMES}'),
        (text(queue="/" * 200), f'cannot get "{"/" * 100}…" queue: {NAMES}'),
        (text(queue=" ", at="2099-01-01T00:00:00Z"), f'cannot get " " queue: {NAMES}'),
        (
            text(queue="q" * 101),
            f'cannot get "{"q" * 100}…" queue: queue names have at most 100 characters',
        ),
        (text(jid="x" * 256), "jid must be at most 255 characters without NUL"),
        (text(jid="12345678\0"), "jid must be at most 255 characters without NUL"),
        (text(jobtype="x" * 256), "jobtype must be at most 255 characters without NUL"),
        (text(jobtype="a\0b"), "jobtype must be at most 255 characters without NUL"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_protocol(job: bytes, words: str) -> None:
    assert refusal(job) == words


@pytest.mark.parametrize(
    "job",
    [
        b"",
        b" ",
        b"x",
        b"{",
        b"5",
        b'"x"',
        b"[]",
        b"[null]",
        b"{'jid':1}",
        text() + b" x",
        text() + text(),
        text()[:-1],
        text()[:-1] + b",}",
        b"\xef\xbb\xbf" + text(),
        raw("args", "[1,]"),
        raw("args", "[01]"),
        raw("args", "[1.]"),
        raw("args", "[.5]"),
        raw("args", "[+1]"),
        raw("args", "[-]"),
        raw("args", "[1e]"),
        raw("args", "[NaN]"),
        raw("args", "[Infinity]"),
        raw("args", "[tru]"),
        raw("args", '["\0"]'),
        raw("args", '["\t"]'),
        raw("args", '["\r"]'),
        raw("args", r'["\x"]'),
        raw("args", r'["\u12"]'),
        raw("args", '["'),
        raw("args", '["\\'),
    ],
)
def test_what_is_no_json_object_is_refused(job: bytes) -> None:
    assert refusal(job).startswith("invalid JSON: ")


TEXTS = ("jid", "jobtype", "queue", "at", "created_at", "enqueued_at")
INTEGERS = ("retry", "reserve_for", "backtrace")
OBJECTS = ("custom", "failure")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in TEXTS for value in ("1", "1.5", "true", "[]", "{}")),
        *(
            (field, value)
            for field in INTEGERS
            for value in ('"60"', "60.0", "1e3", "true", "[]", "{}", "9" * 19, "9" * 4_301)
        ),
        *((field, value) for field in OBJECTS for value in ('""', "1", "1.5", "true", "[]")),
        *(("args", value) for value in ('""', "1", "1.5", "true", "{}", '{"0":1}')),
        ("failure", '{"retry_count":"1"}'),
        ("failure", '{"retry_count":1.0}'),
        ("failure", '{"remaining":true}'),
        ("failure", '{"failed_at":5}'),
        ("failure", '{"backtrace":"line"}'),
        ("failure", '{"backtrace":[1]}'),
        ("failure", f'{{"retry_count":{2**63}}}'),
        ("failure", f'{{"remaining":{-(2**63) - 1}}}'),
    ],
)
def test_a_field_of_a_wrong_type_is_refused_by_its_name(field: str, value: str) -> None:
    words = refusal(raw(field, value))

    assert words.startswith(f"invalid JSON: {field}")
    assert len(words) < 200


@pytest.mark.parametrize("field", [*TEXTS[2:], *INTEGERS, *OBJECTS])
def test_null_is_as_good_as_nothing(field: str) -> None:
    assert read(raw(field, "null")) == read(text())


@pytest.mark.parametrize("field", ["queue", "at", "created_at", "enqueued_at"])
def test_an_empty_text_is_as_good_as_nothing(field: str) -> None:
    assert read(raw(field, '""')) == read(text())


@pytest.mark.parametrize(
    ("job", "body"),
    [
        (
            text(),
            '{"retry":25,"jid":"12345678","queue":"default","jobtype":"T","args":[]}',
        ),
        (
            b' {"backtrace":5,"reserve_for":90,"args":[1, 2],"at":"2020-01-01T00:00:00Z",'
            b'"enqueued_at":"e","created_at":"c","jobtype":"J","queue":"q","jid":"abcdefgh",'
            b'"custom":{"b":1,"a":2},"failure":null,"retry":3,"priority":5,"_internal":[{}]} ',
            '{"created_at":"c","retry":3,"custom":{"b":1,"a":2},"jid":"abcdefgh","queue":"q",'
            '"jobtype":"J","at":"2020-01-01T00:00:00Z","args":[1, 2],"reserve_for":90,'
            '"backtrace":5}',
        ),
        (
            b'{"JID":"12345678","JobType":"T","ARGS":[1],"Queue":"q","RETRY":1,"Custom":{"A":1}}',
            '{"retry":1,"custom":{"A":1},"jid":"12345678","queue":"q","jobtype":"T","args":[1]}',
        ),
        (
            b'{"jid":"12345678","jid":"abcdefgh","jobtype":"A","JOBTYPE":"B","args":[1],"args":[]}',
            '{"retry":25,"jid":"abcdefgh","queue":"default","jobtype":"B","args":[]}',
        ),
        (
            b'{"\\u006aid":"12345678","jobtype":"a\\"b","args":[]}',
            '{"retry":25,"jid":"12345678","queue":"default","jobtype":"a\\"b","args":[]}',
        ),
        (
            b'{"jid":"12345678","jobtype":"T","args":[]\r,"custom":{ }}\r',
            '{"retry":25,"jid":"12345678","queue":"default","jobtype":"T","args":[]}',
        ),
        (
            b'{"jid":"12345678","jobtype":"T","args":[1,\r2],"custom":{"a":\r1}}',
            '{"retry":25,"custom":{"a": 1},"jid":"12345678","queue":"default","jobtype":"T",'
            '"args":[1, 2]}',
        ),
    ],
    ids=["least", "all", "other cases", "twice", "escaped", "white space", "carriage returns"],
)
def test_the_body_is_canonical(job: bytes, body: str) -> None:
    assert read(job).body == body


def test_a_job_may_have_as_many_bytes_as_the_limit() -> None:
    job = text(args=["x" * 1_000])
    limit = len(job)

    assert read(job, Limits(job_bytes=limit)).jid == "12345678"
    assert refusal(job, Limits(job_bytes=limit - 1)) == (
        f"job is {limit} bytes, the limit is {limit - 1}"
    )


@pytest.mark.parametrize(
    ("custom", "tracked"),
    [
        ('{"track":1}', True),
        ('{"a":{"b":2},"track":true}', True),
        ('{"track":0}', False),
        ('{"other":"track"}', False),
        ('{"other":{"track":1}}', False),
        ("{}", False),
        ("null", False),
    ],
)
def test_a_job_asks_for_tracking_by_its_custom_attributes(custom: str, tracked: bool) -> None:
    text = f'{{"jid":"12345678","jobtype":"T","args":[],"custom":{custom}}}'

    assert read_job(text.encode(), Limits()).tracked is tracked


@pytest.mark.parametrize(
    ("custom", "why"),
    [
        ('{"expires_in":-1}', "expires_in"),
        ('{"unique_for":"soon"}', "unique_for"),
        ('{"bid":7}', "bid must be the id of a batch"),
        ('{"limit":3}', "limit"),
    ],
)
def test_what_features_cannot_read_is_refused_by_its_name(custom: str, why: str) -> None:
    text = f'{{"jid":"12345678","jobtype":"T","args":[],"custom":{custom}}}'

    with pytest.raises(CommandRefused, match=why):
        read_job(text.encode(), Limits())
