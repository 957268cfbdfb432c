"""A worker that cannot start says why in one line; with --reload it starts again by itself."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from faktory_django import InvalidOption, job, registry
from faktory_django.management.commands.faktory_worker import worker_options
from faktory_django.worker.start import start
from tests.jobapp import jobs
from tests.waiting import until

from .running import ROOT, Ledger, Worker, alive, command, database_url, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Worker]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("options", "variables", "code", "message"),
    [
        (["--queue", "a b"], {}, 2, "CommandError: a queue name is 1 to 100 characters of a-z, "),
        (["--nonsense"], {}, 2, "error: unrecognized arguments: --nonsense"),
        (["--reload", "--queue", "a b"], {}, 2, "CommandError: a queue name is 1 to 100 charac"),
        (["--reload", "--burst"], {}, 2, "CommandError: --reload never ends, so it does not go"),
        ([], {"TEST_FAKTORY": '{"QUEUES": []}'}, 1, "FAKTORY['QUEUES'] must name at least one q"),
        (
            [],
            {"FAKTORY_WORKER_PROCESSES": "x"},
            2,
            "CommandError: FAKTORY_WORKER_PROCESSES must be int, got 'x'",
        ),
        ([], {"TEST_FAKTORY": '{"POLL": 1}'}, 1, "settings.FAKTORY has no key 'POLL'; it knows"),
        (
            [],
            {"DATABASE_URL": "sqlite:///:memory:"},
            1,
            "database 'default' must be PostgreSQL, it is sqlite",
        ),
        (
            ["--skip-checks"],
            {"DATABASE_URL": "sqlite:///:memory:"},
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


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[str]:  # noqa: ARG001
    """Return the DATABASE_URL of an empty schema."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA elsewhere")
    url = database_url()
    yield f"{url}{'&' if '?' in url else '?'}options=-c%20search_path=elsewhere"
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA elsewhere CASCADE")


def test_a_worker_waits_for_a_database_that_is_not_migrated_and_runs_once_it_is(
    elsewhere: str, start: Start, ledger: Ledger
) -> None:
    jobs.record.perform_async(str(ledger), "of another schema")
    worker = start(DATABASE_URL=elsewhere)
    # who looks at the start, who supervises and who fetches: each says it once
    until(lambda: worker.log.count("waiting: database 'default' has no function") == 3, "all wait")

    migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environment(DATABASE_URL=elsewhere), check=True)

    until(lambda: processes_of("elsewhere") == 1, "it is known in the schema")
    assert worker.stop() == 0
    assert "does not answer" not in worker.log
    assert "Traceback" not in worker.log
    assert "still open" not in worker.log
    assert ledger.lines == []


def processes_of(schema: str) -> int:
    """Count the processes that an instance in a schema knows."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{schema}".faktory_django_process')  # noqa: S608
        found: int = cursor.fetchone()[0]
        return found


def test_a_worker_says_that_its_database_is_newer_than_it_is_and_works(
    start: Start, ledger: Ledger
) -> None:
    jobs.record.perform_async(str(ledger), "ran")
    later = MigrationRecorder.Migration.objects.create(app="faktory_django", name="9999_later")
    try:
        worker = start("--burst")
        code = worker.end()
    finally:
        later.delete()

    assert code == 0
    assert "the database is newer than this version, which does not know 9999_later" in worker.log
    assert ledger.lines == ["ran"]


def test_a_worker_that_may_need_more_connections_than_there_are_says_so(start: Start) -> None:
    worker = start("--processes", "3", "--concurrency", "1000", "--burst")

    assert worker.end() == 0
    # 3 processes with 1000 threads, 20 async jobs and a fetcher each; and the supervisor
    assert "this worker may need 3064 connections; max_connections leaves" in worker.log


def test_what_the_database_says_is_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    worker = start(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{port}/nothing")

    worker.wait_for_log("fetcher: the database does not answer")

    assert worker.stop() == 0
    assert [line for line in worker.log.splitlines() if not line.startswith("20")] == []


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_ends_with_its_reloader_whatever_ends_that(
    start: Start, ledger: Ledger, number: signal.Signals
) -> None:
    jobs.record.perform_async(str(ledger), "ran")
    worker = start("--reload")
    ledger.wait_for("ran")
    family = worker.family()
    assert len(family) == 4

    worker.send(number)

    until(lambda: not any(map(alive, family)), "all have ended")
    assert "the worker has ended" in worker.log


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


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Give the signals back that a start takes."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_a_worker_names_the_jobs_that_it_cannot_decrypt(caplog: pytest.LogCaptureFixture) -> None:
    job(name="shop.pay", encrypt=True)(lambda: None)
    options = dataclasses.replace(worker_options({}), database="nowhere")

    with pytest.raises(InvalidOption, match="nowhere"):
        start(options)

    del registry._definitions["shop.pay"]
    said = "shop.pay has encrypt=True: settings.FAKTORY['ENCRYPTION_KEYS'] has no key"
    assert f"jobs that are encrypted cannot run: {said}" in caplog.text
