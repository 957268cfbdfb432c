"""Run next: a person puts jobs in front of their queues, before every priority.

They stand in a lane of their own, in the order in which they were put there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import transaction

from .connection import database, execute
from .lanes import FIRST_RANK, IN_FRONT
from .limits import admit_placed
from .mutate import AT_ITS_TURN, AT_PUSH, ENTERED, WANTED
from .places import SETS

if TYPE_CHECKING:
    from collections.abc import Sequence

_FROM_SET = f"""
WITH {ENTERED}, {IN_FRONT}
SELECT count(*), (SELECT count(*) FROM woken), (SELECT count(*) FROM placed)
FROM entered
"""
# The ready entry is the proof that nobody has claimed the job.
_FROM_QUEUE = f"""
WITH {WANTED}, entered AS (
    DELETE FROM faktory_django_ready r
    WHERE r.ctid = ANY(ARRAY(SELECT entry FROM wanted))
    RETURNING r.job_id AS id, r.queue, NULL::jsonb AS traits
), {IN_FRONT}
SELECT count(*), (SELECT count(*) FROM woken)
FROM readied
"""
FROM_SET: Final = {name: _FROM_SET.format(table=table) for name, table in SETS.items()}
# What is in front already stays where it is.
_PLACES: Final = (
    AT_PUSH,
    f"r.rank = 2 * j.priority + 1 AND r.rank <> {FIRST_RANK} AND r.job_id = j.id",
    AT_ITS_TURN,
)
FROM_QUEUE: Final = tuple(_FROM_QUEUE.format(place=place) for place in _PLACES)


# The first of those that wait for the same limit.
FIRST_IN_LINE: Final = f"""
UPDATE faktory_django_limitedjob w
SET rank = {FIRST_RANK}
WHERE w.job_id = ANY(ARRAY(
    SELECT w.job_id
    FROM faktory_django_limitedjob w
    WHERE w.job_id = ANY(%(ids)b::bigint[]) AND w.rank <> {FIRST_RANK}
    ORDER BY w.job_id
    FOR UPDATE SKIP LOCKED
))
RETURNING 1
"""


def run_next(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Put entries of a set, or jobs that wait ("waiting"), in front of their queues; count them.

    What stands in front already is left alone. A job that waits for a limit comes first there.
    """
    connection = database(using)
    wanted = {"ids": sorted(set(ids))}
    if target != "waiting":
        count, _woken, placed = execute(connection, FROM_SET[target], wanted)[0]
        admit_placed(connection, placed)
        return int(count)
    with transaction.atomic(using=connection.alias, savepoint=False):
        moved = sum(int(execute(connection, sql, wanted)[0][0]) for sql in FROM_QUEUE)
        return moved + len(execute(connection, FIRST_IN_LINE, wanted))
