"""Start-up: finds the jobs, looks at the database, says what runs, and hands over."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import django
from django.apps import apps
from django.db import Error as DatabaseError
from django.db import connections

from faktory_django import checks, registry
from faktory_django.errors import DatabaseNotMigrated
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.install import check_database, unknown_migrations
from faktory_django.processes import dedicated, package_version

from .connections import in_one_line
from .launcher import EXIT_OK, Launcher

if TYPE_CHECKING:
    from .options import WorkerOptions

logger = logging.getLogger(__name__)

ROOM: Final = """
SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""


def start(options: WorkerOptions) -> int:
    """Run a worker and return its exit code.

    Raises DatabaseNotReady for a database that waiting does not help, and what a jobs.py raises.
    A database that does not answer, or is not migrated yet, is waited for.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_before_the_start)
    config = apps.get_app_config("faktory_django")
    config.discover_jobs()  # type: ignore[attr-defined]
    for message in checks.check_encryption():
        logger.error("jobs that are encrypted cannot run: %s", message.msg)
    database(options.database)
    try:
        connection = dedicated(options.database, role="worker start")
        connection.ensure_connection()
        check_database(connection)
        _check_room(options)
        if unknown := unknown_migrations(connection):
            logger.warning(
                "the database is newer than this version, which does not know %s: upgrade it",
                ", ".join(unknown),
            )
    except DatabaseNotMigrated as wrong:
        logger.warning("waiting: %s", wrong)
    except DatabaseError as wrong:
        logger.warning("waiting: the database does not answer: %s", in_one_line(wrong))
    finally:
        connections.close_all()
    _say_start(options)
    return Launcher(options).main()


def _stop_before_the_start(*_: Any) -> NoReturn:
    # Nothing runs yet, so there is nothing to wait for. The launcher's handlers follow.
    raise SystemExit(EXIT_OK)


def connections_needed(options: WorkerOptions) -> int:
    """Return the most connections that a worker opens: each slot's, each child's, its own."""
    async_slots = options.async_concurrency if _has_async() else 0
    return options.processes * (options.concurrency + async_slots + 1) + 1


def _has_async() -> bool:
    return any(definition.is_async for definition in registry.definitions())


def _check_room(options: WorkerOptions) -> None:
    limit, used = execute(database(options.database), ROOM)[0]
    needed = connections_needed(options)
    if needed > limit - used + 1:
        logger.warning(
            "this worker may need %d connections; max_connections leaves %d, %d are in use",
            needed,
            limit,
            used - 1,
        )


def _say_start(options: WorkerOptions) -> None:
    target = connections.settings[options.database]
    known = [d.jobtype for d in registry.definitions() if d.jobtype != registry.ON_DEAD]
    async_slots = f" + {options.async_concurrency} async" if _has_async() else ""
    logger.info(
        "faktory_django %s (Django %s, Python %s): queues %s, %d x %d slots%s, %d jobtypes, "
        "database %s (%s on %s)",
        package_version(),
        django.get_version(),
        sys.version.split()[0],
        ",".join(options.queues.names),
        options.processes,
        options.concurrency,
        async_slots,
        len(known),
        options.database,
        target["NAME"],
        target["HOST"] or "a local socket",
    )
