"""Pushes and a worker behind pgbouncer in transaction mode, with TRANSACTION_POOLER on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.models import Job, Lease, Process, RetryJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.pooler, pytest.mark.django_db(transaction=True)]

PUSH = """
import sys
import django
django.setup()
from django.db import transaction
from tests.jobapp.jobs import fail, record
path = sys.argv[1]
record.perform_async(path, "autocommit")
with transaction.atomic():
    record.perform_async(path, "atomic")
record.perform_bulk([[path, f"bulk {n}"] for n in range(300)])
record.perform_in(0.5, path, "scheduled")
fail.perform_async()
"""


@pytest.fixture
def pooled() -> Iterator[dict[str, str]]:
    """Return an environment whose DATABASE_URL goes through a pgbouncer of ours."""
    binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert binary, "pgbouncer is missing: apt-get install pgbouncer"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = connection.get_connection_params()
    host = target.get("host") or ""
    folder = Path("/tmp", f"faktory-pgbouncer-{os.getpid()}")  # noqa: S108 - its own user reads it
    folder.mkdir(mode=0o755)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"""
[databases]
jobs = host={host} port={target.get("port", 5432)} dbname={target["dbname"]} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 100
"""
    )
    command = [binary, "-q", str(config)]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "nobody"]
    pooler = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), "pgbouncer listens")
        yield {
            **os.environ,
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/jobs",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TEST_FAKTORY": json.dumps({"TRANSACTION_POOLER": True, "POLL_SECONDS": 0.1}),
        }
    finally:
        pooler.send_signal(signal.SIGINT)
        pooler.wait()
        shutil.rmtree(folder)


def test_a_worker_behind_pgbouncer_runs_all_that_was_pushed_through_it(
    pooled: dict[str, str], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    worker = subprocess.Popen([sys.executable, "-m", "django", "faktory_worker"], env=pooled)

    try:
        subprocess.run([sys.executable, "-c", PUSH, str(ledger)], env=pooled, check=True)
        wait_until(lambda: len(ledger.read_text().splitlines()) == 303, "all jobs have run")
        wait_until(RetryJob.objects.exists, "the failure is in the retries")
    finally:
        worker.terminate()
        code = worker.wait(40)

    assert code == 0
    lines = ledger.read_text().splitlines()
    assert sorted(lines) == sorted({*lines})
    assert {"autocommit", "atomic", "scheduled"} < set(lines)
    assert not Job.objects.exists()
    assert not Lease.objects.exists()
    assert not Process.objects.exists()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
