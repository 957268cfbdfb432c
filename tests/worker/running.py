"""A real worker: `python -m django faktory_worker`, its log, its children, its end."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import psutil
from django.db import connections

from faktory_django.models import DeadJob, Job, RetryJob, ScheduledJob
from tests.waiting import until

if TYPE_CHECKING:
    import subprocess

ROOT: Final = Path(__file__).parents[2]
# Short, so that a test does not wait for what takes seconds in production.
QUICK: Final[dict[str, Any]] = {
    "BEAT_SECONDS": 0.2,
    "SILENT_PROCESS_SECONDS": 1.5,
    "SILENT_CHILD_SECONDS": 5,
    "POLL_SECONDS": 0.5,
    "CONCURRENCY": 4,
    "ASYNC_CONCURRENCY": 20,
    "GRACE_SECONDS": 1,
}


def database_url() -> str:
    """Return the DATABASE_URL of the database of this test run."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connections['default'].settings_dict['NAME']}"))


def command(*options: str) -> list[str]:
    """Return the command line of a worker."""
    return [sys.executable, "-m", "django", "faktory_worker", *options]


def environment(faktory: dict[str, Any] | None = None, **variables: str) -> dict[str, str]:
    """Return the environment of a worker on the test database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONWARNINGS": "error",
        "DATABASE_URL": database_url(),
        "TEST_FAKTORY": json.dumps(QUICK | (faktory or {})),
        **variables,
    }


@dataclass
class Worker:
    """A worker that runs, the leader of a process group of its own."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """All that it has written."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def children(self) -> list[psutil.Process]:
        """Return the processes that run jobs."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def kill_a_child(self) -> bool:
        """Kill one of the living children, if there is one, and tell whether there was."""
        if living := [child for child in self.children() if alive(child)]:
            with suppress(psutil.NoSuchProcess):
                random.choice(living).kill()  # noqa: S311
                return True
        return False

    def family(self) -> list[psutil.Process]:
        """Return the process and all that come from it."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        return []

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the parent."""
        self.process.send_signal(number)

    def wait_for_log(self, text: str, seconds: float = 15.0) -> None:
        """Wait until the log holds text."""
        until(lambda: text in self.log, f"{text!r} in the log", seconds=seconds)

    def end(self, seconds: float = 15.0) -> int:
        """Wait for the end, and return the exit code."""
        return self.process.wait(seconds)

    def stop(self, seconds: float = 15.0) -> int:
        """Ask it to stop, and return the exit code."""
        self.send(signal.SIGTERM)
        return self.end(seconds)

    def kill(self) -> None:
        """End it and all its children at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@dataclass
class Ledger:
    """The file in which jobs write what they do, outside the database."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def lines(self) -> list[str]:
        """All lines so far, complete ones only."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return text.split("\n")[:-1]

    def is_longer_than(self, count: int) -> bool:
        """Tell whether there are more lines than count."""
        return len(self.lines) > count

    def open_gate(self) -> None:
        """Let the jobs that hold end."""
        Path(f"{self.path}.gate").touch()

    def wait_for(self, *lines: str, seconds: float = 15.0) -> None:
        """Wait until all these lines are there."""
        until(
            lambda: set(lines) <= set(self.lines),
            f"{lines[:5]} in the ledger",
            seconds=seconds,
        )


def alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def left() -> dict[str, int]:
    """Return how many jobs are queued or run, are scheduled, will be retried, are dead."""
    tables: dict[str, Any] = {"job": Job, "scheduled": ScheduledJob, "retry": RetryJob}
    return {name: m.objects.count() for name, m in (tables | {"dead": DeadJob}).items()}


def no_job_is_left() -> bool:
    """Tell whether no job waits or runs."""
    return not Job.objects.exists()
