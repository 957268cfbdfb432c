"""Presence: workers on the wire come, beat and go (protocol section 8).

A worker is known by its wid from its first HELLO until its last connection closes or it has been
silent too long. Any server of one database knows it. Its jobs stay reserved whatever becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .connection import execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

# One that comes back after its last connection has closed is a new, running worker. A wid of a
# Python process is not to be had.
ARRIVE: Final = """
INSERT INTO faktory_django_process AS p (wid, kind, hostname, pid, labels, queues, version,
    concurrency, state, started_at, beat_at, connections)
VALUES (%(wid)s, 'wire', %(hostname)s, %(pid)s, %(labels)b::text[], '{}', '', 0, 'running',
    clock_timestamp(), clock_timestamp(), %(connections)s)
ON CONFLICT (wid) DO UPDATE SET
    connections = greatest(p.connections, 0) + excluded.connections,
    beat_at = excluded.beat_at,
    state = CASE WHEN p.connections > 0 THEN p.state ELSE excluded.state END,
    started_at = CASE WHEN p.connections > 0 THEN p.started_at ELSE excluded.started_at END,
    hostname = excluded.hostname, pid = excluded.pid, labels = excluded.labels
WHERE p.kind = 'wire'
RETURNING p.state
"""
DEPART: Final = """
UPDATE faktory_django_process p
SET connections = greatest(p.connections - %(connections)s, 0)
WHERE p.wid = %(wid)s AND p.kind = 'wire'
RETURNING p.wid
"""
# States only go forward; what is no state is NULL here and changes nothing.
BEAT_WIRE: Final = """
UPDATE faktory_django_process p
SET beat_at = clock_timestamp(),
    rss_kb = coalesce(b.rss_kb, p.rss_kb),
    state = CASE
        WHEN array_position(ARRAY['running', 'quiet', 'terminate'], b.state)
            > array_position(ARRAY['running', 'quiet', 'terminate'], p.state)
        THEN b.state ELSE p.state END
FROM unnest(%(wids)b::text[], %(states)b::text[], %(rss_kbs)b::bigint[])
    AS b(wid, state, rss_kb)
WHERE p.wid = b.wid AND p.kind = 'wire' AND p.connections > 0
RETURNING p.wid, p.state
"""
STATES: Final = """
SELECT p.wid, p.state
FROM faktory_django_process p
WHERE p.wid = ANY(%(wids)b::text[]) AND p.kind = 'wire'
"""


class WireWorker(NamedTuple):
    """What a worker on the wire says of itself."""

    wid: str
    hostname: str = ""
    pid: int = 0
    labels: tuple[str, ...] = ()


class WireBeat(NamedTuple):
    """A BEAT: the state that the worker is in, if it says so, and its memory."""

    wid: str
    state: str = ""
    rss_kb: int | None = None


def arrive(connection: BaseDatabaseWrapper, worker: WireWorker, *, connections: int = 1) -> bool:
    """Make connections of a worker known; return False when its wid belongs to another kind."""
    params = {
        "wid": worker.wid,
        "hostname": worker.hostname,
        "pid": worker.pid,
        "labels": list(worker.labels),
        "connections": connections,
    }
    return bool(execute(connection, ARRIVE, params))


def depart(connection: BaseDatabaseWrapper, wid: str, *, connections: int = 1) -> None:
    """Take note that connections of a worker have closed."""
    execute(connection, DEPART, {"wid": wid, "connections": connections})


def beat_wire(connection: BaseDatabaseWrapper, beats: Sequence[WireBeat]) -> dict[str, str]:
    """Mark workers alive, each wid once; return the state of each that is known."""
    params = {
        "wids": [b.wid for b in beats],
        "states": [b.state for b in beats],
        "rss_kbs": [b.rss_kb for b in beats],
    }
    return dict(execute(connection, BEAT_WIRE, params))


def states_of(connection: BaseDatabaseWrapper, wids: Sequence[str]) -> dict[str, str]:
    """Return the state of each of these workers that is still known."""
    return dict(execute(connection, STATES, {"wids": list(wids)}))
