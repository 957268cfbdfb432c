"""`manage.py faktory_import_cron`: take over the cron entries of a Faktory server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from faktory_django.api.cron_toml import entries_of
from faktory_django.errors import InvalidOption
from faktory_django.lifecycle import cron_entries
from faktory_django.lifecycle.connection import database
from faktory_django.models import CronEntry

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from faktory_django.crontab import Declared


class Command(BaseCommand):
    """Reads the files, and makes or changes entries; the admin edits them from then on."""

    help = "Import the cron entries of Faktory's conf.d/*.toml; the same files again change them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="TOML with [[cron]] tables")
        parser.add_argument("--tz", help="the zone their times are told in; TIME_ZONE by default")
        parser.add_argument("--dry-run", action="store_true", help="say it, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import all of them, or none."""
        del args
        try:
            texts = [Path(name).read_text(encoding="utf-8") for name in options["files"]]
            found = entries_of(texts, tz=options["tz"])
        except (InvalidOption, OSError, UnicodeError) as wrong:
            raise CommandError(str(wrong)) from wrong
        with transaction.atomic(using=database(None).alias):
            for entry in found:
                word = "would be imported" if options["dry_run"] else _save(entry)
                self.stdout.write(f"{entry.name}: {entry.schedule} {entry.zone}, {word}")


def _save(wanted: Declared) -> str:
    using = database(None).alias
    mine = CronEntry.objects.using(using).filter(name=wanted.name, source="person")
    entry = mine.first() or CronEntry(source="person")
    said = msgspec.structs.asdict(wanted)
    if not entry._state.adding and all(getattr(entry, key) == said[key] for key in said):
        return "unchanged"
    word = "added" if entry._state.adding else "changed"
    for key, value in said.items():
        setattr(entry, key, value)
    cron_entries.save(entry, using=using)
    return word
