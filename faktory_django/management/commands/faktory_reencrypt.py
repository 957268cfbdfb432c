"""`manage.py faktory_reencrypt`: encrypts anew, with the newest key, what waits."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from faktory_django.errors import FaktoryError
from faktory_django.lifecycle.reencrypt import MAX_NAMED, WAITING, Tally, reencrypt

MAX_BATCH = 10_000
PLACES = ("scheduled", "retries", "dead", WAITING)
EPILOG = """\
Run it after a new key was put in front of FAKTORY["ENCRYPTION_KEYS"] everywhere. It changes
scheduled jobs, retries and dead jobs. Those in queues and in work keep their token until they end;
they are counted. An old key may go when no job of an older key is left anywhere.
"""


class Command(BaseCommand):
    """Go through the places of jobs, and say what was found in each."""

    help = "Encrypt the arguments of jobs that wait anew, with the newest key."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.epilog = EPILOG
        parser.add_argument(
            "--batch", type=int, default=500, help="jobs that one transaction looks at (500)"
        )
        parser.add_argument("--database", help="alias of the database that holds the jobs")
        parser.add_argument("--dry-run", action="store_true", help="count, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Re-encrypt. Raises CommandError when something is left that cannot be read."""
        del args
        batch, dry_run = options["batch"], options["dry_run"]
        if not 1 <= batch <= MAX_BATCH:
            raise CommandError(f"--batch must be 1 to {MAX_BATCH}, got {batch}", returncode=2)
        unreadable = 0
        try:
            for place in PLACES:
                using = options["database"]
                tally = reencrypt(place, batch=batch, dry_run=dry_run, using=using)
                self._say(place, tally)
                unreadable += tally.unreadable
        except FaktoryError as wrong:
            raise CommandError(str(wrong)) from wrong
        if unreadable:
            raise CommandError(
                f"{unreadable} jobs cannot be read: their key is not in ENCRYPTION_KEYS, or they "
                "were damaged. They were left as they are"
            )

    def _say(self, place: str, tally: Tally) -> None:
        name = "queues and work" if place == WAITING else place
        left = tally.older - tally.changed
        self.stdout.write(
            f"{name}: {tally.newest} of the newest key, {tally.changed} re-encrypted, "
            f"{left} of an older key left"
        )
        for job in tally.named:
            self.stderr.write(f"cannot be read: {job}")
        if tally.unreadable > MAX_NAMED:
            self.stderr.write(f"... and {tally.unreadable - MAX_NAMED} more")
