"""procrastinate through its Django app: pushes by Django's connection, workers from manage.py."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.systems.common import BODIES, System, Variant, main

if TYPE_CHECKING:
    from collections.abc import Sequence

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.systems.django_peers"
os.environ["BENCHMARK_APPS"] = "procrastinate.contrib.django"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # as in ours/__main__.py


def on_ready(app: Any) -> None:
    """Make the jobs known; django_peers.py names it as PROCRASTINATE_ON_APP_READY."""
    for name, body in BODIES.items():
        app.task(name=name)(body)


class Procrastinate(System):
    """Jobs that are done are deleted in the variants that say so."""

    packages: ClassVar[Sequence[str]] = ("procrastinate", "django", "psycopg")
    variants: ClassVar[dict[str, Variant]] = {
        "default": Variant("2 processes, concurrency 1"),
        "async": Variant(
            "2 processes, concurrency 20, jobs deleted",
            2,
            "async_",
            {"--concurrency": "20", "--delete-jobs": "always"},
        ),
        "sleep": Variant("2 processes, concurrency 50", 2, "async_", {"--concurrency": "50"}),
    }

    def setup(self) -> None:
        """Migrate."""
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)

    def open(self) -> None:
        """Connect."""
        import django

        django.setup()
        from procrastinate.contrib.django import app

        self.tasks = dict(app.tasks)

    def push(self, job: str, number: int, text: str) -> None:
        """Push one in autocommit."""
        self.tasks[job].defer(number=number, _text=text)

    def push_many(self, job: str, numbers: Sequence[int], text: str) -> None:
        """Push in one statement."""
        self.tasks[job].batch_defer(*[{"number": n, "_text": text} for n in numbers])

    def worker(self, variant: Variant) -> None:
        """Become manage.py procrastinate worker."""
        options = [word for pair in variant.options.items() for word in pair]
        command = [sys.executable, "-m", "django", "procrastinate", "worker", *options]
        os.execv(sys.executable, command)


if __name__ == "__main__":
    main(Procrastinate())
