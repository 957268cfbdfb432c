"""`manage.py faktory_import_throttles`: take over the throttles of a Faktory server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from faktory_django.api.throttles_toml import throttles_of
from faktory_django.errors import InvalidOption
from faktory_django.lifecycle import throttles
from faktory_django.lifecycle.connection import database

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from faktory_django.throttling import Limits


class Command(BaseCommand):
    """Reads the files, and makes or changes throttles; pages change them from then on."""

    help = "Import the throttles of Faktory's conf.d/*.toml; the same files again change them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="TOML with [throttles]")
        parser.add_argument("--dry-run", action="store_true", help="say it, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import all of them, or none."""
        del args
        try:
            texts = [Path(name).read_text(encoding="utf-8") for name in options["files"]]
            found = throttles_of(texts)
        except (InvalidOption, OSError, UnicodeError) as wrong:
            raise CommandError(str(wrong)) from wrong
        known = {one.queue: (*one[1:4], one.source) for one in throttles.listed()}
        with transaction.atomic(using=database(None).alias):
            for queue, said in found.items():
                word = "would be imported"
                if not options["dry_run"]:
                    word = _save(queue, said, known.get(queue))
                told = ", ".join(f"{name}={value:g}" for name, value in _told(said))
                self.stdout.write(f"{queue}: {told}, {word}")


def _save(queue: str, said: Limits, known: tuple[Any, ...] | None) -> str:
    if known == (*said, "person"):
        return "unchanged"
    throttles.throttle(
        queue,
        concurrency=said.concurrency,
        worker=said.per_worker,
        timeout=said.timeout_seconds,
    )
    return "added" if known is None else "changed"


def _told(said: Limits) -> list[tuple[str, float]]:
    pairs = zip(("concurrency", "worker", "timeout"), said, strict=True)
    return [(name, value) for name, value in pairs if value is not None]
