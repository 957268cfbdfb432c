"""Track: how far jobs are, written down as their workers say it, and what became of a job.

A job moves between the tables of its states and leaves a row of tracking alone; the row is deleted
or marked only by what ends a job without success. So a row whose job is nowhere is a success, and
no push, claim or ack of a job that is not tracked knows of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django.features import tracking

from .connection import database, execute
from .places import LIVING, anywhere

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

# Part of each statement that throws jobs away, whose CTE `gone` has their jids.
FORGOTTEN: Final = """
forgotten AS (
    DELETE FROM faktory_django_track t
    USING gone g
    WHERE t.jid = g.jid
)
"""

# A jid that was used before begins anew; one whose worker was faster keeps what it said.
FOLLOW: Final = """
INSERT INTO faktory_django_track AS t (jid, updated_at)
SELECT DISTINCT g.jid, clock_timestamp()
FROM unnest(%(jids)b::text[]) AS g(jid)
ORDER BY g.jid
ON CONFLICT (jid) DO UPDATE
SET percent = NULL, description = NULL, updated_at = EXCLUDED.updated_at, "end" = '',
    ended_at = NULL
WHERE t.ended_at IS NOT NULL OR t."end" <> ''
"""

# Sorted, so that two who say something of many jobs lock in one order.
REPORT: Final = """
INSERT INTO faktory_django_track AS t (jid, percent, description, "end", updated_at)
SELECT g.jid, g.percent, g.description, g."end", clock_timestamp()
FROM unnest(
    %(jids)b::text[], %(percents)b::smallint[], %(texts)b::text[], %(ends)b::text[]
) AS g(jid, percent, description, "end")
ORDER BY g.jid
ON CONFLICT (jid) DO UPDATE
SET percent = coalesce(EXCLUDED.percent, t.percent),
    description = coalesce(EXCLUDED.description, t.description),
    "end" = EXCLUDED."end", updated_at = EXCLUDED.updated_at, ended_at = NULL
"""

# What clients of the wire say, of jobs that there are: nobody fills the table with others.
SET: Final = f"""
INSERT INTO faktory_django_track AS t (jid, percent, description, updated_at)
SELECT g.jid, g.percent, g.description, clock_timestamp()
FROM unnest(%(jids)b::text[], %(percents)b::smallint[], %(texts)b::text[])
    AS g(jid, percent, description)
WHERE {anywhere("e.jid = g.jid", tables=(*LIVING, "faktory_django_track"))}
ORDER BY g.jid
ON CONFLICT (jid) DO UPDATE
SET percent = coalesce(EXCLUDED.percent, t.percent),
    description = coalesce(EXCLUDED.description, t.description),
    updated_at = EXCLUDED.updated_at
"""

# Of the reservations of a jid the one that an ACK of the same asker would end.
EXTEND: Final = """
WITH held AS MATERIALIZED (
    SELECT l.id, g.until
    FROM (
        SELECT *
        FROM unnest(%(jids)b::text[], %(wids)b::text[], %(untils)b::timestamptz[])
            AS g(jid, wid, until)
        ORDER BY g.jid
    ) AS g
    CROSS JOIN LATERAL (
        SELECT l.id
        FROM faktory_django_lease l
        WHERE l.jid = g.jid AND (g.wid IS NULL OR l.wid = g.wid)
        ORDER BY l.id
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS l
)
UPDATE faktory_django_lease l
SET expires_at = greatest(
    l.expires_at, least(h.until, clock_timestamp() + %(max_ahead)s * interval '1 s')
)
FROM held h
WHERE l.id = h.id AND l.expires_at > clock_timestamp()
"""

END: Final = """
UPDATE faktory_django_track t
SET "end" = g."end", ended_at = clock_timestamp()
FROM unnest(%(jids)b::text[], %(ends)b::text[]) AS g(jid, "end")
WHERE t.jid = g.jid
"""

# One snapshot of all tables: a job that moves meanwhile is in one of them. Of several jobs of a
# jid the one that is furthest on counts. The body is read where it alone says that it is tracked.
STATUS: Final = """
SELECT g.jid, p.place, t.jid IS NOT NULL, t.percent, t.description,
    coalesce(t.updated_at, p.since), coalesce(t."end", ''),
    CASE WHEN %(bodies)s AND t.jid IS NULL THEN p.body END
FROM unnest(%(jids)b::text[]) WITH ORDINALITY AS g(jid, nr)
LEFT JOIN faktory_django_track t ON t.jid = g.jid
LEFT JOIN LATERAL (
    SELECT e.*
    FROM (
        SELECT CASE WHEN EXISTS (
            SELECT FROM faktory_django_lease l WHERE l.ids @> ARRAY[j.id]
        ) THEN 1 ELSE 2 END, j.enqueued_at, j.body
        FROM faktory_django_job j
        WHERE j.jid = g.jid
        UNION ALL
        SELECT 3, r.enqueued_at, r.body FROM faktory_django_retryjob r WHERE r.jid = g.jid
        UNION ALL
        SELECT 4, s.enqueued_at, s.body FROM faktory_django_scheduledjob s WHERE s.jid = g.jid
        UNION ALL
        SELECT 5, d.died_at, d.body FROM faktory_django_deadjob d WHERE d.jid = g.jid
    ) AS e(place, since, body)
    ORDER BY e.place
    LIMIT 1
) AS p ON true
ORDER BY g.nr
"""
PLACES: Final = {1: "working", 2: "waiting", 3: "retries", 4: "scheduled", 5: "dead", None: None}

# A page of rows in the order of jids. What is dead has ended, but may come back.
TRIM: Final = f"""
WITH looked AS MATERIALIZED (
    SELECT t.jid, t.ended_at, {anywhere("e.jid = t.jid", tables=LIVING)} AS lives
    FROM faktory_django_track t
    WHERE t.jid > %(after)s
    ORDER BY t.jid
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), old AS (
    DELETE FROM faktory_django_track t
    USING looked l
    WHERE t.jid = l.jid AND NOT l.lives
    AND l.ended_at < clock_timestamp() - %(keep_minutes)s * interval '1 minute'
), changed AS (
    UPDATE faktory_django_track t
    SET ended_at = CASE WHEN NOT l.lives THEN clock_timestamp() END
    FROM looked l
    WHERE t.jid = l.jid AND l.lives = (l.ended_at IS NOT NULL)
)
SELECT l.jid
FROM looked l
ORDER BY l.jid DESC
"""


class Report(NamedTuple):
    """What is said of a job: None leaves it as it was. end: how it ended, if not in success."""

    jid: str
    percent: int | None = None
    text: str | None = None
    end: str = ""


class Setting(NamedTuple):
    """What a client of the wire says of a job; until extends its reservation."""

    jid: str
    wid: str | None = None
    percent: int | None = None
    text: str | None = None
    until: datetime | None = None


class Status(NamedTuple):
    """What became of a job. state is one of tracking.WIRE_STATES; updated_at may be None."""

    jid: str
    state: str
    percent: int | None
    text: str | None
    updated_at: datetime | None
    tracked: bool
    body: str | None


def later(before: Report | None, report: Report) -> Report:
    """Return what is known of a job after a note: what it does not say stays as it was."""
    if before is None:
        return report
    percent = before.percent if report.percent is None else report.percent
    text = before.text if report.text is None else report.text
    return Report(report.jid, percent, text, report.end)


def follow(jids: Sequence[str], *, using: str | None = None) -> None:
    """Track jobs that were pushed: when they are gone it is known that they succeeded."""
    execute(database(using), FOLLOW, {"jids": list(jids)})


def report(connection: BaseDatabaseWrapper, reports: Sequence[Report]) -> None:
    """Write down how far jobs are; a jid may stand there once only."""
    jids, percents, texts, ends = zip(*reports, strict=True)
    params = {"percents": list(percents), "texts": list(texts), "ends": list(ends)}
    execute(connection, REPORT, params | {"jids": list(jids)})


def set_tracks(connection: BaseDatabaseWrapper, settings: Sequence[Setting]) -> None:
    """Do what clients of the wire say (protocol section 9.4); a jid may stand there once only.

    What is said of a job that there is not has no effect.
    """
    told = [s for s in settings if s.percent is not None or s.text is not None]
    if told:
        params: dict[str, Any] = {
            "jids": [s.jid for s in told],
            "percents": [s.percent for s in told],
            "texts": [s.text for s in told],
        }
        execute(connection, SET, params)
    extended = [s for s in settings if s.until is not None]
    if extended:
        params = {
            "jids": [s.jid for s in extended],
            "wids": [s.wid for s in extended],
            "untils": [s.until for s in extended],
            "max_ahead": tracking.MAX_AHEAD_SECONDS,
        }
        execute(connection, EXTEND, params)


def end(connection: BaseDatabaseWrapper, ended: Sequence[tuple[str, str]]) -> None:
    """Note how jobs ended that left nothing behind, by jid: tracking.FAILED or DISCARDED."""
    jids, ends = zip(*ended, strict=True)
    execute(connection, END, {"jids": list(jids), "ends": list(ends)})


def statuses(
    jids: Sequence[str], *, bodies: bool = False, using: str | None = None
) -> list[Status]:
    """Return what became of jobs, in one query.

    With bodies, also the payloads of those that are there but have no row of tracking.
    """
    rows = execute(database(using), STATUS, {"jids": list(jids), "bodies": bodies})
    return [_status(*row) for row in rows]


def _status(
    jid: str,
    place: int | None,
    tracked: bool,  # noqa: FBT001
    percent: int | None,
    text: str | None,
    updated_at: datetime | None,
    end: str,
    body: str | None,
) -> Status:
    state = tracking.state(PLACES[place], tracked=tracked, end=end)
    return Status(jid, state, percent, text, updated_at, tracked, body)


def trim(
    connection: BaseDatabaseWrapper, *, keep_minutes: int, after: str = "", limit: int = 1_000
) -> str:
    """Look at a page of rows after a jid: note which jobs have ended, delete what ended long ago.

    Returns the last jid, for the next page; empty when that was the last one.
    """
    params = {"keep_minutes": keep_minutes, "after": after, "limit": limit}
    rows = execute(connection, TRIM, params)
    return str(rows[0][0]) if len(rows) >= limit else ""
