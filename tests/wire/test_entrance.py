"""Passwords, TLS, signals and the self-check: who gets in, and how a balancer knows."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.waiting import until
from tests.worker.running import ROOT, environment

from .conftest import PASSWORD
from .hostile import FromElsewhere
from .running import COMMAND, HOST, make_certificate, start
from .talking import password_hash

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Serve
    from .running import Server

FEW = 3


def test_a_wrong_password_is_answered_late_and_too_many_are_not_looked_at(serve: Serve) -> None:
    server = serve(password=PASSWORD, faktory={"SERVER_LOGINS_PER_MINUTE": FEW})
    for _ in range(FEW):
        with server.connect() as wire:
            began = time.monotonic()
            assert wire.greet("wrong").text == "ERR Invalid password"
            assert time.monotonic() - began >= 1
            assert wire.ends()

    with server.connect() as wire:
        assert wire.greet(PASSWORD).text == "ERR Invalid password"
    with FromElsewhere(server) as wire:
        assert wire.greet(PASSWORD).raw == b"+OK\r\n"

    assert "a wrong password from 127.0.0.1" in server.log
    assert "wrong password" in server.log
    assert PASSWORD not in server.log


def test_a_hash_that_was_overheard_does_not_serve_again(locked: Server) -> None:
    with locked.connect() as wire:
        assert wire.greet(PASSWORD).raw == b"+OK\r\n"
    overheard = password_hash(PASSWORD, "an-old-salt", 4_000)

    with locked.connect() as wire:
        assert wire.greet(pwdhash=overheard).text == "ERR Invalid password"


def test_a_strict_server_refuses_old_clients_and_what_destroys(serve: Serve) -> None:
    strict = serve("--strict")
    with strict.connect() as old:
        assert "the least is 2" in old.greet(v=1).text
    with strict.connect() as wire:
        wire.greet()
        for line in ("FLUSH", 'MUTATE {"cmd":"clear","target":"dead"}', "QUEUE REMOVE a"):
            assert wire.call(line).text.endswith("is not permitted by this server")
        assert wire.call("QUEUE PAUSE a").raw == b"+OK\r\n"


def test_a_port_of_tls_speaks_nothing_else_and_nothing_old(encrypted: Server) -> None:
    with socket.create_connection((HOST, encrypted.port), timeout=10) as plain:
        plain.sendall(b'HELLO {"v":2}\r\n')
        assert b"+HI" not in plain.recv(100)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((HOST, encrypted.port), timeout=10) as plain,
        pytest.raises(OSError, match=r"(?i)protocol|alert|version|reset"),
    ):
        old.wrap_socket(plain)


def test_a_new_certificate_is_read_without_a_gap(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    certificate = make_certificate(tmp_path)
    server = serve(certificate=certificate)
    with server.connect() as before:
        before.greet()
        renewed = make_certificate(tmp_path / "new")
        for name in (certificate.name, "key.pem"):
            shutil.copy(renewed.with_name(name), tmp_path / name)
        with pytest.raises(ssl.SSLCertVerificationError):
            server.connect()  # it is not known yet

        server.process.send_signal(signal.SIGHUP)
        until(lambda: "the certificate was read again" in server.log, "it is read")

        with server.connect() as after:
            assert after.greet().raw == b"+OK\r\n"
        assert before.call("INFO").shape == "bulk"


def self_check(port: int, *options: str, password: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--bind", f"{HOST}:{port}", "--self-check", *options],
        cwd=ROOT,
        env=environment(FAKTORY_PASSWORD=password),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_self_check_tells_whether_a_server_serves(server: Server, encrypted: Server) -> None:
    tls = ("--tls-cert", str(encrypted.certificate))
    with socket.create_server((HOST, 0)) as nobody:
        free = nobody.getsockname()[1]

    plain = self_check(server.port)
    secret = self_check(encrypted.port, *tls, password=PASSWORD)
    wrong = self_check(encrypted.port, *tls, password="n" + PASSWORD)
    nothing = self_check(free)

    assert (plain.returncode, plain.stdout) == (0, f"{HOST}:{server.port} serves\n")
    assert secret.returncode == 0, secret.stderr
    assert (wrong.returncode, nothing.returncode) == (1, 1)
    assert "does not serve: -ERR Invalid password" in wrong.stderr
    assert "Connection refused" in nothing.stderr


def test_without_uvloop_a_server_runs_on_the_loop_of_asyncio(
    transactional_db: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('hidden')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = start(tmp_path / "log")

    with server.connect() as wire:
        wire.greet()
        wire.push("by-asyncio-1")
        found = wire.fetch("default")

    assert found["jid"] == "by-asyncio-1"
    assert server.stop() == 0
