"""django-tasks-db, the reference backend of django.tasks; it has no bulk push."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.systems.common import System, Variant, main

if TYPE_CHECKING:
    from collections.abc import Sequence

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.systems.django_peers"
os.environ["BENCHMARK_APPS"] = "django_tasks_db"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # as in ours/__main__.py


class DjangoTasksDb(System):
    """One job at a time in a process."""

    packages: ClassVar[Sequence[str]] = ("django-tasks-db", "django", "psycopg")
    has_bulk: ClassVar[bool] = False
    variants: ClassVar[dict[str, Variant]] = {
        "default": Variant("2 processes", options={"--no-startup-delay": ""}),
        "quick": Variant(
            "2 processes, --interval 0.1 -v 0",
            options={"--no-startup-delay": "", "--interval": "0.1", "-v": "0"},
        ),
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
        from django.db import transaction

        from benchmarks.systems.django_tasks_db_jobs import TASKS

        self.tasks: dict[str, Any] = TASKS
        self.atomic = transaction.atomic

    def push(self, job: str, number: int, text: str) -> None:
        """Push one in autocommit."""
        self.tasks[job].enqueue(number, text)

    def push_many(self, job: str, numbers: Sequence[int], text: str) -> None:
        """Push one by one in a transaction: there is nothing better."""
        with self.atomic():
            for number in numbers:
                self.push(job, number, text)

    def worker(self, variant: Variant) -> None:
        """Become manage.py db_worker."""
        options = [word for pair in variant.options.items() for word in pair if word]
        os.execv(sys.executable, [sys.executable, "-m", "django", "db_worker", *options])


if __name__ == "__main__":
    main(DjangoTasksDb())
