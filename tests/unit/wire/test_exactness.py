"""What a client pushed is what a worker gets: numbers, texts and nesting, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faktory_django.errors import CommandRefused
from faktory_django.wire.jobs import Limits, read_job, sanitized

from .test_jobs import raw, read, refusal

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(json_values), st.booleans())
def test_any_arguments_come_back_as_they_were_pushed(args: list[object], ascii_: bool) -> None:
    pushed = json.dumps({"jid": "12345678", "jobtype": "T", "args": args}, ensure_ascii=ascii_)

    body = read(pushed.encode()).body

    assert json.loads(body)["args"] == args
    assert json.dumps(args, ensure_ascii=ascii_) in body
    assert "\n" not in body
    assert "\r" not in body


@pytest.mark.parametrize(
    "number",
    [
        "-0",
        "-0.0",
        "0.1",
        "1.0",
        "1.10",
        "1e2",
        "1E+21",
        "1e-400",
        "1e308",
        "9007199254740993",
        "-9223372036854775809",
        "18446744073709551616",
        "9" * 4_300,
        "-" + "9" * 4_299,
        "0." + "9" * 10_000,
        "1" + "0" * 308 + ".0",
    ],
)
@pytest.mark.parametrize("field", ["args", "custom"])
def test_a_number_keeps_its_digits(field: str, number: str) -> None:
    value = f"[{number}]" if field == "args" else f'{{"n":{number}}}'

    assert f'"{field}":{value}' in read(raw(field, value)).body


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("9" * 4_301, "an integer has 4301 digits, the limit is 4300"),
        ("-" + "9" * 4_300, "an integer has 4301 digits, the limit is 4300"),
        ("1e400", "number 1e400 is out of range"),
        ("-1E+400", "number -1E+400 is out of range"),
        ("1.5e0309", "number 1.5e0309 is out of range"),
        ("1" + "0" * 309 + ".5", "number 1" + "0" * 39 + " is out of range"),
    ],
)
@pytest.mark.parametrize("field", ["args", "custom"])
def test_a_number_that_python_cannot_read_is_refused(field: str, number: str, words: str) -> None:
    value = f"[{number}]" if field == "args" else f'{{"n":{number}}}'

    assert refusal(raw(field, value)) == f"invalid JSON: {words}"


@pytest.mark.parametrize("string", ["9" * 5_000, "1e400", r"\"1e400", "x" * 5_000 + r"\\", "\\\\"])
def test_a_text_that_looks_like_such_a_number_is_none(string: str) -> None:
    value = f'["{string}",1]'

    assert f'"args":{value}' in read(raw("args", value)).body


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (rb"\ud83d\ude00", r"\ud83d\ude00"),
        (rb"\uD83D\uDE00", r"\uD83D\uDE00"),
        (rb"\ud800", r"\ufffd"),
        (rb"\uDFFF", r"\ufffd"),
        (rb"\ude00\ud83d", r"\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
        (rb"\ud83d\n\ude00", r"\ufffd\n\ufffd"),
        (rb"\ud83dx", r"\ufffdx"),
        (rb"\\ud800", r"\\ud800"),
        (rb"\\\ud800", r"\\\ufffd"),
        (rb"\n\t\"\\\/\b\f\r", r"\n\t\"\\\/\b\f\r"),
        (rb"\u0000", r"\u0000"),
        (rb"\ufffd\u00e9", r"\ufffd\u00e9"),
        (b"\xc3\xa9", "é"),
        (b"\xff", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xe2\x80\xae\xe2\x80\x8b\xef\xbb\xbf", "\u202e\u200b\ufeff"),
        (b"\xe2\x80\xa8", "\u2028"),
    ],
)
def test_a_text_is_kept_or_mended(given: bytes, kept: str) -> None:
    job = b'{"jid":"12345678","jobtype":"T","args":["%b"]}' % given

    body = read(job).body

    assert f'"args":["{kept}"]' in body
    assert json.loads(body)["args"] == json.loads(f'["{kept}"]')


@given(st.binary(max_size=50))
def test_what_is_sanitized_is_utf8_and_stays_so(given: bytes) -> None:
    once = sanitized(given)

    assert once.decode(errors="ignore").encode() == once
    assert sanitized(once) == once


@given(st.text(max_size=50))
def test_a_text_that_is_right_is_not_touched(given: str) -> None:
    pushed = json.dumps(given).encode() if given.isascii() else given.encode(errors="replace")

    assert sanitized(pushed) == pushed or b"\\ud" in pushed.lower()


def nested(levels: int) -> bytes:
    """Return a job whose deepest value is so many levels down, itself counted."""
    return raw("args", "[" * (levels - 1) + "]" * (levels - 1))


@pytest.mark.parametrize("limit", [2, 10, 100])
def test_a_job_may_be_nested_as_deep_as_the_limit(limit: int) -> None:
    assert read(nested(limit), Limits(job_depth=limit)).jid == "12345678"
    assert refusal(nested(limit + 1), Limits(job_depth=limit)) == (
        f"invalid JSON: it is nested more than {limit} levels deep"
    )


@pytest.mark.parametrize("value", ['["' + "[" * 5_000 + '"]', "[" + "[]," * 5_000 + "[]]"])
def test_many_brackets_are_not_deep(value: str) -> None:
    assert read(raw("args", value)).jid == "12345678"


@pytest.mark.parametrize(
    "job",
    [
        b"[" * 200_000,
        b"{" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 2_000 + b'"' + rb"\"" * 500_000,
        b"[" * 2_000 + b'"' * 1_000_001,
        b'"' + b"[" * 2_000 + b"x" * 1_000_000,
        b'["' + b"[" * 2_000 + rb"\\" * 500_000 + b"\\",
        b"]" * 2_000 + b"[" * 2_000,
        b'{"jid":"12345678","jobtype":"T","args":["\\ud800' + rb"\n" * 500_000,
        b'{"jid":"12345678","jobtype":"T","args":["\\ud800' + rb"\u00e9" * 200_000,
    ],
    ids=lambda job: repr(job[:12] + b"..." + job[-6:]),
)
def test_a_text_that_is_made_to_take_long_is_refused_soon(job: bytes) -> None:
    with pytest.raises(CommandRefused, match=r"^invalid JSON: "):
        read_job(job, Limits())


def test_nesting_beyond_what_the_interpreter_can_is_refused() -> None:
    deep = nested(100_000)

    assert refusal(deep, Limits(job_depth=1_000_000)) == (
        "invalid JSON: it is nested too deeply, the limit is 1000000"
    )
