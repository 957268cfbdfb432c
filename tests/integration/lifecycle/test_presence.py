"""Presence: workers on the wire come, beat and go; any server of one database knows them."""

from __future__ import annotations

import pytest
from django.db import connection

from faktory_django.lifecycle.beat import ProcessInfo, register
from faktory_django.lifecycle.presence import (
    WireBeat,
    WireWorker,
    arrive,
    beat_wire,
    depart,
    states_of,
)
from faktory_django.lifecycle.reap import due, forget_silent, reap_silent_wire

from .stock import claim, column, count, counts, move_back, push_many, push_one, sql

pytestmark = pytest.mark.usefixtures("store")

WORKER = WireWorker("w-1", "host", 4711, ("a", "b"))


def beat(state: str = "", wid: str = "w-1") -> str | None:
    return beat_wire(connection, [WireBeat(wid, state)]).get(wid)


def test_a_worker_is_known_from_its_first_connection_on() -> None:
    assert beat() is None

    assert arrive(connection, WORKER)

    assert beat() == "running"
    assert column("process", "ARRAY[kind, hostname, pid::text] || labels", "wid") == [
        ["wire", "host", "4711", "a", "b"]
    ]


def test_states_only_go_forward_and_hold_for_all_connections() -> None:
    arrive(connection, WORKER)
    asked = ["quiet", "", "running", "bogus", "terminate", "quiet"]

    told = [beat(state) for state in asked]
    arrive(connection, WORKER)

    assert told == ["quiet", "quiet", "quiet", "quiet", "terminate", "terminate"]
    assert states_of(connection, ["w-1", "other"]) == {"w-1": "terminate"}


def test_a_worker_that_comes_back_after_its_last_connection_is_a_new_one() -> None:
    arrive(connection, WORKER)
    arrive(connection, WORKER)
    beat("quiet")

    depart(connection, "w-1")
    with_one_left = beat()
    depart(connection, "w-1")
    with_none = beat()
    arrive(connection, WORKER)

    assert (with_one_left, with_none, beat()) == ("quiet", None, "running")


def test_a_wid_of_a_python_process_is_not_to_be_had() -> None:
    register(connection, ProcessInfo("w-1", "host", 1, "1", 10, ("default",)))

    assert not arrive(connection, WORKER)

    assert beat("terminate") is None
    assert column("process", "state", "wid") == ["running"]


def test_a_beat_keeps_the_memory_that_an_earlier_one_said() -> None:
    arrive(connection, WORKER)
    beat_wire(connection, [WireBeat("w-1", "", 54_176)])

    beat()

    assert column("process", "rss_kb", "wid") == [54_176]


def test_a_silent_worker_is_forgotten_after_a_minute_and_its_jobs_stay() -> None:
    arrive(connection, WORKER)
    push_one()
    claim(wid="w-1", each=True)
    move_back("process", "beat_at", 45)
    assert not due(connection, silent_seconds=30).silent
    assert forget_silent(connection, silent_seconds=30) == 0

    move_back("process", "beat_at", 16)

    assert due(connection, silent_seconds=30).silent
    assert forget_silent(connection, silent_seconds=30) == 1
    assert counts("process", "lease", "job", "ready") == (0, 1, 1, 0)


def test_where_it_is_asked_for_the_jobs_of_a_silent_worker_come_back() -> None:
    arrive(connection, WORKER)
    arrive(connection, WireWorker("w-2"))
    push_many(5)
    for wid in ("w-1", "w-1", "w-1", "w-2", ""):
        claim(1, wid=wid, each=True)
    move_back("lease", "claimed_at", 61)
    sql("UPDATE faktory_django_process SET beat_at = beat_at - interval '61 s' WHERE wid = 'w-1'")

    reaped = reap_silent_wire(connection, silent_seconds=60, max_crashes=3, limit=2)

    assert reaped == 3
    assert counts("lease", "ready") == (2, 3)
    assert sorted(column("job", "crashes")) == [0, 0, 1, 1, 1]


def test_what_was_claimed_after_the_last_beat_is_not_rescued() -> None:
    push_one()
    claim(wid="gone", each=True)

    assert reap_silent_wire(connection, silent_seconds=60, max_crashes=3) == 0
    assert count("lease") == 1
