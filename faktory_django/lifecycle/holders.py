"""Holders: who has claimed a job, and whether it has been started."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .connection import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Leases are as few as claimed batches; a job that none of them names waits in its queue.
HELD: Final = """
SELECT h.id, l.wid, l.claimed_at, l.expires_at, p.hostname, p.pid, p.running, p.beat_at, p.state,
    c.asked_at, c.asked_by, c.kill_at
FROM faktory_django_lease l
CROSS JOIN LATERAL unnest(l.ids) AS h(id)
LEFT JOIN faktory_django_process p ON p.wid = l.wid
LEFT JOIN faktory_django_cancel c ON c.job_id = h.id
WHERE l.ids && %(ids)b::bigint[] AND h.id = ANY(%(ids)b::bigint[])
ORDER BY h.id, l.id
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a job, and since when it runs there; process is a name for people.

    expires_at is None while the holder's beats keep it, beat_at when its process is not known.
    limit_seconds is what the run has asked for beyond its reserve_for; 0 for nothing. asked_at is
    when it was first asked to stop, kill_at when it is ended by force.
    """

    wid: str
    process: str
    claimed_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    beat_at: datetime | None = None
    state: str = ""
    limit_seconds: float = 0.0
    asked_at: datetime | None = None
    asked_by: str = ""
    kill_at: datetime | None = None


def holds(ids: Sequence[int], *, using: str | None = None) -> dict[int, Hold]:
    """Return who holds these jobs; those that are missing wait."""
    if not ids:
        return {}
    return dict(_holds(execute(database(using), HELD, {"ids": list(ids)})))


def running(text: str | None) -> dict[int, datetime]:
    """Return the jobs that a process says it runs, and since when."""
    try:
        slots = json.loads(text or "[]")
        return {int(i): datetime.fromtimestamp(at, UTC) for i, at, *_ in slots}
    except (ValueError, TypeError, OverflowError, OSError):
        return {}


def limits(text: str | None) -> dict[int, float]:
    """Return how many seconds those runs may take in all that have asked for more time."""
    try:
        return {int(i): float(more[0]) for i, _at, *more in json.loads(text or "[]") if more}
    except (ValueError, TypeError, OverflowError):
        return {}


def _holds(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Hold]]:
    for job, wid, claimed_at, expires_at, hostname, pid, slots, beat_at, state, *wish in rows:
        name = wid if pid is None else f"{hostname}:{pid}"
        started_at = running(slots).get(job)
        limit = limits(slots).get(job, 0.0)
        seen = (claimed_at, expires_at, started_at, beat_at, state or "", limit)
        asked_at, asked_by, kill_at = wish
        yield job, Hold(wid, name, *seen, asked_at, asked_by or "", kill_at)
