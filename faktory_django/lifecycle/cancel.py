"""Cancel: a job that is not wanted any more ends, at once or as soon as its holder lets it.

What nobody holds is taken out of its place. What is held gets a row that says so: its holder is
told, and looks for it with its beat. The row stands while the job has not left its holder; a run
that does not succeed then is neither retried nor kept, and a job that comes back is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from django.db import transaction

from faktory_django.notify import CANCEL, CHANNEL

from .cancelled import CANCELLED, CANCELLED_OF_SET
from .connection import database, execute
from .fail import Failing, fail
from .mutate import ENTRIES, TAKES
from .places import PLACES
from .retry import Fate, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

# What became of the wish.
DONE: Final = "cancelled"
ASKED: Final = "asked"
NOT_FOUND: Final = "not found"

# A job that moves on while it is looked for is looked for again, so often at most.
LOOKS: Final = 5
# Of the sets only those that a job leaves by itself: what is dead has ended.
SETS: Final = ("scheduled", "retries")

FIND: Final = """
SELECT j.jid, j.id, CASE WHEN h.held THEN 'held' ELSE 'waiting' END
FROM faktory_django_job j
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM faktory_django_lease l WHERE l.ids @> ARRAY[j.id]) AS held
) AS h
WHERE j.jid = ANY(%(jids)b::text[])
UNION ALL
SELECT s.jid, s.id, 'scheduled'
FROM faktory_django_scheduledjob s
WHERE s.jid = ANY(%(jids)b::text[])
UNION ALL
SELECT r.jid, r.id, 'retries'
FROM faktory_django_retryjob r
WHERE r.jid = ANY(%(jids)b::text[])
"""

_TAKE = f"""
WITH gone AS (
    DELETE FROM {{table}} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), {CANCELLED_OF_SET}
SELECT jid
FROM gone
"""
_TAKE_WAITING = f"""
WITH {{take}}, {CANCELLED}
SELECT jid
FROM gone
"""
TAKE: Final = {name: (_TAKE.format(table=PLACES[name]),) for name in SETS} | {
    "waiting": tuple(_TAKE_WAITING.format(take=take) for take in TAKES)
}

# Somebody claims it at this moment: once that is over it is seen where it is.
_AWAIT = """
SELECT r.job_id
FROM faktory_django_job j
JOIN faktory_django_ready r ON r.queue = j.queue AND {place}
WHERE j.id = ANY(%(ids)b::bigint[])
ORDER BY j.id
FOR UPDATE OF r
"""
AWAIT: Final = tuple(_AWAIT.format(place=place) for place in ENTRIES)

# Who asked first stays on record, and the earliest end by force. Neither lease nor job is locked:
# a wish in a long transaction must not hold the worker up.
ASK: Final = f"""
WITH held AS MATERIALIZED (
    SELECT j.id, j.jid, l.wid, j.enqueued_at
    FROM faktory_django_job j
    CROSS JOIN LATERAL (
        SELECT l.wid
        FROM faktory_django_lease l
        WHERE l.ids @> ARRAY[j.id]
        ORDER BY l.id DESC
        LIMIT 1
    ) AS l
    WHERE j.id = ANY(%(ids)b::bigint[])
), asked AS (
    INSERT INTO faktory_django_cancel AS c
        (job_id, jid, wid, enqueued_at, asked_at, asked_by, kill_at)
    SELECT h.id, h.jid, h.wid, h.enqueued_at, clock_timestamp(), %(by)s,
        clock_timestamp() + %(kill_after)s::float8 * interval '1 s'
    FROM held h
    ORDER BY h.id
    ON CONFLICT (job_id) DO UPDATE
    SET wid = excluded.wid, kill_at = least(c.kill_at, excluded.kill_at)
    RETURNING c.jid, c.wid
), notified AS MATERIALIZED (
    SELECT pg_notify({CHANNEL}, '{CANCEL}' || w.wid)
    FROM (SELECT DISTINCT a.wid FROM asked a WHERE a.wid <> '') AS w
)
SELECT a.jid, (SELECT count(*) FROM notified)
FROM asked a
"""

WISHES: Final = """
SELECT c.job_id, extract(epoch FROM c.kill_at - clock_timestamp())::float8
FROM faktory_django_cancel c
WHERE c.wid = %(wid)s
ORDER BY c.job_id
"""

# Each wish, and where its job is: in the queues or held by its id, elsewhere by what it took along.
STANDING: Final = """
SELECT c.job_id, c.wid, l.id, l.wid, l.expires_at IS NOT NULL AND c.kill_at < clock_timestamp(),
    j.id IS NOT NULL,
    ARRAY(SELECT r.id FROM faktory_django_retryjob r
        WHERE r.jid = c.jid AND r.enqueued_at = c.enqueued_at ORDER BY r.id),
    ARRAY(SELECT s.id FROM faktory_django_scheduledjob s
        WHERE s.jid = c.jid AND s.enqueued_at = c.enqueued_at ORDER BY s.id)
FROM (
    SELECT *
    FROM faktory_django_cancel c
    WHERE c.job_id > %(after)s
    ORDER BY c.job_id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS c
LEFT JOIN faktory_django_job j ON j.id = c.job_id
LEFT JOIN LATERAL (
    SELECT l.id, l.wid, l.expires_at
    FROM faktory_django_lease l
    WHERE l.ids @> ARRAY[c.job_id]
    ORDER BY l.id DESC
    LIMIT 1
) AS l ON true
ORDER BY c.job_id
"""
FORGET: Final = """
DELETE FROM faktory_django_cancel c
WHERE c.job_id = ANY(%(ids)b::bigint[])
AND NOT EXISTS (SELECT FROM faktory_django_job j WHERE j.id = c.job_id)
"""


class Wish(NamedTuple):
    """A job that its holder is asked to stop; kill_in_seconds is None for no end by force."""

    job: int
    kill_in_seconds: float | None


class _Standing(NamedTuple):
    job: int
    wid: str
    lease: int | None
    holder: str | None
    overdue: bool | None
    is_there: bool
    retries: list[int]
    scheduled: list[int]


def cancel(
    jids: Iterable[str],
    *,
    by: str = "",
    kill_after: float | None = None,
    using: str | None = None,
) -> dict[str, str]:
    """Cancel all jobs of these jids; return what became of each: DONE, ASKED or NOT_FOUND.

    It takes effect when the caller's transaction commits. With kill_after, what does not stop by
    itself within so many seconds is ended by force.
    """
    connection = database(using)
    wanted = sorted(set(jids))
    became = dict.fromkeys(wanted, NOT_FOUND)
    told = {"by": by, "kill_after": kill_after}
    with transaction.atomic(using=connection.alias, savepoint=False):
        for _ in range(LOOKS):
            places = _find(connection, wanted)
            ended = [jid for place in TAKE for jid in take(connection, place, places.get(place))]
            became |= dict.fromkeys(ended, DONE)
            held = places.get("held")
            asked = execute(connection, ASK, {"ids": held} | told) if held else []
            became |= {jid: ASKED for jid, _ in asked}
            if len(ended) + len(asked) == sum(map(len, places.values())):
                break
            _await(connection, places.get("waiting"))
    return became


def cancel_in(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Cancel entries of "scheduled" or "retries", or jobs of queues ("waiting"); count them.

    Of jobs of queues those that are held are asked to stop. What has moved on elsewhere is left
    alone.
    """
    connection = database(using)
    wanted = sorted(set(ids))
    with transaction.atomic(using=connection.alias, savepoint=False):
        changed = len(take(connection, target, wanted))
        if target == "waiting" and changed < len(wanted):
            told = {"ids": wanted, "by": "", "kill_after": None}
            changed += len(execute(connection, ASK, told))
    return changed


def take(connection: BaseDatabaseWrapper, place: str, ids: Sequence[int] | None) -> list[str]:
    """Take jobs out of a place as cancelled; return their jids."""
    taken: list[str] = []
    for sql in TAKE[place] if ids else ():
        if len(taken) < len(ids or ()):
            taken += [row[0] for row in execute(connection, sql, {"ids": ids})]
    return taken


def wishes(connection: BaseDatabaseWrapper, wid: str) -> list[Wish]:
    """Return which jobs of a process are to stop."""
    return [Wish(*row) for row in execute(connection, WISHES, {"wid": wid})]


def sweep(connection: BaseDatabaseWrapper, *, limit: int = 1_000) -> int:
    """Look at the wishes that stand: fulfil those that were overtaken, forget what has ended.

    Jobs that came back to a queue, the retries or the scheduled at the moment of the wish are
    cancelled there, a new holder is told, a reservation of the wire past its end by force is
    ended. Returns how many jobs ended.
    """
    ended, after = 0, 0
    while True:
        with transaction.atomic(using=connection.alias, savepoint=False):
            params = {"after": after, "limit": limit}
            page = [_Standing(*row) for row in execute(connection, STANDING, params)]
            ended += _fulfil(connection, page)
            if page:
                execute(connection, FORGET, {"ids": [wish.job for wish in page]})
        if len(page) < limit:
            return ended
        after = page[-1].job


def _fulfil(connection: BaseDatabaseWrapper, page: Sequence[_Standing]) -> int:
    waiting = [wish.job for wish in page if wish.is_there and wish.lease is None]
    ended = len(take(connection, "waiting", waiting))
    ended += len(take(connection, "retries", [i for wish in page for i in wish.retries]))
    ended += len(take(connection, "scheduled", [i for wish in page for i in wish.scheduled]))
    moved = [wish.job for wish in page if wish.is_there and wish.holder not in {None, wish.wid}]
    if moved:
        execute(connection, ASK, {"ids": moved, "by": "", "kill_after": None})
    overdue = [
        Failing(wish.job, wish.lease, Verdict(Fate.CANCELLED), counts=False)
        for wish in page
        if wish.is_there and wish.overdue and wish.lease is not None
    ]
    return ended + (len(fail(connection, overdue)) if overdue else 0)


def _find(connection: BaseDatabaseWrapper, jids: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for _jid, job, place in execute(connection, FIND, {"jids": list(jids)}):
        places.setdefault(place, []).append(job)
    return {place: sorted(ids) for place, ids in places.items()}


def _await(connection: BaseDatabaseWrapper, ids: Sequence[int] | None) -> None:
    for sql in AWAIT if ids else ():
        execute(connection, sql, {"ids": ids})
