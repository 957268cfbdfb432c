"""`manage.py faktory_cancel`: call jobs off, wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from faktory_django.api.cancelling import cancel
from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    """Says of each jid what became of it."""

    help = "Cancel jobs by jid: those that wait end at once, those that run are asked to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("jids", nargs="+", metavar="JID")
        parser.add_argument(
            "--kill-after",
            type=float,
            metavar="SECONDS",
            help="end by force what has not stopped by then",
        )
        parser.add_argument("--database", help="alias of the database that holds the jobs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Cancel one after the other."""
        del args
        try:
            for jid in options["jids"]:
                became = cancel(
                    jid,
                    kill_after=options["kill_after"],
                    by="faktory_cancel",
                    using=options["database"],
                )
                self.stdout.write(f"{jid}: {became}")
        except InvalidOption as wrong:
            raise CommandError(str(wrong)) from wrong
