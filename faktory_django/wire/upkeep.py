"""Upkeep in a server: the chores of maintenance, in a thread with a connection of its own.

So a project that runs servers and no Python worker has its scheduled jobs and retries moved, and
its reservations ended, all the same.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from django.db import Error as DatabaseError

from faktory_django.errors import DatabaseNotReady
from faktory_django.lifecycle.install import check_database
from faktory_django.maintenance import Maintenance
from faktory_django.processes import dedicated

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)
STATEMENT_TIMEOUT_MS: Final = 10_000
MAX_BACKOFF_SECONDS: Final = 5.0


class Upkeep:
    """The thread that does the chores."""

    def __init__(self, alias: str) -> None:
        self.maintenance = Maintenance()
        self._alias = alias
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the chore that is under way."""
        self._stopping.set()

    def _main(self) -> None:
        connection: BaseDatabaseWrapper | None = None
        backoff = 0.0
        while not self._stopping.is_set():
            try:
                if connection is None:
                    connection = self._connect()
                self.maintenance.tick(connection)
                backoff = 0.0
                pause = self.maintenance.next_at() - time.monotonic()
            except (DatabaseError, DatabaseNotReady) as wrong:
                if backoff == 0.0:
                    logger.error(
                        "upkeep waits for the database: %s", str(wrong).strip().partition("\n")[0]
                    )
                if connection is not None:
                    with suppress(DatabaseError):
                        connection.close()
                    connection = None
                backoff = pause = min(MAX_BACKOFF_SECONDS, max(0.2, 2 * backoff))
            self._stopping.wait(max(0.0, min(pause, 1.0)))
        if connection is not None:
            with suppress(DatabaseError):
                connection.close()

    def _connect(self) -> BaseDatabaseWrapper:
        connection = dedicated(
            self._alias, role="server upkeep", statement_timeout_ms=STATEMENT_TIMEOUT_MS
        )
        connection.ensure_connection()
        check_database(connection)
        return connection
