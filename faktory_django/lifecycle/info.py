"""Info: what INFO and the pages say of the whole system; counts are exact while they are small."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from .connection import execute
from .places import SETS
from .stats import TOTALS

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Counted up to this; beyond it the planner's estimate serves. It takes some 5 ms.
EXACT: Final = 100_000

_UP_TO: Final = "(SELECT count(*) FROM (SELECT FROM {table} {where} LIMIT %(exact)s + 1) AS capped)"
COUNTS: Final = f"""
SELECT {_UP_TO.format(table="faktory_django_scheduledjob", where="")},
    {_UP_TO.format(table="faktory_django_retryjob", where="")},
    {_UP_TO.format(table="faktory_django_deadjob", where="")},
    (
        SELECT count(*)
        FROM faktory_django_lease l
        CROSS JOIN LATERAL unnest(l.ids) AS i(id)
        JOIN faktory_django_job j ON j.id = i.id
    ), (
        SELECT count(*)
        FROM faktory_django_process p
        WHERE p.kind = 'python' OR (p.kind = 'wire' AND p.connections > 0)
    )
"""
QUEUES: Final = f"""
SELECT q.name, {_UP_TO.format(table="faktory_django_ready r", where="WHERE r.queue = q.name")}
    + {_UP_TO.format(table="faktory_django_limitedjob w", where="WHERE w.queue = q.name")}
FROM (
    SELECT q.name FROM faktory_django_queue q ORDER BY q.name LIMIT %(queues)s
) AS q
ORDER BY q.name
"""
ESTIMATE: Final = "EXPLAIN (FORMAT JSON) SELECT FROM {source}"


class Info(NamedTuple):
    """Jobs in each known queue and set, worker processes, and totals since the beginning."""

    queues: dict[str, int]
    sets: dict[str, int]
    workers: int
    processed: int
    failed: int


def info(connection: BaseDatabaseWrapper, *, max_queues: int = 1_000) -> Info:
    """Return what there is, in few statements of bounded cost."""
    limits = {"exact": EXACT, "queues": max_queues}
    *sizes, working, workers = execute(connection, COUNTS, limits)[0]
    sets = dict(zip(SETS, sizes, strict=True))
    for name, size in sets.items():
        if size > EXACT:
            sets[name] = max(size, _estimate(connection, SETS[name]))
    queues = dict(execute(connection, QUEUES, limits))
    for name, size in queues.items():
        if size > EXACT:
            source = "faktory_django_ready r WHERE r.queue = %(queue)s"
            queues[name] = max(size, _estimate(connection, source, queue=name))
    _pushed, done, failed, _discarded, _reaped = execute(connection, TOTALS)[0]
    return Info(queues, sets | {"working": working}, workers, done + failed, failed)


def _estimate(connection: BaseDatabaseWrapper, source: str, **params: str) -> int:
    # EXPLAIN takes no parameters of the wire, so the client binds them.
    with connection.cursor() as cursor:
        cursor.execute(ESTIMATE.format(source=source), params)
        found = cursor.fetchone()[0]
    plan = json.loads(found) if isinstance(found, str) else found
    return int(plan[0]["Plan"]["Plan Rows"])
