"""How a server talks to the database: links that the event loop drives, and desks in threads.

A link sends the statements that all clients wait for: push, fetch, ack. A desk runs the verbs that
are several statements, on a connection of Django's.
"""

from __future__ import annotations

import asyncio
import logging
import select
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import psycopg
from django.db import Error as DjangoDatabaseError
from django.db import connections

from faktory_django import settings
from faktory_django.lifecycle.install import check_database
from faktory_django.processes import dedicated, private

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

# After a failure nobody tries to connect for so long; what is asked meanwhile fails at once.
RETRY_SECONDS: Final = 0.5
NOT_THERE: Final = "the database does not answer"


class DatabaseGone(Exception):
    """There is no connection, or it was lost: what became of the statement is not known."""


class Link:
    """One connection, driven by the event loop, and made anew when it is lost."""

    def __init__(self, alias: str, role: str) -> None:
        self.alias = alias
        self.role = role
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._next_try = 0.0

    async def execute(self, sql: str, params: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises DatabaseGone, and psycopg.Error for what the database does not like.
        """
        connection = await self._connected()
        try:
            cursor = connection.cursor(binary=True)
            await cursor.execute(sql, params)
            # not cursor.description, which makes an object for each column
            has_rows = cursor.pgresult is not None and cursor.pgresult.nfields > 0
            return await cursor.fetchall() if has_rows else []
        except psycopg.Error as wrong:
            if connection.closed or connection.broken:
                self._lose(wrong)
                raise DatabaseGone(NOT_THERE) from wrong
            raise

    async def connection(self) -> psycopg.AsyncConnection[Any]:
        """Return the connection itself, for LISTEN. Raises DatabaseGone."""
        return await self._connected()

    async def close(self) -> None:
        """Say goodbye to the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is not None and not _is_cut(self._connection):
            return self._connection
        if time.monotonic() < self._next_try:
            raise DatabaseGone(NOT_THERE)
        self._next_try = time.monotonic() + RETRY_SECONDS
        try:
            self._connection = await _connect(self.alias, self.role)
        except (psycopg.Error, DjangoDatabaseError) as wrong:
            self._lose(wrong)
            raise DatabaseGone(NOT_THERE) from wrong
        self._next_try = 0.0
        return self._connection

    def _lose(self, wrong: Exception) -> None:
        self._connection = None
        logger.error(
            "the database does not answer (%s): %s",
            self.role,
            str(wrong).strip().partition("\n")[0],
        )


def _is_cut(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the server has hung up while nothing was asked: then nothing is in doubt."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    try:
        while poll.poll(0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return False


async def _connect(alias: str, role: str) -> psycopg.AsyncConnection[Any]:
    timeout_ms = int(1_000 * settings.get().server_command_seconds)
    wrapper = private(alias, role=f"server {role}", statement_timeout_ms=timeout_ms)
    params = dict(wrapper.get_connection_params())
    for name in ("cursor_factory", "context"):
        params.pop(name, None)
    connection = await psycopg.AsyncConnection.connect(**params, autocommit=True)
    if assumed := wrapper.settings_dict["OPTIONS"].get("assume_role"):
        await connection.execute(
            psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(assumed))
        )
    return connection


class Desk:
    """One thread with a connection of Django's: verbs run there one after the other."""

    def __init__(self, alias: str, role: str) -> None:
        self.alias = alias
        self.role = role
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=role)
        self._connection: BaseDatabaseWrapper | None = None
        self._next_try = 0.0

    async def call(
        self,
        verb: Callable[Concatenate[BaseDatabaseWrapper, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run verb(connection, *args) and return its result.

        Raises DatabaseGone, and django.db.Error for what the database does not like.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._run(verb, *args, **kwargs))

    def close(self) -> None:
        """End the thread when what it has been given is done."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown(wait=False)

    def _run(
        self,
        verb: Callable[Concatenate[BaseDatabaseWrapper, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        connection = self._connected()
        try:
            return verb(connection, *args, **kwargs)
        except DjangoDatabaseError as wrong:
            if connection.connection is None or connection.connection.closed:
                self._lose(wrong)
                raise DatabaseGone(NOT_THERE) from wrong
            raise

    def _connected(self) -> BaseDatabaseWrapper:
        if self._connection is not None:
            return self._connection
        if time.monotonic() < self._next_try:
            raise DatabaseGone(NOT_THERE)
        self._next_try = time.monotonic() + RETRY_SECONDS
        connection = dedicated(self.alias, role=f"server {self.role}")
        try:
            connection.ensure_connection()
            check_database(connection)
        except Exception as wrong:
            self._lose(wrong)
            raise DatabaseGone(NOT_THERE) from wrong
        self._connection, self._next_try = connection, 0.0
        return connection

    def _lose(self, wrong: Exception) -> None:
        logger.error(
            "the database does not answer (%s): %s",
            self.role,
            str(wrong).strip().partition("\n")[0],
        )
        if self._connection is not None:
            with suppress(DjangoDatabaseError):
                self._connection.close()
        self._connection = None
