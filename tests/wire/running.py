"""A real wire server: `python -m django faktory_server`, its log, its address, its end."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trustme

from tests.waiting import until
from tests.worker.running import ROOT, environment

from .talking import Wire

if TYPE_CHECKING:
    from pathlib import Path

HOST: Final = "127.0.0.1"
COMMAND: Final = (sys.executable, "-m", "django", "faktory_server")
LISTENING: Final = re.compile(r"listening on (?:tcp|tcp\+tls)://127\.0\.0\.1:(\d+)")


@dataclass
class Server:
    """A server that runs, and what its clients have to know."""

    process: subprocess.Popen[bytes]
    log_file: Path
    password: str = ""
    certificate: Path | None = None

    @property
    def log(self) -> str:
        """All that it has written."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def port(self) -> int:
        """Where it listens; waits until it does."""

        def found() -> str:
            assert self.process.poll() is None, f"the server has ended:\n{self.log}"
            line = LISTENING.search(self.log)
            return line[1] if line else ""

        return int(until(found, "the server listens"))

    @property
    def url(self) -> str:
        """What FAKTORY_URL says."""
        scheme = "tcp+tls" if self.certificate else "tcp"
        password = f":{self.password}@" if self.password else ""
        return f"{scheme}://{password}{HOST}:{self.port}"

    def connect(self, *, seconds: float = 10.0) -> Wire:
        """Return a new connection, on which nothing was said or read."""
        context = None
        if self.certificate:
            context = ssl.create_default_context(cafile=str(self.certificate))
        return Wire(HOST, self.port, context=context, seconds=seconds)

    def stop(self, seconds: float = 15.0) -> int:
        """Ask it to stop, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)


def start(
    log_file: Path,
    *options: str,
    password: str = "",
    certificate: Path | None = None,
    faktory: dict[str, Any] | None = None,
) -> Server:
    """Start a server on a free port of this machine; it need not listen yet."""
    if certificate:
        options += ("--tls-cert", str(certificate), "--tls-key", str(key_of(certificate)))
    # A server beats to be known again soon after a test has emptied the tables.
    settings = {"BEAT_SECONDS": 0.2} | (faktory or {})
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, "--bind", f"{HOST}:0", "--processes", "1", *options],
            cwd=ROOT,
            env=environment(settings, FAKTORY_PASSWORD=password),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Server(process, log_file, password, certificate)


def key_of(certificate: Path) -> Path:
    """Return where the key of a certificate is."""
    return certificate.with_name("key.pem")


def make_certificate(folder: Path) -> Path:
    """Make a certificate for this machine, the one of who signed it behind it, and its key."""
    certificate = folder / "certificate.pem"
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, "localhost")
    chain = [*issued.cert_chain_pems, authority.cert_pem]
    certificate.write_bytes(b"".join(pem.bytes() for pem in chain))
    issued.private_key_pem.write_to_path(str(key_of(certificate)))
    return certificate
