"""Subject: a system under measurement, driven through its verbs in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import accounting
from .proof import VARIABLE, Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .stores import Postgres, Redis

TEXT = 84  # with its number and punctuation, arguments of about 100 bytes
CALL_SECONDS = 600.0
START_SECONDS = 30.0
STOP_SECONDS = 5.0


class Unmeasurable(Exception):
    """A system did not do what was asked; the message says where to look."""


@dataclass
class Subject:
    """One system with its database; command runs its verbs."""

    name: str
    command: Sequence[str]
    postgres: Postgres
    redis: Redis | None = None
    environment: dict[str, str] = field(default_factory=dict)
    text: int = TEXT

    def __post_init__(self) -> None:
        self.database = f"bench_{self.name}"
        folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())  # noqa: S108
        self.proof = Proof(folder / f"{self.database}.{os.getpid()}")
        self.log = Path(tempfile.gettempdir()) / f"{self.database}.log"
        self._workers: list[subprocess.Popen[bytes]] = []

    @cached_property
    def info(self) -> dict[str, Any]:
        """What the system says of itself."""
        found: dict[str, Any] = self.call("info")
        return found

    def call(self, *args: object, database: str | None = None) -> Any:
        """Run a verb and return what it printed as JSON, or None."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                [*self.command, *map(str, args)],
                env=self._environment(database or self.database),
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=CALL_SECONDS,
            )
        if done.returncode:
            raise Unmeasurable(f"{self.name}: {args[0]} ended with {done.returncode}; {self.log}")
        lines = [line for line in done.stdout.decode().splitlines() if line.startswith("{")]
        return json.loads(lines[-1]) if lines else None

    @contextmanager
    def spawn(self, *args: object) -> Iterator[subprocess.Popen[bytes]]:
        """Run a verb beside the measurement; it has ended when the block has."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self.command, *map(str, args)],
                env=self._environment(self.database),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def fresh(self) -> None:
        """Begin with an empty store and no records."""
        if self.info["store"] == "redis" and self.redis is not None:
            self.redis.clear()
        else:
            template = f"{self.database}_template"
            if not self.postgres.has(template):
                self.postgres.create(f"{template}_new")
                self.call("setup", database=f"{template}_new")
                self.postgres.rename(f"{template}_new", template)
            self.postgres.create(self.database, template)
        self.proof.clear()

    def fill(self, job: str, count: int, first: int = 0) -> float:
        """Push count jobs as fast as the system does; return jobs per second."""
        found = self.call("push", "many", job, count, first, CALL_SECONDS)
        if self.info["store"] == "postgres":
            self.postgres.settle(self.database)
        return float(found["jobs"] / found["seconds"])

    def store_cpu(self) -> float:
        """Return the CPU seconds of its store so far."""
        if self.info["store"] == "redis" and self.redis is not None:
            return self.redis.cpu_seconds()
        return self.postgres.cpu_seconds()

    # workers

    def start(self, variant: str) -> None:
        """Start the workers of a variant."""
        log = self.log.open("ab")
        for _ in range(self.info["variants"][variant]["processes"]):
            self._workers.append(
                subprocess.Popen(
                    [*self.command, "worker", variant],
                    env=self._environment(self.database),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        log.close()

    def roots(self) -> list[int]:
        """Return the processes that were started."""
        return [worker.pid for worker in self._workers]

    def worker_cpu(self) -> float:
        """Return the CPU seconds of the workers so far."""
        return accounting.cpu_seconds(self.roots())

    def await_records(self, count: int, seconds: float = START_SECONDS) -> None:
        """Wait until so many records are there. Raises Unmeasurable."""
        self.wait(lambda: self.proof.count() >= count, seconds)
        if self.proof.count() < count:
            raise Unmeasurable(
                f"{self.name}: {self.proof.count()} of {count} records in {seconds} s; {self.log}"
            )

    def wait(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so, or the time is over."""
        deadline = time.monotonic() + seconds
        while not is_so() and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the workers; those that do not stop in time are killed."""
        for worker in self._workers:
            worker.terminate()
        self.wait(lambda: all(w.poll() is not None for w in self._workers), STOP_SECONDS)
        for pid in accounting.tree(self.roots()):  # their sessions are theirs alone
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for worker in self._workers:
            worker.wait(STOP_SECONDS)
        self._workers = []

    def close(self) -> None:
        """Remove what the measurements have left behind."""
        self.stop()
        if self.info["store"] == "postgres":
            self.postgres.drop(self.database)
        self.proof.path.unlink(missing_ok=True)

    def _environment(self, database: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return {
            **kept,
            **self.postgres.environment(database),
            **({"REDIS_URL": self.redis.url} if self.redis else {}),
            VARIABLE: str(self.proof.path),
            "BENCHMARK_TEXT": str(self.text),
            "PYTHONPATH": os.pathsep.join(
                [str(Path.cwd()), *filter(None, [kept.get("PYTHONPATH")])]
            ),
            **self.environment,
        }


def python(module: str, interpreter: str = sys.executable) -> list[str]:
    """Return the command that runs the verbs of a system in Python."""
    return [interpreter, "-m", module]
