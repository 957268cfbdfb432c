"""What every process of ours needs: connections of its own, a parent to end with, its facts."""

from __future__ import annotations

import copy
import ctypes
import os
import resource
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from django.db import connections
from django.db.utils import load_backend
from psycopg import IsolationLevel

from faktory_django import settings

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_PR_SET_PDEATHSIG: Final = 1
# A silently dead link is noticed in 6 s instead of the kernel's 15 minutes.
_TCP: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
    "connect_timeout": 5,
}


def dedicated(alias: str, *, role: str, statement_timeout_ms: int = 0) -> BaseDatabaseWrapper:
    """Make this thread's connection to alias one of our own, and return it.

    Made by the project's database backend, so custom passwords and options hold; READ
    COMMITTED, autocommit, never reused by age.
    """
    wrapper = private(alias, role=role, statement_timeout_ms=statement_timeout_ms)
    connections[alias] = wrapper
    return wrapper


def private(alias: str, *, role: str, statement_timeout_ms: int = 0) -> BaseDatabaseWrapper:
    """Return a connection as dedicated() makes it, which no thread finds under its alias."""
    config: dict[str, Any] = copy.deepcopy(connections.settings[alias])
    options: dict[str, Any] = config["OPTIONS"]
    config.update({"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "ATOMIC_REQUESTS": False})
    options.pop("pool", None)
    options["isolation_level"] = IsolationLevel.READ_COMMITTED
    for name, value in _TCP.items():
        options.setdefault(name, value)
    if not settings.get().transaction_pooler:
        options.setdefault("application_name", f"faktory_{role}")
        options["prepare_threshold"] = 1
        # isolation_level acts on transactions that we begin; this one on single statements
        given = f"{options.get('options', '')} -c default_transaction_isolation=read\\ committed"
        options["options"] = f"{given} -c statement_timeout={statement_timeout_ms}".strip()
    wrapper: BaseDatabaseWrapper = load_backend(config["ENGINE"]).DatabaseWrapper(config, alias)
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


def die_with_parent() -> None:
    """Let the kernel end this process with its parent, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def rss_kb(pid: int) -> int:
    """Return the resident memory of a process in KiB; its peak where /proc is missing."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * (resource.getpagesize() // 1_024)
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1_024 if sys.platform == "darwin" else peak


def package_version() -> str:
    """Return the version of this package, or "unknown" when it is not installed."""
    try:
        return version("faktory-django")
    except PackageNotFoundError:
        return "unknown"
