"""System checks: settings and the database's kind. A wrong setting stops `manage.py check`."""

from __future__ import annotations

from typing import Any, Final

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections
from django.utils.module_loading import import_string

from faktory_django import encryption, registry, settings
from faktory_django.errors import InvalidOption

# How many beats a process may miss before it is taken for dead.
BEATS: Final = 3


@register(Tags.compatibility)
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Read the settings, find the middleware, look at the database's alias and kind."""
    try:
        ours = settings.get()
    except InvalidOption as wrong:
        return [Error(str(wrong), id="faktory_django.E001")]
    found: list[CheckMessage] = []
    for path in (*ours.push_middleware, *ours.perform_middleware):
        try:
            import_string(path)
        except ImportError as wrong:
            found.append(Error(f"middleware {path!r}: {wrong}", id="faktory_django.E002"))
    if ours.dashboard_queue_access:
        found += _check_hook(ours.dashboard_queue_access)
    if ours.database not in connections:
        found.append(
            Error(
                f"settings.FAKTORY['DATABASE'] is {ours.database!r}, which is not in DATABASES",
                id="faktory_django.E003",
            )
        )
    elif connections[ours.database].vendor != "postgresql":
        vendor = connections[ours.database].vendor
        found.append(
            Error(
                f"database {ours.database!r} must be PostgreSQL, it is {vendor}",
                hint="set settings.FAKTORY['DATABASE'] to the alias of a PostgreSQL database",
                id="faktory_django.E004",
            )
        )
    return [*found, *_warnings(ours)]


def _warnings(ours: settings.FaktorySettings) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if ours.fast_acks:
        found.append(
            Warning(
                "FAST_ACKS is on: a crash of the database server may run again what was "
                "acknowledged in its last 0.6 s",
                id="faktory_django.W001",
            )
        )
    if ours.silent_process_seconds < BEATS * ours.beat_seconds:
        found.append(
            Warning(
                f"SILENT_PROCESS_SECONDS is {ours.silent_process_seconds:g}, fewer than {BEATS} "
                f"beats ({ours.beat_seconds:g} s each): a worker that is only slow would lose "
                "its jobs to another",
                id="faktory_django.W004",
            )
        )
    return found


def _check_hook(path: str) -> list[CheckMessage]:
    try:
        import_string(path)
    except ImportError as wrong:
        said = f"settings.FAKTORY['DASHBOARD_QUEUE_ACCESS'] is {path!r}: {wrong}"
        return [Error(said, id="faktory_django.E006")]
    return []


@register(Tags.compatibility)
def check_encryption(**_kwargs: Any) -> list[CheckMessage]:
    """Look whether the jobs with encrypt=True, of modules that are loaded, can be encrypted."""
    jobs = [d.jobtype for d in registry.definitions() if d.encrypt]
    try:
        lack = encryption.lack() if jobs else None
    except InvalidOption:  # E001 says it
        return []
    return [
        Error(f"{name} has encrypt=True: {lack}", id="faktory_django.E009") for name in jobs if lack
    ]


@register(Tags.security, deploy=True)
def check_server(**_kwargs: Any) -> list[CheckMessage]:
    """Look at what the clients of a wire server may do, and who can listen to them."""
    try:
        ours = settings.get()
    except InvalidOption:  # E001 says it
        return []
    found: list[CheckMessage] = []
    if ours.server_mutations:
        found.append(
            Warning(
                "SERVER_MUTATIONS is on: every client of faktory_server may delete all jobs with "
                "FLUSH, MUTATE and QUEUE REMOVE",
                hint="set settings.FAKTORY['SERVER_MUTATIONS'] to False if no client needs them",
                id="faktory_django.W002",
            )
        )
    host = ours.server_bind.rpartition(":")[0]
    if not host.startswith(("127.", "localhost", "[::1]")) and not ours.server_tls_cert:
        found.append(
            Warning(
                f"SERVER_BIND is {ours.server_bind!r}, and without TLS others may read along",
                hint="set settings.FAKTORY['SERVER_TLS_CERT'], or encrypt the network",
                id="faktory_django.W003",
            )
        )
    return found


@register(Tags.database)
def check_version(*, databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """Look at the server's version (only when databases are checked)."""
    try:
        ours = settings.get()
    except InvalidOption:  # E001 says it
        return []
    if not databases or ours.database not in databases:
        return []
    connection = connections[ours.database]
    if connection.vendor != "postgresql":
        return []
    connection.ensure_connection()
    version: int = connection.pg_version  # type: ignore[attr-defined]
    if version < 150_000:
        return [
            Error(
                f"PostgreSQL 15 or newer is needed, {ours.database!r} is {version}",
                id="faktory_django.E005",
            )
        ]
    return []
