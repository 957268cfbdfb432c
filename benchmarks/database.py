"""The database that a benchmark runs on: the one of DATABASE_URL, or an embedded one."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from example_project.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def start_one_if_none_is_named() -> None:
    """Let DATABASE_URL name an embedded server that ends with this process."""
    if "DATABASE_URL" not in os.environ:
        server = EmbeddedPostgres(max_connections=300)
        server.start()
        os.environ["DATABASE_URL"] = server.url


@contextmanager
def on_a_database() -> Iterator[Callable[[str], int]]:
    """Set Django up on a migrated, durable database; yield how many rows a table has."""
    with ExitStack() as stack:
        if "DATABASE_URL" not in os.environ:
            server = stack.enter_context(EmbeddedPostgres(max_connections=300))
            os.environ["DATABASE_URL"] = server.url
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)

        def rows(table: str) -> int:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM faktory_django_{table}")
                return int(cursor.fetchone()[0])

        yield rows
        connection.close()
