"""Workers that end with their test, and the ledger of their jobs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .running import ROOT, Ledger, Worker, command, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return the file that jobs write to."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def start(transactional_db: None, tmp_path: Path) -> Iterator[Callable[..., Worker]]:  # noqa: ARG001
    """Return a function that starts a worker, which ends before the tables are emptied."""
    workers: list[Worker] = []

    def begin(*options: str, faktory: dict[str, Any] | None = None, **variables: str) -> Worker:
        log_file = tmp_path / f"worker-{len(workers)}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command(*options),
                cwd=ROOT,
                env=environment(faktory, **variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        workers.append(Worker(process, log_file))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.kill()
