"""The comparison notices what a recording does not allow."""

from __future__ import annotations

import pytest

from .comparing import difference
from .talking import Reply

RECORDED = '$<LEN>\r\n{"size":<NUM>,"at":"<TIME>","args":[1,1.5,"a"]}\r\n'
FRACTION = '"2026-01-02T03:04:05.123Z"'


@pytest.fixture(autouse=True)
def all_have_left() -> None:
    """No server takes part here."""


def bulk(text: str) -> Reply:
    return Reply("bulk", text.encode(), b"$%d\r\n%b\r\n" % (len(text), text.encode()))


def error(text: str) -> Reply:
    return Reply("error", text.encode(), f"-{text}\r\n".encode())


def test_masks_stand_for_values_and_keys_for_any_order() -> None:
    assert difference(RECORDED, bulk(f'{{"args":[1,1.5,"a"],"at":{FRACTION},"size":7}}')) == ""


@pytest.mark.parametrize(
    "text",
    [
        f'{{"size":-7,"at":{FRACTION},"args":[1,1.5,"a"]}}',
        f'{{"size":"7","at":{FRACTION},"args":[1,1.5,"a"]}}',
        '{"size":7,"at":"2026-01-02T03:04:05+00:00","args":[1,1.5,"a"]}',
        f'{{"size":7,"at":{FRACTION},"args":[1.0,1.5,"a"]}}',
        f'{{"size":7,"at":{FRACTION},"args":[1,1.50,"a"]}}',
        f'{{"size":7,"at":{FRACTION},"args":[true,1.5,"a"]}}',
        f'{{"size":7,"at":{FRACTION},"args":[1,1.5,"a",null]}}',
        f'{{"size":7,"at":{FRACTION},"args":[1,1.5,"a"],"more":1}}',
        f'{{"size":7,"at":{FRACTION}}}',
    ],
)
def test_another_value_is_noticed(text: str) -> None:
    assert difference(RECORDED, bulk(text))


def test_of_an_error_only_the_words_of_a_parser_are_free() -> None:
    recorded = "-ERR invalid JSON: unexpected end of JSON input\r\n"

    assert difference(recorded, error("ERR invalid JSON: in other words")) == ""
    assert difference(recorded, error("ERR Invalid JSON: in other words"))
    assert difference("-ERR internal error\r\n", error("ERR internal errors"))
