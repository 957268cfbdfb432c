"""Database connections that jobs leave behind: each job finds them as the one before did."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.db import DatabaseError, connections
from django.db.backends.signals import connection_created
from psycopg.pq import TransactionStatus

from faktory_django import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

# A slot that has had no job for this long closes what CONN_MAX_AGE does not keep open.
IDLE_SECONDS: Final = 1.0
_RESET: Final = "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; SELECT pg_advisory_unlock_all()"


class _Open(threading.local):
    """The connections that this thread has open, and whether the latest job has used them."""

    used: dict[BaseDatabaseWrapper, bool]

    def __init__(self) -> None:
        self.used = {}


_open = _Open()


def _note_open(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _open.used[connection] = True
    if connection.settings_dict["CONN_MAX_AGE"] == 0:
        connection.close_at = None  # close_idle() closes it: a new one costs more than most jobs
    if _note_use not in connection.execute_wrappers:
        connection.execute_wrappers.append(_note_use)


def _note_use(
    execute: Callable[..., Any],
    sql: str,
    params: Any,
    many: bool,  # noqa: FBT001 - Django's signature
    context: dict[str, Any],
) -> Any:
    _open.used[context["connection"]] = True
    return execute(sql, params, many, context)


def in_one_line(wrong: Exception) -> str:
    """Return what a database error says, which may be several lines, as one."""
    return " ".join(str(wrong).split())


def watch_connections() -> None:
    """Take note of the connections that jobs open, from now on; for tidy()."""
    connection_created.connect(_note_open, dispatch_uid="faktory_django.worker")


def has_open() -> bool:
    """Return whether jobs have left connections open in this thread."""
    return bool(_open.used)


def close_idle() -> None:
    """Close this thread's connections for which CONN_MAX_AGE is 0: no job has come for a while."""
    for connection in list(_open.used):
        if connection.settings_dict["CONN_MAX_AGE"] == 0:
            with suppress(psycopg.Error, DatabaseError):
                connection.close()
            del _open.used[connection]


def tidy() -> None:
    """After a job: leave this thread's connections as the job found them.

    What is broken, in a transaction or not in autocommit is dropped; what stays open and was
    used by the job gets its session settings back. Costs nothing when none is open.
    """
    for connection, used in list(_open.used.items()):
        connection.queries_log.clear()
        if connection.connection is not None:
            if _is_dirty(connection):
                _drop(connection)
            else:
                connection.close_if_unusable_or_obsolete()
        if connection.connection is not None and used:
            _reset(connection)
        if connection.connection is None:
            del _open.used[connection]
        else:
            _open.used[connection] = False


def _is_dirty(connection: BaseDatabaseWrapper) -> bool:
    if connection.in_atomic_block or connection.errors_occurred or connection.savepoint_ids:
        return True
    if connection.vendor != "postgresql":
        return not connection.get_autocommit()
    raw = connection.connection
    if raw.closed or raw.info.transaction_status != TransactionStatus.IDLE:
        return True
    return not raw.autocommit or not connection.autocommit


def _drop(connection: BaseDatabaseWrapper) -> None:
    with suppress(psycopg.Error, OSError):
        connection.connection.close()
    connection.connection = None
    if connections[connection.alias] is connection:
        del connections[connection.alias]


def _reset(connection: BaseDatabaseWrapper) -> None:
    if connection.vendor != "postgresql" or settings.get().transaction_pooler:
        return
    try:
        connection.connection.execute(_RESET)
        connection.init_connection_state()
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not used again
        _drop(connection)
