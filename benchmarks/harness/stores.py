"""Stores: the PostgreSQL and the Redis that all systems of a run share.

PostgreSQL is the embedded one, or the server of DATABASE_URL, which must be on this machine and
give a superuser: its processes are accounted. Redis is redis-server from the PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql

from example_project.postgres import EmbeddedPostgres

from . import accounting

if TYPE_CHECKING:
    from collections.abc import Iterator

# What an administrator would set on a machine of this size; durability is PostgreSQL's default.
SERVER_OPTIONS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
}
SHOWN = (*SERVER_OPTIONS, "fsync", "synchronous_commit", "full_page_writes", "autovacuum")
REDIS_PORT = 6390
PATIENCE_SECONDS = 20.0


class Postgres:
    """A PostgreSQL server with a database for each measurement."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        self.url = os.environ.get("DATABASE_URL", "")
        if not self.url:
            server = EmbeddedPostgres(max_connections=300, options=SERVER_OPTIONS)
            self.url = self._stack.enter_context(server).url
        self._root = self._stack.enter_context(psycopg.connect(self.url, autocommit=True))
        folder = self._show("data_directory")
        self.pid = int(Path(folder, "postmaster.pid").read_text().splitlines()[0])
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def facts(self) -> dict[str, Any]:
        """Return the version and the settings that matter."""
        return {"version": self._show("server_version"), **{n: self._show(n) for n in SHOWN}}

    def environment(self, database: str) -> dict[str, str]:
        """Return what libpq and its kin read, and DATABASE_URL for Django."""
        parts = urlsplit(self.url)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        found = {
            "PGHOST": query.get("host") or parts.hostname or "127.0.0.1",
            "PGPORT": str(parts.port or 5432),
            "PGUSER": parts.username or "postgres",
            "PGPASSWORD": parts.password or "",
            "PGDATABASE": database,
            "DATABASE_URL": self.url.replace(f"{parts.path}", f"/{database}", 1)
            if parts.hostname
            else f"postgresql://postgres@:5432/{database}?{parts.query}",
        }
        return {key: value for key, value in found.items() if value}

    def has(self, database: str) -> bool:
        """Return whether there is such a database."""
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        return self._root.execute(query, [database]).fetchone() is not None

    def create(self, database: str, template: str = "template0") -> None:
        """Make a database, anew when there is one."""
        self.drop(database)
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._root.execute(make.format(sql.Identifier(database), sql.Identifier(template)))

    def drop(self, database: str) -> None:
        """Remove a database and whoever is connected to it."""
        remove = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._root.execute(remove.format(sql.Identifier(database)))

    def rename(self, database: str, name: str) -> None:
        """Give a database another name."""
        give = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        self._root.execute(give.format(sql.Identifier(database), sql.Identifier(name)))

    def settle(self, database: str) -> None:
        """Vacuum, and write all out, so that neither is done during a measurement."""
        with self.connect(database) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """Return a connection to one of its databases."""
        return psycopg.connect(self.url, dbname=database, autocommit=True)

    @contextmanager
    def held_transaction(self, database: str) -> Iterator[None]:
        """Keep a transaction open that has an id, so that nothing can be vacuumed."""
        with self.connect(database) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT txid_current()")
            yield
            connection.execute("ROLLBACK")

    def commits(self, database: str) -> int:
        """Return how many transactions the database has seen."""
        query = (
            "SELECT pg_stat_force_next_flush(), xact_commit + xact_rollback "
            "FROM pg_stat_database WHERE datname = %s"
        )
        row = self._root.execute(query, [database]).fetchone()
        return int(row[1]) if row else 0

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes."""
        return accounting.cpu_seconds([self.pid])

    def _show(self, name: str) -> str:
        query = sql.SQL("SHOW {}").format(sql.Identifier(name))
        row = self._root.execute(query).fetchone()
        return str(row[0]) if row else ""


class Redis:
    """A Redis server that appends to a file each second, as brokers are run."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.url = f"redis://127.0.0.1:{REDIS_PORT}/0"

    def __enter__(self) -> Self:
        if not shutil.which("redis-server"):
            raise SystemExit("redis-server is missing: apt-get install redis-server")
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        options = ["--port", str(REDIS_PORT), "--bind", "127.0.0.1", "--dir", folder]
        options += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        self._server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        self._stack.callback(self._end)
        self.pid = self._server.pid
        self._wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def facts(self) -> dict[str, Any]:
        """Return the version and the settings that matter."""
        told = subprocess.run(["redis-server", "--version"], capture_output=True, text=True)
        return {"version": told.stdout.split("v=")[1].split()[0], "appendfsync": "everysec"}

    def clear(self) -> None:
        """Remove everything."""
        self._ask("flushall")

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server."""
        return accounting.cpu_seconds([self.pid])

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._ask("ping") != "PONG":
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise SystemExit(f"redis-server does not answer on port {REDIS_PORT}")
            time.sleep(0.05)

    def _ask(self, command: str) -> str:
        told = subprocess.run(
            ["redis-cli", "-p", str(REDIS_PORT), command], capture_output=True, text=True
        )
        return told.stdout.strip()

    def _end(self) -> None:
        self._server.terminate()
        self._server.wait(PATIENCE_SECONDS)
