"""faktory_django: manage.py faktory_worker, and pushes in the caller's transaction."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from benchmarks.systems.common import System, Variant, main

if TYPE_CHECKING:
    from collections.abc import Sequence

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.systems.ours.settings"


class Ours(System):
    """The defaults but for what a variant's note says."""

    bulk: ClassVar[int] = 10_000
    packages: ClassVar[Sequence[str]] = ("faktory-django", "django", "psycopg")
    variants: ClassVar[dict[str, Variant]] = {
        "default": Variant("the defaults: 1 process, 10 threads", 1),
        "async": Variant("the defaults, async jobs", 1, "async_"),
        "two": Variant("2 processes, 1 thread each", 1, options={"processes": 2, "concurrency": 1}),
        "two_async": Variant("2 processes, async jobs", 1, "async_", {"processes": 2}),
        "sleep": Variant(
            "2 processes, 200 async slots each",
            1,
            "async_",
            {"processes": 2, "async-concurrency": 200},
        ),
        "fresh": Variant("the defaults, queue fresh", 1, options={"queue": "fresh"}),
        "threads": Variant(
            "2 processes, 50 threads each", 1, options={"processes": 2, "concurrency": 50}
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
        from django.db import connection, transaction

        from .jobs import JOBS

        connection.ensure_connection()
        self.jobs, self.atomic = JOBS, transaction.atomic

    def push(self, job: str, number: int, text: str) -> None:
        """Push in autocommit."""
        self.jobs[job].perform_async(number, text)

    def push_many(self, job: str, numbers: Sequence[int], text: str) -> None:
        """Push in a transaction."""
        with self.atomic():
            self.jobs[job].perform_bulk([(number, text) for number in numbers])

    def schedule(self, numbers: Sequence[int], at: float) -> None:
        """Schedule in a transaction."""
        when = datetime.fromtimestamp(at, UTC)
        with self.atomic():
            self.jobs["noop"].perform_bulk([(number, "") for number in numbers], at=when)

    def worker(self, variant: Variant) -> None:
        """Become manage.py faktory_worker."""
        options = [w for k, v in variant.options.items() for w in (f"--{k}", str(v))]
        os.execv(sys.executable, [sys.executable, "-m", "django", "faktory_worker", *options])


if __name__ == "__main__":
    # the loop of the client is asyncio's, but what it calls here is not async
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    main(Ours())
