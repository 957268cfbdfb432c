"""Processes of several languages: two in Python, one in Node, one in Ruby, and a wire server."""

from __future__ import annotations

import json
import time
from typing import Final

from django.db import connection

from faktory_django.lifecycle.beat import ProcessInfo, Pulse, beat, register, set_state
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.presence import WireBeat, WireWorker, arrive, beat_wire

WID: Final = "py-web-1-4711"
SECOND: Final = "py-web-2-4712"
NODE: Final = "node-7f3a"
RUBY: Final = "ruby-11cd"
SERVER: Final = "server-7419"

_AGE: Final = """
WITH claimed AS (
    UPDATE faktory_django_lease SET claimed_at = claimed_at - interval '43 s'
)
UPDATE faktory_django_process
SET started_at = started_at - (10 + length(wid) * 37) * interval '1 minute'
"""


def start() -> str:
    """Make them known and let them claim jobs; return the wid of a Python worker."""
    served = ("critical", "default")
    register(connection, ProcessInfo(WID, "web-1", 4711, "1.0.0", 10, served, ("eu", "blue")))
    register(connection, ProcessInfo(SECOND, "web-2", 4712, "1.0.0", 10, ("default",), ("eu",)))
    register(connection, ProcessInfo(SERVER, "wire-1", 811, "1.0.0", 0, (), (), kind="server"))
    for wid, pid, label in ((NODE, 220, "node"), (RUBY, 305, "ruby")):
        arrive(connection, WireWorker(wid, f"{label}-1", pid, (label,)), connections=3)
    beat_wire(connection, [WireBeat(NODE, rss_kb=88_000), WireBeat(RUBY, rss_kb=120_000)])
    set_state(connection, [RUBY], "quiet")
    _run()
    with connection.cursor() as cursor:
        cursor.execute(_AGE)
    return WID


def _run() -> None:
    now = time.time()
    taken = Consumer(WID).turn(connection, ["critical", "default"], 6)
    running = [[job.id, now - 7 * i] for i, job in enumerate(taken.jobs, 1)]
    Consumer(SERVER).turn_each(connection, ["node"], [NODE, NODE])
    beat(
        connection,
        [
            Pulse(WID, 210_000, json.dumps(running)),
            Pulse(SECOND, 190_000),
            Pulse(SERVER, 64_000, connections=6),
        ],
    )
