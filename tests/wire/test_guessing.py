"""Who tries many passwords at once, or holds the door of TLS, keeps nobody else out."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.waiting import until
from tests.worker.running import ROOT, environment

from .conftest import PASSWORD
from .hostile import FromElsewhere, seconds_to_greet
from .running import COMMAND, HOST, make_certificate, start

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Serve
    from .running import Server

LIMIT, GUESSES = 3, 40
INVALID = "ERR Invalid password"


@pytest.fixture
def guarded(serve: Serve) -> Server:
    """Return a server that nobody has failed to enter."""
    return serve(password=PASSWORD, faktory={"SERVER_LOGINS_PER_MINUTE": LIMIT})


def test_guesses_made_at_once_are_no_more_than_the_limit(guarded: Server) -> None:
    def guess(number: int) -> str:
        with guarded.connect() as wire:
            return wire.greet(f"guess-{number}").text

    with ThreadPoolExecutor(GUESSES) as pool:
        answers = pool.map(guess, range(GUESSES))
        with FromElsewhere(guarded) as friend:
            began = time.monotonic()
            assert friend.greet(PASSWORD).raw == b"+OK\r\n"
            waited = time.monotonic() - began
        assert set(answers) == {INVALID}

    assert waited < 0.9
    assert guarded.log.count("a wrong password from 127.0.0.1") == LIMIT
    assert "guess-" not in guarded.log


def test_many_connections_of_one_worker_get_in_at_once(guarded: Server) -> None:
    def enter(number: int) -> bytes:
        with guarded.connect() as wire:
            return wire.greet(PASSWORD, wid="worker-with-a-pool", pid=number).raw

    with ThreadPoolExecutor(GUESSES) as pool:
        answers = set(pool.map(enter, range(GUESSES)))

    assert answers == {b"+OK\r\n"}


def test_who_is_refused_unseen_does_not_lengthen_the_time_of_it(guarded: Server) -> None:
    def knock(password: str) -> str:
        with guarded.connect() as wire:
            return wire.greet(password).text

    with ThreadPoolExecutor(GUESSES) as pool:
        wrong = list(pool.map(knock, ["wrong"] * LIMIT))
        unseen = list(pool.map(knock, [PASSWORD] * GUESSES))

    assert set(wrong + unseen) == {INVALID}
    assert guarded.log.count("a wrong password from 127.0.0.1") == LIMIT


def test_sockets_that_never_begin_tls_are_cut_off_and_keep_nobody_out(encrypted: Server) -> None:
    with ExitStack() as stack:
        address = (HOST, encrypted.port)
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
        began, waits = time.monotonic(), []
        for sock in silent:
            sock.settimeout(0)

        def all_are_cut_off() -> bool:
            silent[:] = [sock for sock in silent if not has_ended(sock)]
            waits.append(seconds_to_greet(encrypted))
            return not silent

        until(all_are_cut_off, "all are cut off", seconds=10)

    assert time.monotonic() - began > 1.5
    assert max(waits) < 1.5


def has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_a_certificate_that_cannot_be_read_leaves_the_old_one(serve: Serve, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    copy = tmp_path / "copy.pem"
    shutil.copy(certificate, copy)
    server = serve(certificate=certificate)
    assert seconds_to_greet(server) < 5
    certificate.write_text("no certificate", encoding="ascii")

    server.process.send_signal(signal.SIGHUP)

    until(lambda: "cannot be read, the old one stays" in server.log, "it says so")
    server.certificate = copy
    assert seconds_to_greet(server) < 5


def test_without_a_password_it_does_not_listen_beyond_this_machine(tmp_path: Path) -> None:
    server = start(tmp_path / "log", "--bind", "0.0.0.0:0")

    assert server.process.wait(20) == 2
    assert "0.0.0.0:0 is reachable from other machines: set FAKTORY_PASSWORD" in server.log


def test_a_password_may_be_skipped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKTORY_SKIP_PASSWORD", "1")
    server = serve(password=PASSWORD)

    with server.connect() as wire:
        assert wire.read().raw == b'+HI {"v":2}\r\n'
        assert wire.call('HELLO {"v":2}').raw == b"+OK\r\n"


def test_a_self_check_of_another_service_says_what_it_met() -> None:
    with socket.create_server((HOST, 0)) as other:

        def greet() -> None:
            peer, _ = other.accept()
            with peer:
                peer.sendall(b"SSH-2.0-OpenSSH\r\n")
                peer.recv(1)

        thread = threading.Thread(target=greet)
        thread.start()
        bind = f"{HOST}:{other.getsockname()[1]}"
        checked = subprocess.run(
            [*COMMAND, "--self-check", "--bind", bind],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        thread.join()

    assert checked.returncode == 1
    assert "is no server of this protocol: b'SSH-2.0-OpenSSH" in checked.stderr
    assert "Traceback" not in checked.stderr
