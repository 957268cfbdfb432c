"""Who gets in: the greeting, passwords and TLS, on a real socket (section 3)."""

from __future__ import annotations

import json
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PASSWORD
from .talking import Closed, Reply, Wire, password_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Serve
    from .running import Server

OK, WRONG = b"+OK\r\n", b"-ERR Invalid password\r\n"


def greeting(wire: Wire) -> dict[str, Any]:
    said = json.loads(wire.read().data.removeprefix(b"HI "))
    assert isinstance(said, dict)
    return said


def hello(server: Server, fields: Callable[[str, int], dict[str, Any]]) -> Reply:
    """Say a HELLO that is made for the salt and the iterations of the greeting."""
    with server.connect() as wire:
        said = greeting(wire)
        reply = wire.call(f"HELLO {json.dumps(fields(said['s'], said['i']))}")
        if reply.raw != OK:
            assert wire.ends()
        return reply


def test_the_hash_of_a_password_is_that_of_other_clients() -> None:
    assert (
        password_hash("foobar", "55104dc76695721d", 1545)
        == "6d877f8e5544b1f2598768f817413ab8a357afffa924dedae99eb91472d4ec30"
    )


def test_the_greeting_names_a_fresh_salt_without_a_space(locked: Server) -> None:
    salts = set()
    for _ in range(5):
        with locked.connect() as wire:
            line = wire.read().raw.decode()
        found = re.fullmatch(r'\+HI \{"v":2,"i":(\d{4}),"s":"([0-9a-f]{1,32})"\}\r\n', line)
        assert found, line
        assert 4_000 <= int(found[1]) <= 8_095
        salts.add(found[2])

    assert len(salts) == 5


def test_the_password_lets_a_client_in(locked: Server) -> None:
    def fields(salt: str, iterations: int) -> dict[str, Any]:
        return {"v": 2, "pwdhash": password_hash(locked.password, salt, iterations)}

    assert hello(locked, fields).raw == OK


@pytest.mark.parametrize("version", [{}, {"v": 1}, {"v": None}], ids=str)
def test_a_client_of_an_older_version_hashes_once(locked: Server, version: dict[str, Any]) -> None:
    def fields(salt: str, _: int) -> dict[str, Any]:
        return version | {"pwdhash": password_hash(locked.password, salt, 1)}

    assert hello(locked, fields).raw == OK


def test_without_the_password_a_client_is_told_so_and_left(locked: Server) -> None:
    with locked.connect() as wire:
        said = greeting(wire)
    heard = password_hash(locked.password, said["s"], said["i"])
    wrong: dict[str, Callable[[str, int], dict[str, Any]]] = {
        "none": lambda _s, _i: {"v": 2},
        "of another password": lambda s, i: {"v": 2, "pwdhash": password_hash("x", s, i)},
        "hashed once": lambda s, _: {"v": 2, "pwdhash": password_hash(PASSWORD, s, 1)},
        "in capitals": lambda s, i: {"v": 2, "pwdhash": password_hash(PASSWORD, s, i).upper()},
        "of another connection": lambda _s, _i: {"v": 2, "pwdhash": heard},
        "not hex": lambda _s, _i: {"v": 2, "pwdhash": "é" * 64},
    }

    with ThreadPoolExecutor(len(wrong)) as pool:
        replies = list(pool.map(lambda fields: hello(locked, fields), wrong.values()))

    found = dict(zip(wrong, replies, strict=True))
    assert {name: reply.raw for name, reply in found.items()} == dict.fromkeys(wrong, WRONG)


def test_nothing_is_done_before_the_password(locked: Server) -> None:
    with locked.connect() as wire:
        wire.read()
        wire.send("FLUSH\r\n")
        assert wire.ends()


def test_the_password_may_stand_in_a_file(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("  from a file \n", encoding="utf-8")
    server = serve(password=str(file))

    with server.connect() as wire:
        assert wire.greet("from a file").raw == OK


def test_tls_is_of_version_1_2_at_least(encrypted: Server) -> None:
    with encrypted.connect() as wire:
        assert wire.greet(encrypted.password).raw == OK
        assert isinstance(wire.socket, ssl.SSLSocket)
        assert wire.socket.version() == "TLSv1.3"


def test_a_client_without_tls_does_not_get_in(encrypted: Server) -> None:
    with Wire("127.0.0.1", encrypted.port, seconds=5) as wire:
        wire.send('HELLO {"v":2}\r\n')

        with pytest.raises((Closed, ValueError)):
            wire.read()
