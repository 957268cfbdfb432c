"""Beat: processes say that they live, and hear what an operator wishes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from faktory_django.lifecycle.beat import (
    ProcessInfo,
    Pulse,
    beat,
    leave,
    register,
    set_state,
    stop_waiting,
)
from faktory_django.lifecycle.fetch import Consumer

from .stock import column, count, counts, move_back, sql

pytestmark = pytest.mark.usefixtures("store")


def start(wid: str = "me", **more: Any) -> None:
    register(connection, ProcessInfo(wid, "host", 42, "1.2", 10, ("a", "b"), **more))


def state_of(wid: str) -> str:
    states, *_ = beat(connection, [Pulse(wid, 1)])
    return states[wid]


def test_a_registered_process_says_who_it_is() -> None:
    start(labels=("web",))

    assert sql(
        "SELECT wid, hostname, pid, version, concurrency, queues, labels, state, rss_kb, running,"
        " started_at = beat_at OR started_at < beat_at FROM faktory_django_process"
    ) == [("me", "host", 42, "1.2", 10, ["a", "b"], ["web"], "running", 0, "[]", True)]


def test_registering_again_is_a_beat_and_keeps_the_wish() -> None:
    start()
    set_state(connection, ["me"], "quiet")
    move_back("process", "beat_at", 100)

    start()

    assert sql("SELECT state, beat_at > started_at - interval '9 s' FROM faktory_django_process")
    assert state_of("me") == "quiet"
    assert count("process") == 1


def test_a_beat_says_what_runs_and_brings_the_time_of_the_database() -> None:
    start()
    start("other")
    move_back("process", "beat_at", 100)

    states, moment, _ = beat(connection, [Pulse("me", 7, "[[1,2.5]]"), Pulse("unknown", 1)])

    assert states == {"me": "running"}
    assert moment is not None
    assert abs(moment - sql("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0]) < 5
    assert sql(
        "SELECT wid, rss_kb, running, beat_at > clock_timestamp() - interval '5 s'"
        " FROM faktory_django_process ORDER BY wid"
    ) == [("me", 7, "[[1,2.5]]", True), ("other", 0, "[]", False)]


def test_a_beat_of_the_unknown_brings_nothing() -> None:
    assert beat(connection, [Pulse("unknown", 1)]) == ({}, None, frozenset())
    assert beat(connection, []) == ({}, None, frozenset())


@pytest.mark.parametrize(
    ("wishes", "heard"),
    [
        (["quiet"], "quiet"),
        (["terminate"], "terminate"),
        (["quiet", "terminate"], "terminate"),
        (["terminate", "quiet"], "terminate"),
        (["quiet", "running"], "quiet"),
        (["nonsense"], "running"),
    ],
)
def test_a_wish_only_goes_forward(wishes: list[str], heard: str) -> None:
    start()

    for wish in wishes:
        set_state(connection, ["me"], wish)

    assert state_of("me") == heard


def test_a_wish_says_how_many_processes_it_reached() -> None:
    start()
    start("quiet")
    set_state(connection, ["quiet"], "quiet")

    assert set_state(connection, ["me", "quiet", "unknown"], "quiet") == 1


def test_a_process_that_leaves_is_forgotten_with_its_registration() -> None:
    for wid in ("me", "other"):
        start(wid)
        Consumer(wid, listens=True).turn(connection, ["a"], 1)

    leave(connection, "me")

    assert column("process", "wid", "wid") == ["other"]
    assert column("waiter", "wid", "wid") == ["other"]
    leave(connection, "me")
    assert counts("process", "waiter") == (1, 1)


def test_a_process_that_stops_waiting_is_not_woken_and_stays_known() -> None:
    start()
    Consumer("me", listens=True).turn(connection, ["a"], 1)
    Consumer("other", listens=True).turn(connection, ["a"], 1)

    stop_waiting(connection, "me")

    assert column("waiter", "wid", "wid") == ["other"]
    assert count("process") == 1
