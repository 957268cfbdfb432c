"""What a worker process costs to start and to keep, forked and spawned.

Run: python benchmarks/worker_start.py (Linux; with DATABASE_URL that database, migrated).
Prints one JSON line a figure; memory is the proportional set size in KiB.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

CHILDREN = 4
SPAWNED = """
import time
started = time.monotonic()
import django
django.setup()
from django.apps import apps
apps.get_app_config("faktory_django").discover_jobs()
import faktory_django.worker.launcher
print(time.monotonic() - started, flush=True)
time.sleep(60)
"""


def pss_kb(pid: int) -> int:
    """Return the proportional set size of a process."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def say(**figure: object) -> None:
    """Print one figure."""
    sys.stdout.write(json.dumps(figure) + "\n")


def forked() -> None:
    """Measure a worker with four children."""
    command = [sys.executable, "manage.py", "faktory_worker", "-p", str(CHILDREN)]
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not children(worker.pid):
            time.sleep(0.0005)
        first = time.monotonic()
        while len(children(worker.pid)) < CHILDREN:
            time.sleep(0.0005)
        each_ms = (time.monotonic() - first) * 1_000 / (CHILDREN - 1)
        time.sleep(2)
        sizes = [pss_kb(child) for child in children(worker.pid)]
        say(how="fork", start_ms=round(each_ms, 1), parent_kb=pss_kb(worker.pid), child_kb=sizes)
    finally:
        worker.terminate()
        worker.wait()


def spawned() -> None:
    """Measure processes that import the project for themselves."""
    command = [sys.executable, "-c", SPAWNED]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            seconds = float(process.stdout.readline()) if process.stdout else 0.0
            say(how="spawn", start_ms=round(seconds * 1_000, 1), child_kb=pss_kb(process.pid))
            process.kill()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    sys.path.insert(0, str(Path.cwd()))
    os.environ["PYTHONPATH"] = str(Path.cwd())
    from benchmarks.database import on_a_database

    with on_a_database():
        forked()
        spawned()
