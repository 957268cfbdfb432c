"""Beat: processes of ours say that they live; an operator's wish comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from .connection import execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

REGISTER: Final = """
INSERT INTO faktory_django_process AS p (wid, kind, hostname, pid, labels, queues, version,
    concurrency, state, started_at, beat_at)
VALUES (%(wid)s, %(kind)s, %(hostname)s, %(pid)s, %(labels)b::text[], %(queues)b::text[],
    %(version)s, %(concurrency)s, 'running', clock_timestamp(), clock_timestamp())
ON CONFLICT (wid) DO UPDATE SET beat_at = excluded.beat_at
"""
# One narrow, in-page update for each process; leases are not updated.
BEAT: Final = """
UPDATE faktory_django_process p
SET beat_at = clock_timestamp(), rss_kb = b.rss_kb, running = b.running,
    connections = b.connections
FROM unnest(%(wids)b::text[], %(rss_kbs)b::bigint[], %(runnings)b::text[], %(connections)b::int[])
    AS b(wid, rss_kb, running, connections)
WHERE p.wid = b.wid
RETURNING p.wid, p.state, extract(epoch FROM p.beat_at)::float8,
    EXISTS (SELECT FROM faktory_django_cancel c WHERE c.wid = p.wid)
"""
SET_STATE: Final = """
UPDATE faktory_django_process p
SET state = %(state)s
WHERE p.wid = ANY(%(wids)b::text[])
AND array_position(ARRAY['running', 'quiet', 'terminate'], p.state)
    < array_position(ARRAY['running', 'quiet', 'terminate'], %(state)s)
RETURNING p.wid
"""
# To be told of pushes into these queues; the turn of a worker says the same by itself.
WAIT: Final = """
INSERT INTO faktory_django_waiter AS w (wid, queues) VALUES (%(wid)s, %(queues)b::text[])
ON CONFLICT (wid) DO UPDATE SET queues = excluded.queues
"""
STOP_WAITING: Final = "DELETE FROM faktory_django_waiter WHERE wid = %(wid)s"
LEAVE: Final = """
WITH idle AS (
    DELETE FROM faktory_django_waiter WHERE wid = %(wid)s
)
DELETE FROM faktory_django_process WHERE wid = %(wid)s
"""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What a process says of itself; kind is "python" for a worker, "server" for a wire server."""

    wid: str
    hostname: str
    pid: int
    version: str
    concurrency: int
    queues: tuple[str, ...]
    labels: tuple[str, ...] = ()
    kind: str = "python"


@dataclass(frozen=True, slots=True)
class Pulse:
    """How a process is: its memory, and [job id, start in Unix seconds] of its busy slots.

    connections are those of a server's clients.
    """

    wid: str
    rss_kb: int
    running: str = field(default="[]")
    connections: int = 0


class Beaten(NamedTuple):
    """What a beat brings: the state wished for each process that is known, the time in Unix seconds
    (None without any), and the processes of which a job is to stop.
    """

    states: dict[str, str]
    moment: float | None
    asked: frozenset[str] = frozenset()


def register(connection: BaseDatabaseWrapper, info: ProcessInfo) -> None:
    """Make a process known; it has to beat from now on."""
    params = {
        "wid": info.wid,
        "kind": info.kind,
        "hostname": info.hostname,
        "pid": info.pid,
        "labels": list(info.labels),
        "queues": list(info.queues),
        "version": info.version,
        "concurrency": info.concurrency,
    }
    execute(connection, REGISTER, params)


def beat(connection: BaseDatabaseWrapper, pulses: Sequence[Pulse]) -> Beaten:
    """Mark processes alive; return what is wished of them."""
    params = {
        "wids": [p.wid for p in pulses],
        "rss_kbs": [p.rss_kb for p in pulses],
        "runnings": [p.running for p in pulses],
        "connections": [p.connections for p in pulses],
    }
    rows = execute(connection, BEAT, params)
    return Beaten(
        {row[0]: row[1] for row in rows},
        rows[0][2] if rows else None,
        frozenset(row[0] for row in rows if row[3]),
    )


def set_state(connection: BaseDatabaseWrapper, wids: Sequence[str], state: str) -> int:
    """Ask processes to be "quiet" or to "terminate"; it only goes forward. Return how many."""
    return len(execute(connection, SET_STATE, {"wids": list(wids), "state": state}))


def stop_waiting(connection: BaseDatabaseWrapper, wid: str) -> None:
    """Take a process that wants no more jobs off the list of those to wake."""
    execute(connection, STOP_WAITING, {"wid": wid})


def leave(connection: BaseDatabaseWrapper, wid: str) -> None:
    """Forget a process that has ended."""
    execute(connection, LEAVE, {"wid": wid})
