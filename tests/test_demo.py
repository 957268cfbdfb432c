"""The demo says in one line why it cannot run; that it runs is shown by `make demo` itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def demo(database_url: str) -> subprocess.CompletedProcess[str]:
    """Run the demo on a database."""
    return subprocess.run(
        [sys.executable, "manage.py", "demo", "--once"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def nobody_answers() -> str:
    """Return the URL of a server that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"postgresql://nobody@127.0.0.1:{free.getsockname()[1]}/nothing"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (nobody_answers(), "CommandError: the database does not answer: connection failed: "),
        ("sqlite:///:memory:", "CommandError: DATABASE_URL must name a PostgreSQL server, it is "),
    ],
    ids=["nobody answers", "sqlite"],
)
def test_a_database_that_does_not_do_is_named_in_one_line(url: str, message: str) -> None:
    ran = demo(url)

    assert ran.returncode == 1
    assert ran.stderr.startswith(message)
    assert ran.stderr.count("\n") == 1
