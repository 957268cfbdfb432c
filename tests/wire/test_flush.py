"""FLUSH while others push and fetch: no job is left where no worker finds it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING

from django.db import connection

if TYPE_CHECKING:
    from .running import Server

PUSHERS, FETCHERS, FLUSHES = 8, 3, 60
# One statement sees one moment: a job is in a queue or in work, whatever goes on beside it.
LOST = """
SELECT count(*)
FROM faktory_django_job j
WHERE NOT EXISTS (SELECT FROM faktory_django_ready r WHERE r.job_id = j.id)
AND NOT EXISTS (SELECT FROM faktory_django_lease l WHERE j.id = ANY(l.ids))
"""


def test_a_job_that_outlives_a_flush_is_still_in_a_queue_or_in_work(server: Server) -> None:
    enough = threading.Event()

    def push(number: int) -> None:
        with server.connect() as wire:
            wire.greet()
            sent = 0
            while not enough.is_set():
                sent += 1
                wire.push(f"pusher-{number}-{sent}")

    def fetch(_: int) -> None:
        with server.connect() as wire:
            wire.greet()
            while not enough.is_set():
                wire.fetch("default")

    with ThreadPoolExecutor(PUSHERS + FETCHERS) as pool, server.connect() as wire:
        done = chain(pool.map(push, range(PUSHERS)), pool.map(fetch, range(FETCHERS)))
        wire.greet()
        found = [(wire.call("FLUSH").raw, lost()) for _ in range(FLUSHES)]
        enough.set()
        assert list(done) == [None] * (PUSHERS + FETCHERS)

    assert set(found) == {(b"+OK\r\n", 0)}


def lost() -> int:
    with connection.cursor() as cursor:
        cursor.execute(LOST)
        return int(cursor.fetchone()[0])
