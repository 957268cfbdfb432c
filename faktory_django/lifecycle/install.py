"""What migrations cannot hold: functions, partitions and storage options. Idempotent.

The migration and post_migrate call it, so a database made without migrations has it too.
"""

from __future__ import annotations

import pkgutil
import re
from typing import TYPE_CHECKING, Final

from django.db import transaction

from faktory_django import migrations
from faktory_django.errors import DatabaseNotMigrated, DatabaseNotReady
from faktory_django.notify import WAKE_FUNCTION

from . import batch, batch_fold, batch_settle
from .by_jid import ACK_FUNCTION
from .connection import execute
from .expiry import EXPIRY_FUNCTION
from .fairness import FAIR_NOW_FUNCTION, PLACE_FAIR_FUNCTION
from .history import KEEP_FUNCTION
from .lanes import PLACE_FUNCTION
from .limits import FUNCTIONS as LIMIT_FUNCTIONS
from .partitions import BUCKET_FUNCTION, PARTITIONS_FUNCTION, split
from .push import PUSH_ALIKE_FUNCTION, PUSH_FUNCTION, SCHEDULE_FUNCTION
from .push_traits import PUSH_TRAITS_FUNCTION
from .settle import END_FUNCTION, SETTLE_FUNCTION
from .stats import ADD_FUNCTION
from .throttles import PERMITS_FUNCTION
from .turn import TURN_FUNCTION
from .unique_sql import FUNCTIONS as UNIQUE_FUNCTIONS

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

MINIMUM_VERSION: Final = 150_000

# Dead rows are many and short-lived; vacuum by count, at once, at full speed.
_VACUUM = (
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000, "
    "autovacuum_vacuum_cost_delay = 0"
)
# Bodies of 2 KB stay in the page, uncompressed: 9 us an insert instead of 42.
_BODY = f"{_VACUUM}, toast_tuple_target = 8160"
STORAGE: Final = {
    "faktory_django_job": _BODY,
    "faktory_django_scheduledjob": _BODY,
    "faktory_django_retryjob": _BODY,
    "faktory_django_deadjob": _BODY,
    "faktory_django_ready": _VACUUM,
    "faktory_django_lease": _VACUUM,
    "faktory_django_counterdelta": _VACUUM,
    "faktory_django_uniquelock": _VACUUM,
    "faktory_django_batchdelta": _VACUUM,
    "faktory_django_batch": "fillfactor = 50",
    "faktory_django_process": "fillfactor = 50",
}
# Columns of rows that come and go within seconds. What ANALYZE saw there a minute ago, no job that
# has turns say, is false by now and makes walks of look-ups by key; without it plans stay as they
# are. The queues of ready entries are not among them: counts are estimated from those.
UNANALYZED: Final = {
    "faktory_django_ready": ("rank", "pos", "job_id", "fair_key"),
    "faktory_django_lease": ("id", "wid", "claimed_at", "expires_at", "ids", "jid", "queue"),
    "faktory_django_limitedjob": ("job_id", "key", "queue", "rank"),
    "faktory_django_limitslot": ("key", "job_id"),
}
FUNCTIONS: Final = (
    WAKE_FUNCTION,
    FAIR_NOW_FUNCTION,
    PLACE_FAIR_FUNCTION,
    PUSH_FUNCTION,
    PUSH_ALIKE_FUNCTION,
    SCHEDULE_FUNCTION,
    PERMITS_FUNCTION,
    *LIMIT_FUNCTIONS,
    PLACE_FUNCTION,
    EXPIRY_FUNCTION,
    *UNIQUE_FUNCTIONS,
    *batch_settle.FUNCTIONS,
    PUSH_TRAITS_FUNCTION,
    SETTLE_FUNCTION,
    END_FUNCTION,
    TURN_FUNCTION,
    ACK_FUNCTION,
    ADD_FUNCTION,
    BUCKET_FUNCTION,
    PARTITIONS_FUNCTION,
    KEEP_FUNCTION,
    *batch_fold.FUNCTIONS,
    *batch.FUNCTIONS,
)
OPTIONS_OF: Final = """
SELECT coalesce(array_to_string(reloptions, ', '), '')
FROM pg_class
WHERE oid = to_regclass(%s)
"""
ANALYZED: Final = """
SELECT attname
FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attname = ANY(%s) AND attstattarget IS DISTINCT FROM 0
ORDER BY attnum
"""
APPLIED: Final = "SELECT name FROM django_migrations WHERE app = 'faktory_django' ORDER BY name"
NAMES: Final = sorted(
    name for sql in FUNCTIONS for name in re.findall(r"CREATE OR REPLACE FUNCTION (\w+)", sql)
)
MISSING: Final = """
SELECT name
FROM unnest(%(names)b::text[]) AS name
WHERE to_regproc(name) IS NULL
ORDER BY name
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Make functions, partitions and storage options, in the current schema."""
    split(connection)
    with transaction.atomic(using=connection.alias, savepoint=False):
        # the first migration makes functions for tables of later ones
        execute(connection, "SET LOCAL check_function_bodies = off")
        for sql in FUNCTIONS:
            execute(connection, sql)
        execute(connection, "SET LOCAL check_function_bodies = on")
    for table, options in STORAGE.items():
        present = execute(connection, OPTIONS_OF, [table])
        if present and present[0][0].replace("=", " = ") != options:
            execute(connection, f"ALTER TABLE {table} SET ({options})")
    for table, columns in UNANALYZED.items():
        if analyzed := execute(connection, ANALYZED, [table, list(columns)]):
            changes = ", ".join(f"ALTER {column} SET STATISTICS 0" for (column,) in analyzed)
            execute(connection, f"ALTER TABLE {table} {changes}")


def check_database(connection: BaseDatabaseWrapper) -> None:
    """Raise DatabaseNotReady when this database cannot serve this version of the package.

    DatabaseNotMigrated when waiting helps.
    """
    version = execute(connection, "SHOW server_version_num")[0][0]
    if int(version) < MINIMUM_VERSION:
        raise DatabaseNotReady(f"PostgreSQL 15 or newer is needed, this one is {version}")
    if missing := execute(connection, MISSING, {"names": NAMES}):
        raise DatabaseNotMigrated(
            f"database {connection.alias!r} has no function {missing[0][0]}: "
            f"run manage.py migrate --database {connection.alias}"
        )


def unknown_migrations(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the migrations of ours that this database has and this version does not know."""
    if execute(connection, "SELECT to_regclass('django_migrations') IS NULL")[0][0]:
        return []
    known = {module.name for module in pkgutil.iter_modules(migrations.__path__)}
    return [row[0] for row in execute(connection, APPLIED) if row[0] not in known]
