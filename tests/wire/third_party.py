"""Libraries of other people, each in a process of its own, with nothing but FAKTORY_URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.npm import found, installed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .running import Server

HERE: Final = Path(__file__).parent
NODE: Final = HERE / "node"


@dataclass(frozen=True)
class ThirdParty:
    """A client library: how to run it, what it can, and what it logs when it is quieted."""

    name: str
    command: tuple[str, ...]
    errtype: str
    quieted: str
    bulk: bool = True
    tls: bool = True

    def __str__(self) -> str:
        return self.name

    def arguments(self, *arguments: str) -> list[str]:
        """Return a command line."""
        return [found(self.command[0]), *self.command[1:], *arguments]


NODE_WORKER: Final = ThirdParty(
    "node", ("node", str(NODE / "client.js")), errtype="ENO", quieted="faktory-worker:worker quiet"
)
CDRX: Final = ThirdParty(
    "cdrx",
    (sys.executable, str(HERE / "clients" / "cdrx.py")),
    errtype="ValueError",
    quieted="Faktory has quieted this worker",
    bulk=False,
    # It calls ssl.wrap_socket, which Python no longer has since 3.12.
    tls=sys.version_info < (3, 12),
)
PYFAKTORY: Final = ThirdParty(
    "pyfaktory",
    (sys.executable, str(HERE / "clients" / "pyfaktory_client.py")),
    errtype="ValueError",
    quieted="to State.QUIET",
)
ALL: Final = (NODE_WORKER, CDRX, PYFAKTORY)


def run(client: ThirdParty, server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Let a client do one thing, and return what came of it."""
    return subprocess.run(
        client.arguments(*arguments),
        env=client_environment(server),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def push(client: ThirdParty, server: Server, jobs: Sequence[dict[str, Any]]) -> Any:
    """Push jobs with a client, and return what it says."""
    return _said(run(client, server, "push", json.dumps(jobs)))


def push_bulk(client: ThirdParty, server: Server, jobs: Sequence[dict[str, Any]]) -> Any:
    """Push jobs in one command with a client, and return what it says."""
    return _said(run(client, server, "bulk", json.dumps(jobs)))


def client_environment(server: Server, **variables: str) -> dict[str, str]:
    """Return what a client gets to know: where the server is, and whom to trust."""
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    if server.certificate:
        known["NODE_EXTRA_CA_CERTS"] = str(server.certificate)
    known |= {"NODE_PATH": str(installed(NODE) / "node_modules"), "DEBUG": "faktory-worker:worker"}
    return known | {"FAKTORY_URL": server.url} | variables


def _said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
