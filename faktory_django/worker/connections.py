"""Database connections of a worker: its own ones, and those that jobs leave behind."""

from __future__ import annotations

import copy
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.utils import load_backend
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from faktory_django import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

# A silently dead link is noticed in 6 s instead of the kernel's 15 minutes.
_TCP: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "connect_timeout": 5,
}
_RESET: Final = "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; SELECT pg_advisory_unlock_all()"


def dedicated(alias: str, *, role: str, statement_timeout_ms: int = 0) -> BaseDatabaseWrapper:
    """Make this thread's connection to alias one of the worker's own, and return it.

    Made by the project's database backend, so custom passwords and options hold; READ
    COMMITTED, autocommit, never reused by age.
    """
    config: dict[str, Any] = copy.deepcopy(connections.settings[alias])
    options: dict[str, Any] = config["OPTIONS"]
    config.update({"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "ATOMIC_REQUESTS": False})
    options.pop("pool", None)
    options["isolation_level"] = IsolationLevel.READ_COMMITTED
    for name, value in _TCP.items():
        options.setdefault(name, value)
    if not settings.get().transaction_pooler:
        options.setdefault("application_name", f"faktory_worker {role}")
        options["prepare_threshold"] = 1
        # isolation_level acts on transactions that we begin; this one on single statements
        given = f"{options.get('options', '')} -c default_transaction_isolation=read\\ committed"
        options["options"] = f"{given} -c statement_timeout={statement_timeout_ms}".strip()
    wrapper: BaseDatabaseWrapper = load_backend(config["ENGINE"]).DatabaseWrapper(config, alias)
    connections[alias] = wrapper
    return wrapper


_inherited: list[Any] = []


def forget_inherited() -> None:
    """Let go of the parent's connections after a fork, without a word to the server."""
    for connection in connections.all(initialized_only=True):
        if (raw := connection.connection) is not None:
            _inherited.append(raw)  # never collected: collecting would close it for the parent
            if not raw.closed:
                os.close(raw.fileno())
        del connections[connection.alias]


class _Open(threading.local):
    """The connections that this thread has open, and whether the latest job has used them."""

    used: dict[BaseDatabaseWrapper, bool]

    def __init__(self) -> None:
        self.used = {}


_open = _Open()


def _note_open(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _open.used[connection] = True
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


def watch_connections() -> None:
    """Take note of the connections that jobs open, from now on; for tidy()."""
    connection_created.connect(_note_open, dispatch_uid="faktory_django.worker")


def tidy() -> None:
    """After a job: leave this thread's connections as the job found them.

    What is broken, in a transaction or not in autocommit is dropped; what CONN_MAX_AGE keeps
    open and the job has used gets its session settings back. Costs nothing when none is open.
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
