"""Mutate: what a person does to jobs: retry now, add to queue, kill, discard.

Each statement names the state it expects: acting on a job that has moved on changes nothing,
and the count says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import transaction

from faktory_django import signals

from .announce import announce
from .clock import RFC3339
from .connection import database, execute
from .dead import Buried, push_on_dead
from .discarded import DISCARDED, DISCARDED_OF_SET
from .lanes import FIRST_RANK, READIED
from .limits import admit_placed
from .places import PLACES, SETS
from .settle import OF_A_SET, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

# Out of a set, into the table of jobs in queues.
ENTERED: Final = """
gone AS MATERIALIZED (
    DELETE FROM {table} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), entered AS (
    INSERT INTO faktory_django_job
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits)
    SELECT queue, priority, jid, jobtype, clock_timestamp(), reserve_for, body, failure, traits
    FROM gone
    ORDER BY id
    RETURNING id, queue, priority, traits
)
"""
_DEAD: Final = settled("gone", outcome="'dead'")
_DEAD_OF_SET: Final = settled("gone", outcome="'dead'", key=OF_A_SET)
_AGAIN: Final = "settled AS (SELECT FROM gone WHERE false)"
_REQUEUE = f"""
WITH {ENTERED}, {READIED}
SELECT count(*), (SELECT count(*) FROM woken), (SELECT count(*) FROM placed)
FROM entered
"""
_KILL = """
WITH gone AS MATERIALIZED (
    DELETE FROM {table} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), died AS (
    INSERT INTO faktory_django_deadjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, died_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits,
        clock_timestamp()
    FROM gone
    ORDER BY id
), {settled}
SELECT queue, jobtype, body, failure, (SELECT count(*) FROM settled)
FROM gone
"""
_DISCARD = """
WITH gone AS (
    DELETE FROM {table} s
    WHERE s.id = ANY(%(ids)b::bigint[])
    RETURNING s.*
), {discarded}
SELECT count(*), (SELECT count(*) FROM settled)
FROM gone
"""
REQUEUE: Final = {name: _REQUEUE.format(table=table) for name, table in SETS.items()}
# What was dead dies again: nothing more happens to it.
KILL: Final = {
    name: _KILL.format(table=table, settled=_AGAIN if name == "dead" else _DEAD_OF_SET)
    for name, table in SETS.items()
}
DISCARD: Final = {
    name: _DISCARD.format(table=table, discarded=DISCARDED_OF_SET) for name, table in SETS.items()
}

# The ready entry is the proof that nobody has claimed the job. Its place is known, but for a job
# that has come back, which is looked for in its lane, and one that has turns, which an index knows.
WANTED: Final = """
wanted AS MATERIALIZED (
    SELECT r.ctid AS entry
    FROM faktory_django_job j
    JOIN faktory_django_ready r ON r.queue = j.queue AND {place}
    WHERE j.id = ANY(%(ids)b::bigint[])
    ORDER BY j.id
    FOR UPDATE OF r SKIP LOCKED
)
"""
TAKE_WAITING: Final = f"""{WANTED}, entries AS (
    DELETE FROM faktory_django_ready r
    WHERE r.ctid = ANY(ARRAY(SELECT entry FROM wanted))
    RETURNING r.job_id
), gone AS MATERIALIZED (
    DELETE FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT job_id FROM entries))
    RETURNING j.*
)
"""
_KILL_WAITING = f"""
WITH {{take}}, died AS (
    INSERT INTO faktory_django_deadjob
        (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits, died_at)
    SELECT queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure, traits,
        clock_timestamp()
    FROM gone
    ORDER BY id
), {_DEAD}
SELECT queue, jobtype, body, failure, (SELECT count(*) FROM settled)
FROM gone
"""
_DISCARD_WAITING = f"""
WITH {{take}}, {DISCARDED}
SELECT 1, (SELECT count(*) FROM settled)
FROM gone
"""
# A job that waits for a limit has no ready entry: what says so is the proof.
_TAKE_LIMITED: Final = """entries AS (
    DELETE FROM faktory_django_limitedjob w
    WHERE w.job_id = ANY(ARRAY(
        SELECT w.job_id
        FROM faktory_django_limitedjob w
        WHERE w.job_id = ANY(%(ids)b::bigint[])
        ORDER BY w.job_id
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING w.job_id
), gone AS MATERIALIZED (
    DELETE FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY(SELECT job_id FROM entries))
    RETURNING j.*
)
"""
AT_PUSH: Final = "r.rank = 2 * j.priority AND r.pos = j.id"
RETURNED_PLACE: Final = f"r.rank IN (2 * j.priority + 1, {FIRST_RANK}) AND r.job_id = j.id"
AT_ITS_TURN: Final = "r.fair_key IS NOT NULL AND r.job_id = j.id"
# Where the entry of a job that waits can stand; the first is that of most.
ENTRIES: Final = (AT_PUSH, RETURNED_PLACE, AT_ITS_TURN)
# Those that wait for a limit first: the end of one that holds it would let them into their queue.
TAKES: Final = (_TAKE_LIMITED, *(TAKE_WAITING.format(place=place) for place in ENTRIES))
KILL_WAITING: Final = tuple(_KILL_WAITING.format(take=take) for take in TAKES)
DISCARD_WAITING: Final = tuple(_DISCARD_WAITING.format(take=take) for take in TAKES)


# The text that a pattern is matched against is the whole job hash, as payload.whole() gives it.
_WHOLE: Final = f"""
'{{"' || CASE WHEN s.enqueued_at IS NULL THEN '' ELSE
    'enqueued_at":"' || {RFC3339.format("s.enqueued_at")} || '","' END
|| CASE WHEN s.failure IS NULL THEN '' ELSE 'failure":' || s.failure || ',"' END
|| substr(s.body, 3)
"""
_MATCHING = f"""
SELECT s.id
FROM TABLE_OF_SET s
WHERE s.id > %(after)s
AND (%(jids)b::text[] IS NULL OR s.jid = ANY(%(jids)b::text[]))
AND (%(jobtype)s::text IS NULL OR s.jobtype = %(jobtype)s)
AND (%(pattern)s::text IS NULL OR {_WHOLE} ~ %(pattern)s)
ORDER BY s.id
LIMIT %(limit)s
"""
MATCHING: Final = {name: _MATCHING.replace("TABLE_OF_SET", table) for name, table in SETS.items()}
LAST: Final = {name: f"SELECT coalesce(max(id), 0) FROM {table}" for name, table in PLACES.items()}
PAGE: Final = 1_000


class Filter(NamedTuple):
    """Which entries of a set: jids decide alone; else jobtype and glob, both (section 4.9)."""

    jids: tuple[str, ...] = ()
    jobtype: str = ""
    glob: str = ""


def requeue(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Put entries of "scheduled", "retries" or "dead" at the end of their queues; count them."""
    connection = database(using)
    count, _woken, placed = execute(connection, REQUEUE[target], {"ids": sorted(ids)})[0]
    admit_placed(connection, placed)
    return int(count)


def kill(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Move entries of a set, or jobs that wait in a queue ("waiting"), to the dead; count them.

    From "dead" it makes them die again: they are kept from now on. A person kills, so the
    on_dead job is pushed too.
    """
    connection = database(using)
    with transaction.atomic(using=connection.alias, savepoint=False):
        if target == "waiting":
            rows = _take_waiting(connection, KILL_WAITING, ids)
        else:
            rows = execute(connection, KILL[target], {"ids": sorted(ids)})
        died = [Buried(*row[:4]) for row in rows]
        if target != "dead":
            push_on_dead(connection, died)
        announce(connection, signals.dead, died)
    return len(died)


def discard(target: str, ids: Sequence[int], *, using: str | None = None) -> int:
    """Delete entries of a set, or jobs that wait in a queue ("waiting"); count them."""
    connection = database(using)
    if target == "waiting":
        with transaction.atomic(using=connection.alias, savepoint=False):
            return len(_take_waiting(connection, DISCARD_WAITING, ids))
    return int(execute(connection, DISCARD[target], {"ids": sorted(ids)})[0][0])


def mutate(
    act: Callable[[Sequence[int]], int],
    target: str,
    wanted: Filter,
    *,
    using: str | None = None,
) -> int:
    """Do something to the entries of a set that match, a thousand a transaction; count them.

    Entries that come in meanwhile are left alone.
    """
    done = 0
    for page in _pages(target, wanted, using):
        done += act(page)
    return done


def _pages(target: str, wanted: Filter, using: str | None) -> Iterator[list[int]]:
    connection = database(using)
    last = execute(connection, LAST[target])[0][0]
    alone = bool(wanted.jids)
    params: dict[str, Any] = {
        "jids": list(wanted.jids) if alone else None,
        "jobtype": None if alone else wanted.jobtype or None,
        "pattern": None if alone or not wanted.glob else glob_to_regex(wanted.glob),
        "limit": PAGE,
    }
    after = 0
    while True:
        rows = execute(connection, MATCHING[target], params | {"after": after})
        if page := [row[0] for row in rows if row[0] <= last]:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1]


_GLOB: Final = re.compile(r"\\(.)|\[(\^?)((?:\\.|[^\]\\])*)\]|(\*+)|(\?)|(.)", re.DOTALL)
_CLASS: Final = re.compile(r"\\(.)|(.)", re.DOTALL)


def glob_to_regex(glob: str) -> str:
    """Return a glob of Redis as a regular expression of PostgreSQL for the whole text.

    * any text, ? one character, [a-z] and [^a-z] classes, a backslash takes the next literally.
    """
    parts = ["^(?:"]
    for escaped, negated, members, stars, one, plain in _GLOB.findall(glob):
        if stars:
            parts.append(".*")
        elif one:
            parts.append(".")
        elif members:
            parts.append(f"[{negated}{_class(_CLASS.findall(members))}]")
        else:
            parts.append(_literal(escaped or plain))
    return "".join([*parts, ")$"])


def _class(members: list[tuple[str, str]]) -> str:
    """Return what stands in a class; each member is an escaped or a plain character."""
    parts: list[str] = []
    while members:
        first = "".join(members.pop(0))
        if len(members) >= 2 and members[0][1] == "-":
            last = "".join(members[1])
            del members[:2]
            # the wrong way round means the same
            parts.append("-".join(map(_literal, sorted((first, last)))))
        else:
            parts.append(_literal(first))
    return "".join(parts)


def _literal(character: str) -> str:
    return character if character.isalnum() or character in ' _",' else f"\\{character}"


def _take_waiting(
    connection: BaseDatabaseWrapper, statements: Sequence[str], ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Take jobs that wait for a limit, at their place, or elsewhere in their queue.

    What comes later is only looked at when some were not there.
    """
    wanted = sorted(set(ids))
    rows: list[tuple[Any, ...]] = []
    for statement in statements:
        if len(rows) < len(wanted):
            rows += execute(connection, statement, {"ids": wanted})
    return rows
