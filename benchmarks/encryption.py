"""What encrypted arguments cost: encoding pushes, and reading jobs in a worker; no database.

Run: python benchmarks/encryption.py. Prints one JSON line a figure, in microseconds for each job:
the best of seven rounds, for another program on the machine only adds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings  # noqa: TID251 - of a project that is made here

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7
JOBS = 1_000
ARGS = ["4111 1111 1111 1111", 42, {"name": "Ada Lovelace", "note": "x" * 130}]


def best(act: Callable[[], Any]) -> float:
    """Return the microseconds that one of JOBS takes."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        act()
        found.append(time.perf_counter() - started)
    return round(min(found) / JOBS * 1e6, 1)


def measure(*, encrypt: bool) -> None:
    """Print the figures of plain or of encrypted jobs."""
    from faktory_django import job
    from faktory_django.api.requests import PushRequest, encoded, encoded_alike
    from faktory_django.lifecycle.fetch import Claimed
    from faktory_django.worker.runner import prepare

    name = "encrypted" if encrypt else "plain"
    job(name=name, encrypt=encrypt)(lambda *args: args)
    request = PushRequest("0" * 24, name, ARGS, {}, {}, {}, encrypt=encrypt)
    body = encoded([request])[0].body
    claimed = Claimed(1, 1, "default", 0, 1, 0, 0.0, None, body)
    say(name, "one", best(lambda: [encoded_alike(request, [ARGS]) for _ in range(JOBS)]))
    say(name, "bulk", best(lambda: encoded_alike(request, [ARGS] * JOBS)))
    say(name, "read", best(lambda: [prepare(claimed) for _ in range(JOBS)]))
    assert prepare(claimed).error is None


def say(name: str, what: str, microseconds: float) -> None:
    """Print one figure."""
    sys.stdout.write(json.dumps({"args": name, "what": what, "us": microseconds}) + "\n")


def main() -> None:
    """Measure on this machine."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from cryptography.fernet import Fernet

    keys = [Fernet.generate_key().decode()]
    settings.configure(INSTALLED_APPS=["faktory_django"], FAKTORY={"ENCRYPTION_KEYS": keys})
    django.setup()
    from benchmarks.harness import machine

    sys.stdout.write(json.dumps(machine.facts()) + "\n")
    measure(encrypt=False)
    measure(encrypt=True)


if __name__ == "__main__":
    main()
