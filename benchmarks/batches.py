"""How fast a worker drains jobs of a batch, beside jobs of none; and when the callback runs.

Run: python benchmarks/batches.py [JOBS [PROCESSES]] (with DATABASE_URL that database, migrated).
Prints one JSON line for each of several runs, plain and batched in turn; compare those of one call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django import Batch

JOBS = 100_000
RUNS = 2
QUEUE = "default"


def until(condition: Callable[[], bool]) -> float:
    """Wait for something; return when it was so."""
    while not condition():
        time.sleep(0.01)
    return time.perf_counter()


def main(size: int, processes: int) -> None:
    """Measure."""
    sys.path.insert(0, str(Path.cwd()))
    os.environ["PYTHONPATH"] = str(Path.cwd())
    os.environ.setdefault("TEST_FAKTORY", json.dumps({"PROCESSES": processes}))
    from benchmarks.database import on_a_database

    with on_a_database():
        for _ in range(RUNS):
            for batched in (False, True):
                run(size, batched=batched)


def run(size: int, *, batched: bool) -> None:
    """Push jobs into a paused queue, let a worker come, and let it run them."""
    from faktory_django import Batch
    from faktory_django.lifecycle import queues
    from tests.jobapp.jobs import noop

    queues.pause(QUEUE)
    rows: list[list[Any]] = [[nr] for nr in range(size)]
    batch = None
    started = time.perf_counter()
    if batched:
        with Batch(success=noop.s("callback").set(queue=QUEUE)) as batch:
            noop.perform_bulk(rows)
    else:
        noop.perform_bulk(rows)
    pushed = time.perf_counter() - started
    command = [sys.executable, "-m", "django", "faktory_worker"]
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        drained, callback = drain(size, batch)
    finally:
        worker.terminate()
        worker.wait()
    figure = {
        "what": "batched" if batched else "plain",
        "jobs": size,
        "push_per_s": round(size / pushed),
        "drain_per_s": round(size / drained),
        "callback_ms": round(1_000 * callback, 1),
    }
    sys.stdout.write(json.dumps(figure) + "\n")
    sys.stdout.flush()


def drain(size: int, batch: Batch | None) -> tuple[float, float]:
    """Let the worker run all; return how long it took, and then the callback, in seconds."""
    from django.db import connection

    from faktory_django.lifecycle import queues
    from faktory_django.models import Job, Waiter

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE faktory_django_job")
        cursor.execute("ANALYZE faktory_django_ready")
    until(Waiter.objects.exists)
    time.sleep(1)
    queues.resume(QUEUE)
    first = until(lambda: Job.objects.count() < size)
    drained = until(lambda: not Job.objects.exists())
    if batch is None:
        return drained - first, 0.0
    ended = until(lambda: batch.status().success == "done")
    return drained - first, ended - drained


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    numbers = [int(text) for text in sys.argv[1:3]]
    main(*numbers, *(JOBS, 1)[len(numbers) :])
