"""Handshake: which first line is a HELLO, what it says, and who knows the password."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faktory_django.wire import handshake
from faktory_django.wire.handshake import BadHello, Challenge, Hello, read_hello

CHALLENGE = Challenge("55104dc76695721d", 1_545)
PASSWORD = b"foobar"
HASH = "6d877f8e5544b1f2598768f817413ab8a357afffa924dedae99eb91472d4ec30"


@pytest.mark.parametrize(
    ("challenge", "line"),
    [
        (None, b'+HI {"v":2}\r\n'),
        (Challenge("abc", 4_000), b'+HI {"v":2,"i":4000,"s":"abc"}\r\n'),
    ],
)
def test_the_greeting_has_no_space_and_its_keys_in_order(
    challenge: Challenge | None, line: bytes
) -> None:
    assert handshake.greeting(challenge) == line


@pytest.mark.parametrize(
    ("text", "hello"),
    [
        ("{}", Hello()),
        ('{"v":2}', Hello(version=2)),
        ('{"v":3}', Hello(version=3)),
        ('{"v":255}', Hello(version=255)),
        ('{"v":0}', Hello()),
        ('{"v":1}', Hello(version=1)),
        ('{"v":null}', Hello()),
        ('{ "v" : 2 }  \r', Hello(version=2)),
        ('{"V":2,"WID":"w","PwdHash":"h"}', Hello(version=2, wid="w", pwdhash="h")),
        ('{"v":1,"v":2}', Hello(version=2)),
        ('{"v":2,"V":1}', Hello(version=1)),
        ('{"wid":""}', Hello()),
        ('{"wid":null,"pid":null,"labels":null,"hostname":null,"pwdhash":null}', Hello()),
        ('{"username":null}', Hello()),
        ('{"username":"me","password":[1,{"a":2}],"other":1.5}', Hello()),
        ('{"pid":-5}', Hello()),
        ('{"pid":2147483647}', Hello(pid=2**31 - 1)),
        ('{"pid":99999999999999999999}', Hello(pid=2**31 - 1)),
        ('{"labels":["a","b"]}', Hello(labels=("a", "b"))),
        ('{"hostname":"h","wid":"w w","pid":7}', Hello(hostname="h", wid="w w", pid=7)),
        (r'{"hostname":"a\u0000b","labels":["\u0000"]}', Hello(hostname="a�b", labels=("�",))),
        (r'{"hostname":"\ud800"}', Hello(hostname="�")),
        (r'{"wid":"日本"}', Hello(wid="日本")),
    ],
)
def test_a_hello_says_who_it_is(text: str, hello: Hello) -> None:
    assert read_hello(b"HELLO " + text.encode()) == hello


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HELLO",
        b"HELLO ",
        b"hello {}",
        b" HELLO {}",
        b"HELLO  {}",
        b"HELLO\t{}",
        b"HELLO{}",
        b"HELLO []",
        b"HELLO null",
        b'HELLO "v"',
        b"HELLO {",
        b"HELLO {}}",
        b"HELLO {} {}",
        b"HELLO {v:2}",
        b'HELLO {"v":2,}',
        b'HELLO {"v":"2"}',
        b'HELLO {"v":2.0}',
        b'HELLO {"v":true}',
        b'HELLO {"v":-1}',
        b'HELLO {"v":256}',
        b'HELLO {"v":' + b"9" * 4_000 + b"}",
        b'HELLO {"wid":5}',
        b'HELLO {"pid":"5"}',
        b'HELLO {"pid":1.5}',
        b'HELLO {"labels":"a"}',
        b'HELLO {"labels":[1]}',
        b'HELLO {"labels":[null]}',
        b'HELLO {"labels":{}}',
        b'HELLO {"hostname":[]}',
        b'HELLO {"username":1}',
        b'HELLO {"pwdhash":1}',
        b'HELLO {"wid":"a\\nb"}',
        b'HELLO {"wid":"\\u0000"}',
        b'HELLO {"wid":"\x1b"}',
        b'HELLO {"x":' + b"[" * 100_000,
        b"GET / HTTP/1.1",
        b'PUSH {"jid":"12345678"}',
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_hello_is_refused(line: bytes) -> None:
    with pytest.raises(BadHello):
        read_hello(line)


def test_invalid_utf8_becomes_a_replacement() -> None:
    assert read_hello(b'HELLO {"hostname":"a\xffb"}').hostname == "a�b"


def hello(**fields: Any) -> bytes:
    return b"HELLO " + json.dumps(fields).encode()


def test_a_wid_has_at_most_64_characters() -> None:
    assert read_hello(hello(wid="é" * 64)).wid == "é" * 64
    with pytest.raises(BadHello):
        read_hello(hello(wid="é" * 65))


def test_what_is_only_shown_is_cut() -> None:
    found = read_hello(hello(hostname="h" * 300, labels=["x" * 100] * 20))

    assert found.hostname == "h" * 255
    assert found.labels == ("x" * 64,) * 10


def test_the_hash_of_the_protocols_example() -> None:
    assert handshake.password_hash(PASSWORD, CHALLENGE) == HASH


@pytest.mark.parametrize("version", [2, 3, 255])
def test_the_hash_is_taken_as_often_as_asked(version: int) -> None:
    once = handshake.password_hash(PASSWORD, Challenge(CHALLENGE.salt, 1), version=version)

    assert handshake.password_hash(PASSWORD, CHALLENGE, version=version) == HASH
    assert handshake.password_hash(PASSWORD, CHALLENGE, version=1) == once
    assert handshake.password_hash(PASSWORD, CHALLENGE, version=0) == once


ONCE = handshake.password_hash(PASSWORD, Challenge(CHALLENGE.salt, 1))


@pytest.mark.parametrize(
    ("version", "pwdhash", "right"),
    [
        (2, HASH, True),
        (3, HASH, True),
        (1, ONCE, True),
        (0, ONCE, True),
        (2, ONCE, False),
        (1, HASH, False),
        (2, HASH.upper(), False),
        (2, HASH[:-1], False),
        (2, HASH + "0", False),
        (2, "", False),
        (2, "é" * 64, False),
        (2, "\ud800", False),
    ],
)
def test_only_the_right_hash_is_right(version: int, pwdhash: str, right: bool) -> None:
    found = handshake.is_right(Hello(version=version, pwdhash=pwdhash), PASSWORD, CHALLENGE)

    assert found is right


@pytest.mark.parametrize(
    ("greeting", "password", "expected"),
    [
        (b'+HI {"v":2}\r\n', None, {"v": 2}),
        (b'+HI {"v":2}\r\n', PASSWORD, {"v": 2}),
        (handshake.greeting(CHALLENGE), None, {"v": 2}),
        (handshake.greeting(CHALLENGE), PASSWORD, {"v": 2, "pwdhash": HASH}),
        (b"", PASSWORD, {"v": 2}),
    ],
)
def test_our_own_client_answers_a_greeting(
    greeting: bytes, password: bytes | None, expected: dict[str, Any]
) -> None:
    assert json.loads(handshake.reply(greeting, password)) == expected
