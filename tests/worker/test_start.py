"""A worker that cannot start says why in one line; with --reload it starts again by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django import job, registry
from tests.jobapp import jobs
from tests.waiting import until

from .running import ROOT, Ledger, Worker, alive, command, database_url, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Worker]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("options", "variables", "code", "message"),
    [
        (["--queue", "a b"], {}, 2, "CommandError: a queue name is 1 to 100 characters of a-z, "),
        (["--nonsense"], {}, 2, "error: unrecognized arguments: --nonsense"),
        (
            [],
            {"FAKTORY_WORKER_PROCESSES": "x"},
            2,
            "CommandError: FAKTORY_WORKER_PROCESSES must be int, got 'x'",
        ),
        ([], {"TEST_FAKTORY": '{"POLL": 1}'}, 1, "settings.FAKTORY has no key 'POLL'; it knows"),
        (
            [],
            {"DATABASE_URL": "sqlite:///nothing.sqlite3"},
            1,
            "database 'default' must be PostgreSQL, it is sqlite",
        ),
        (
            ["--skip-checks"],
            {"DATABASE_URL": "sqlite:///nothing.sqlite3"},
            1,
            "CommandError: database 'default' must be PostgreSQL, it is sqlite",
        ),
    ],
)
def test_a_worker_that_cannot_start_says_why_in_one_line_and_exits(
    options: list[str], variables: dict[str, str], code: int, message: str
) -> None:
    ran = subprocess.run(
        command(*options),
        cwd=ROOT,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert ran.returncode == code
    assert message in ran.stderr
    assert len([line for line in ran.stderr.splitlines() if message in line]) == 1
    assert "Traceback" not in ran.stderr


def test_a_worker_waits_for_a_database_that_is_not_migrated(start: Start, ledger: Ledger) -> None:
    jobs.record.perform_async(str(ledger), "ran")
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA elsewhere")
    try:
        options = "-c%20search_path=elsewhere"
        url = database_url()
        worker = start(DATABASE_URL=f"{url}{'&' if '?' in url else '?'}options={options}")

        worker.wait_for_log("waiting: database 'default' has no function")
        assert worker.process.poll() is None
        assert worker.stop() == 0
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA elsewhere CASCADE")
    assert "Traceback" not in worker.log
    assert ledger.lines == []


def test_a_worker_whose_database_accepts_and_says_nothing_can_be_stopped(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        worker = start(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{port}/nothing")
        connected, _ = silent.accept()

        with connected:
            code = worker.stop()

    assert code == 0
    assert "Traceback" not in worker.log


def test_a_worker_whose_database_accepts_and_says_nothing_says_so(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        worker = start(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{port}/nothing")

        worker.wait_for_log("waiting: the database does not answer: ")
        code = worker.stop()

    assert code == 0


def test_two_functions_with_one_name_stop_the_start(tmp_path: Path) -> None:
    app = tmp_path / "clashing"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "jobs.py").write_text(
        "from faktory_django import job\n@job(name='tests.jobapp.jobs.noop')\ndef other(): pass\n"
    )
    (tmp_path / "clashing_settings.py").write_text(
        "from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'clashing']\n"
    )

    ran = subprocess.run(
        command(),
        cwd=ROOT,
        env=environment()
        | {"DJANGO_SETTINGS_MODULE": "clashing_settings", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert ran.returncode == 1
    assert ran.stderr.strip() == (
        "CommandError: jobtype 'tests.jobapp.jobs.noop' belongs to tests.jobapp.jobs.noop, "
        "clashing.jobs.other claims it too"
    )


def test_with_reload_a_worker_starts_again_when_code_changes_and_ends_with_its_reloader(
    start: Start, ledger: Ledger, tmp_path: Path
) -> None:
    app = tmp_path / "changing"
    app.mkdir()
    (app / "__init__.py").touch()
    text = "from faktory_django import job\n@job(name='changing')\ndef work(path):\n"
    text += "    with open(path, 'a') as f:\n        f.write('{}\\n')\n"
    (app / "jobs.py").write_text(text.format("old"))
    (tmp_path / "changing_settings.py").write_text(
        "from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'changing']\n"
    )
    push = named("changing")
    worker = start(
        "--reload",
        DJANGO_SETTINGS_MODULE="changing_settings",
        PYTHONPATH=str(tmp_path),
        PYTHONDONTWRITEBYTECODE="1",
    )
    push(str(ledger))
    ledger.wait_for("old")

    (app / "jobs.py").write_text(text.format("new"))
    touched: list[float] = []
    until(lambda: started_again(worker, app / "jobs.py", touched), "a second start", seconds=20)
    push(str(ledger))
    ledger.wait_for("new")

    family = worker.family()
    os.killpg(worker.process.pid, signal.SIGINT)
    worker.end()
    until(lambda: not any(map(alive, family)), "all have ended")


def started_again(worker: Worker, file: Path, touched: list[float]) -> bool:
    """Change a file every 3 s, for the reloader may not watch it yet; tell whether it noticed."""
    now = time.monotonic()
    if not touched or now > touched[-1] + 3:
        touched.append(now)
        moment = 2_000_000_000 + len(touched)
        os.utime(file, (moment, moment))
    return worker.log.count("queues default") == 2


def named(name: str) -> Callable[[str], object]:
    """Return a function that pushes a job that only a worker knows."""

    @job(name=name)
    def work(path: str) -> None:
        """Stand for the worker's function."""

    del registry._definitions[name]
    return work.perform_async
