"""manage.py faktory_server: where it listens, with which password, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from faktory_django.errors import InvalidOption
from faktory_django.management.commands.faktory_server import (
    address,
    read_options,
    read_password,
    refuse_without_password,
)

if TYPE_CHECKING:
    from pathlib import Path

BINDS = [
    ("127.0.0.1:7419", True),
    ("127.0.0.2:0", True),
    ("127.255.255.254:0", True),
    ("127.1:0", True),
    ("localhost:7419", True),
    ("[::1]:7419", True),
    ("::1:7419", True),
    ("0.0.0.0:7419", False),
    ("0:7419", False),
    (":7419", False),
    ("[]:7419", False),
    ("[::]:7419", False),
    ("[::ffff:0.0.0.0]:7419", False),
    ("[::ffff:10.0.0.1]:7419", False),
    ("10.0.0.1:7419", False),
    ("192.0.2.1:7419", False),
    ("[fe80::1]:7419", False),
    ("[2001:db8::1]:7419", False),
    ("/run/faktory.sock:0", False),
    ("no such host:0", False),
]


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAKTORY_PASSWORD", "FAKTORY_SKIP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("bind", "is_loopback"), BINDS)
def test_without_a_password_it_listens_on_this_machine_only(bind: str, is_loopback: bool) -> None:
    told = read_options({"bind": bind})

    if is_loopback:
        refuse_without_password(told, insecure=False)
    else:
        with pytest.raises(InvalidOption) as refusal:
            refuse_without_password(told, insecure=False)
        assert str(refusal.value) == (
            f"--bind {told.host or '*'}:{told.port} is reachable from other machines: set "
            "FAKTORY_PASSWORD, or say --insecure-no-password"
        )
    refuse_without_password(told, insecure=True)


@pytest.mark.parametrize("bind", [bind for bind, _ in BINDS])
def test_with_a_password_it_listens_anywhere(bind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKTORY_PASSWORD", "secret")

    refuse_without_password(read_options({"bind": bind}), insecure=False)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7419", "127.0.0.1", 7_419),
        ("localhost:0", "localhost", 0),
        (":65535", "", 65_535),
        ("[::1]:1", "::1", 1),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "localhost", "7419", "a:", "a:x", "a:-1", "a:65536", "a:٣", "a:1.5", "a: 1"]
)
def test_an_address_that_is_none_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        address(text)

    assert str(refusal.value) == (
        f"--bind must be HOST:PORT with a port from 0 to 65535, got {text!r}"
    )


@pytest.mark.parametrize(
    ("variables", "setting", "password"),
    [
        ({}, "", None),
        ({}, "from settings", b"from settings"),
        ({"FAKTORY_PASSWORD": "env"}, "from settings", b"env"),
        ({"FAKTORY_PASSWORD": ""}, "from settings", b"from settings"),
        ({"FAKTORY_PASSWORD": " é "}, "", " é ".encode()),
        ({"FAKTORY_PASSWORD": "env", "FAKTORY_SKIP_PASSWORD": "1"}, "from settings", None),
        ({"FAKTORY_PASSWORD": "env", "FAKTORY_SKIP_PASSWORD": "TRUE"}, "", None),
        ({"FAKTORY_PASSWORD": "env", "FAKTORY_SKIP_PASSWORD": "yes"}, "", None),
        ({"FAKTORY_PASSWORD": "env", "FAKTORY_SKIP_PASSWORD": "0"}, "", b"env"),
        ({"FAKTORY_PASSWORD": "env", "FAKTORY_SKIP_PASSWORD": ""}, "", b"env"),
    ],
)
def test_the_password_comes_from_the_environment_then_the_settings(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    setting: str,
    password: bytes | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert read_password(setting) == password


def test_a_password_that_begins_with_a_slash_names_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b" secret \xff\r\n")

    assert read_password(str(file)) == b"secret \xff"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "the password file cannot be read: "), (b" \n", "is empty")]
)
def test_a_password_file_of_no_use_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidOption, match=words):
        read_password(str(file))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"database": "other"}, "--database must be an alias in DATABASES (default), got 'other'"),
        ({"processes": 0}, "--processes must be 1 to 256, got 0"),
        ({"tls_key": "k.pem"}, "--tls-key needs --tls-cert, got only 'k.pem'"),
        ({"bind": "x"}, "--bind must be HOST:PORT with a port from 0 to 65535, got 'x'"),
    ],
)
def test_a_wrong_option_is_named_with_its_value(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        read_options(given)

    assert str(refusal.value) == words


def test_options_win_over_settings(override_faktory: Any) -> None:
    override_faktory(SERVER_BIND="127.0.0.9:1", SERVER_PROCESSES=3, SERVER_TLS_CERT="c.pem")

    by_settings = read_options({})
    by_option = read_options({"bind": "127.0.0.8:2", "processes": 2, "tls_cert": "d.pem"})

    assert (by_settings.host, by_settings.port, by_settings.processes) == ("127.0.0.9", 1, 3)
    assert (by_option.host, by_option.port, by_option.processes) == ("127.0.0.8", 2, 2)
    assert (by_settings.tls_cert, by_option.tls_cert) == ("c.pem", "d.pem")
    assert read_options({"strict": True}) == by_settings.strict()
