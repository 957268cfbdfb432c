"""How long an idle worker takes from a push to the start of its job, by the way of pushing.

Run: python benchmarks/push_to_start.py (with DATABASE_URL that database, which is migrated).
With POOLED_DATABASE_URL (pgbouncer in transaction mode to the same database) a second worker,
which polls, is measured too. Prints one JSON line a figure, milliseconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path.cwd()))
os.environ["PYTHONPATH"] = str(Path.cwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from benchmarks.database import start_one_if_none_is_named

start_one_if_none_is_named()

import django

django.setup()

from django.core.handlers.base import BaseHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from faktory_django.models import Process, Waiter
from tests.jobapp.jobs import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = 100


def in_autocommit(path: str, mark: str) -> None:
    """Push outside any transaction."""
    stamp.perform_async(path, mark)


def in_atomic(path: str, mark: str) -> None:
    """Push inside transaction.atomic()."""
    with transaction.atomic():
        stamp.perform_async(path, mark)


def in_atomic_request(path: str, mark: str) -> None:
    """Push inside a view under ATOMIC_REQUESTS."""

    def view(_request: object) -> HttpResponse:
        stamp.perform_async(path, mark)
        return HttpResponse()

    BaseHandler().make_view_atomic(view)(RequestFactory().get("/"))


def measure(name: str, push: Callable[[str, str], None], path: str) -> None:
    """Push JOBS jobs, 20 a second, and print how long they took to start."""
    pushed: dict[str, float] = {}
    for n in range(JOBS):
        pushed[f"{name}-{n}"] = time.time()
        push(path, f"{name}-{n}")
        time.sleep(0.05)
    deadline = time.monotonic() + 30
    while len(found := _started(path, name)) < JOBS and time.monotonic() < deadline:
        time.sleep(0.05)
    waits = sorted((found[mark] - pushed[mark]) * 1_000 for mark in found)
    figures = {
        "push": name,
        "jobs": len(waits),
        "p50_ms": round(waits[len(waits) // 2], 1),
        "p95_ms": round(waits[int(len(waits) * 0.95)], 1),
        "max_ms": round(waits[-1], 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def _started(path: str, name: str) -> dict[str, float]:
    lines = (line.split() for line in Path(path).read_text().splitlines())
    return {mark: float(at) for mark, at in lines if mark.startswith(f"{name}-")}


def with_worker(environment: dict[str, str], *, listens: bool, path: str) -> None:
    """Start a worker, wait until it is idle, measure each way of pushing."""
    command = [
        sys.executable,
        "-m",
        "django",
        "faktory_worker",
        "--poll",
        "1" if listens else "0.1",
    ]
    worker = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        while not (Waiter if listens else Process).objects.exists():
            time.sleep(0.05)
        prefix = "" if listens else "pooled "
        for name, push in (
            ("autocommit", in_autocommit),
            ("atomic", in_atomic),
            ("ATOMIC_REQUESTS", in_atomic_request),
        ):
            measure(f"{prefix}{name}".replace(" ", "_"), push, path)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    with tempfile.NamedTemporaryFile("w") as ledger:
        with_worker(dict(os.environ), listens=True, path=ledger.name)
        if pooled := os.environ.get("POOLED_DATABASE_URL"):
            pooler = json.dumps({"TRANSACTION_POOLER": True, "POLL_SECONDS": 0.1})
            environment = {**os.environ, "DATABASE_URL": pooled, "TEST_FAKTORY": pooler}
            with_worker(environment, listens=False, path=ledger.name)
