"""Flush: everything goes but the list of queues, the pauses and the processes (section 4.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import OperationalError, transaction
from psycopg.errors import DeadlockDetected

from . import partitions
from .connection import execute

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# In lock order. Levels stay: a push in an open transaction may rely on one.
TABLES: Final = (
    "faktory_django_lease",
    "faktory_django_job",
    "faktory_django_uniquelock",
    "faktory_django_ready",
    "faktory_django_scheduledjob",
    "faktory_django_retryjob",
    "faktory_django_deadjob",
    "faktory_django_counter",
    "faktory_django_counterdelta",
    "faktory_django_track",
    *partitions.TABLES,
    "faktory_django_limitedjob",
    "faktory_django_limitslot",
    "faktory_django_rateuse",
    "faktory_django_batch",
    "faktory_django_batchdelta",
    "faktory_django_batchfailure",
    "faktory_django_batchresult",
)
SMALL: Final = 10_000
_MANY: Final = "EXISTS (SELECT FROM {table} OFFSET %(small)s)"
IS_LARGE: Final = "SELECT " + " OR ".join(_MANY.format(table=table) for table in TABLES)
TRUNCATE: Final = "TRUNCATE " + ", ".join(TABLES)
# One statement, so that all tables are emptied as of one moment: a job that is pushed meanwhile
# stays, with its place in the queue. PostgreSQL begins with the last one, but does not promise to.
_DELETES: Final = (
    f"gone_{nr} AS (DELETE FROM {table})" for nr, table in enumerate(reversed(TABLES))
)
DELETE: Final = f"WITH {', '.join(_DELETES)} SELECT 1"
ATTEMPTS: Final = 5


def flush(connection: BaseDatabaseWrapper) -> None:
    """Delete all jobs, sets, reservations, counters and history.

    Large tables are truncated, unless an open transaction stands in the way for a second.
    """
    if execute(connection, IS_LARGE, {"small": SMALL})[0][0]:
        try:
            with transaction.atomic(using=connection.alias, savepoint=False):
                execute(connection, "SET LOCAL lock_timeout = '1s'")
                execute(connection, TRUNCATE)
        except OperationalError:
            pass
        else:
            return
    attempts = 1
    while True:
        try:
            execute(connection, DELETE)
        except OperationalError as wrong:
            # its locks may meet another's: then it is the one to begin again
            if not isinstance(wrong.__cause__, DeadlockDetected) or attempts >= ATTEMPTS:
                raise
            attempts += 1
        else:
            return
