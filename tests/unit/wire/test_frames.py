"""Frames: where lines begin and end, what is too long, and replies that are one line."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faktory_django.wire import frames
from faktory_django.wire.frames import Lines, LineTooLong

LIMIT = 10


def all_of(lines: Lines) -> list[bytes]:
    found = []
    while (line := lines.next()) is not None:
        found.append(line)
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a", []),
        (b"a\r", []),
        (b"a\n", [b"a"]),
        (b"a\r\n", [b"a"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"\n", [b""]),
        (b"\r\n", [b""]),
        (b"\r\r\n", [b"\r"]),
        (b"a\rb\n", [b"a\rb"]),
        (b" a \n", [b" a "]),
        (b"a\n\nb\r\nc", [b"a", b"", b"b"]),
        (b"\0\xff\n", [b"\0\xff"]),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 100])
def test_a_line_ends_at_lf_and_loses_one_cr(data: bytes, expected: list[bytes], step: int) -> None:
    lines = Lines(LIMIT)
    found = []

    for start in range(0, len(data), step):
        lines.feed(data[start : start + step])
        found += all_of(lines)

    assert found == expected
    assert len(lines) == len(data) - data.rfind(b"\n") - 1


@given(st.lists(st.binary(max_size=12)), st.lists(st.integers(0, 60)))
@example([b"a" * 10, b"b"], [10, 11])
def test_how_bytes_are_cut_makes_no_difference(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(part.replace(b"\n", b"")[:LIMIT] + b"\r\n" for part in parts)
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    lines, found = Lines(LIMIT), []

    for start, end in pairwise(ends):
        lines.feed(data[start:end])
        found += all_of(lines)

    assert found == [part.replace(b"\n", b"")[:LIMIT] for part in parts]


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("step", [1, 100])
def test_a_line_may_be_as_long_as_the_limit(size: int, end: bytes, step: int) -> None:
    data, lines = b"x" * size + end, Lines(LIMIT)
    found = []

    for start in range(0, len(data), step):
        lines.feed(data[start : start + step])
        found += all_of(lines)

    assert found == [b"x" * size]
    assert Lines(LIMIT).whole(data) == b"x" * size


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\n", b"x" * 11 + b"\r\n", b"\r" * 12])
def test_a_line_over_the_limit_is_too_long_with_and_without_its_end(data: bytes) -> None:
    lines = Lines(LIMIT)
    lines.feed(b"first\n" + data)
    assert lines.next() == b"first"

    with pytest.raises(LineTooLong):
        lines.next()


@pytest.mark.parametrize("data", [b"x" * 11 + b"\n", b"x" * 11 + b"\r\n"])
def test_a_whole_line_over_the_limit_is_too_long(data: bytes) -> None:
    with pytest.raises(LineTooLong):
        Lines(LIMIT).whole(data)


def test_the_limit_may_grow() -> None:
    lines = Lines(LIMIT)
    lines.limit = 20

    lines.feed(b"x" * 20 + b"\n")

    assert lines.next() == b"x" * 20


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a\n", b"a"),
        (b"a\r\n", b"a"),
        (b"a\r\r\n", b"a\r"),
        (b"\n", b""),
        (b"\r\n", b""),
        (b"a", None),
        (b"a\nb", None),
        (b"a\nb\n", None),
        (b"\n\n", None),
    ],
)
def test_what_is_one_line_is_taken_as_it_is(data: bytes, line: bytes | None) -> None:
    assert Lines(LIMIT).whole(data) == line


def test_a_whole_line_does_not_overtake_what_waits() -> None:
    lines = Lines(LIMIT)
    lines.feed(b"half")

    assert lines.whole(b"a\n") is None
    lines.feed(b"a\n")
    assert lines.next() == b"halfa"
    assert lines.whole(b"b\n") == b"b"


def test_lines_that_were_read_are_not_held() -> None:
    lines = Lines(1_000_000)

    for _ in range(1_000):
        lines.feed(b"x" * 999 + b"\n" + b"half")
        all_of(lines)

    assert len(lines) == 4
    assert len(lines._buffer) == 4


def test_a_reply_says_how_long_it_is() -> None:
    assert frames.bulk("é".encode()) == b"$2\r\n\xc3\xa9\r\n"
    assert frames.bulk(b"") == b"$0\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("wrong", b"-ERR wrong\r\n"),
        ("a\r\nb\0c\td", rb"-ERR a\r\nb\x00c\td" + b"\r\n"),
        ("\x1b[31m\x7f\x85", rb"-ERR \x1b[31m\x7f\x85" + b"\r\n"),
        ("\u2028\u2029\ud800", rb"-ERR \u2028\u2029\ud800" + b"\r\n"),
        ("é日本😀", "-ERR é日本😀\r\n".encode()),
    ],
)
def test_an_error_is_one_line_whatever_it_says(text: str, reply: bytes) -> None:
    assert frames.error(text) == reply


def test_an_error_may_have_another_code() -> None:
    assert frames.error("Job not unique", "NOTUNIQUE") == b"-NOTUNIQUE Job not unique\r\n"


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (b"", ""),
        (b"PING", "PING"),
        (b"A\rB", "A\\rB"),
        (b"\0\x01\xff", "\\x00\\x01\\xff"),
        (b"x" * 100, "x" * 100),
        (b"x" * 101, "x" * 100 + "…"),
        ("é".encode() * 101, "é" * 100 + "…"),
        ("😀".encode() * 100, "😀" * 100),
        ("😀".encode() * 5_000, "😀" * 100 + "…"),
        (b"\n" * 1_000, "\\n" * 100 + "…"),
    ],
)
def test_words_of_a_client_are_escaped_and_cut(words: bytes, shown: str) -> None:
    assert frames.echo(words) == shown


@given(st.binary())
def test_any_words_of_a_client_fit_in_one_line(words: bytes) -> None:
    reply = frames.error(frames.echo(words))

    assert len(reply.decode().splitlines()) == 1
    assert len(frames.echo(words)) <= 601
