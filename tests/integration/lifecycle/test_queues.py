"""Queues: known ones, paused ones, what they hold and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction

from faktory_django.errors import InvalidQueueName
from faktory_django.lifecycle import queues
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reservation import release

from .stock import (
    a_push,
    ack_of,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    end,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def listed() -> dict[str, bool]:
    return dict(sql("SELECT name, paused FROM faktory_django_queue"))


def test_declared_queues_are_known_and_a_pause_is_kept() -> None:
    queues.pause("b")

    queues.declare(["b", "a", "b"])

    assert listed() == {"a": False, "b": True}


def test_a_pause_and_its_end_may_name_several_queues() -> None:
    queues.pause("a", "b", "c")
    queues.resume("b", "c")

    assert listed() == {"a": True, "b": False, "c": False}


@pytest.mark.parametrize("name", ["", "a b", "ü", "x" * 101, "a\n", "a/b", "*", "%"])
def test_a_name_that_is_not_allowed_is_refused(name: str) -> None:
    for act in (queues.pause, queues.resume, lambda n: queues.declare([n])):
        with pytest.raises(InvalidQueueName, match="1 to 100 characters"):
            act(name)

    assert listed() == {}


def test_pushes_into_a_paused_queue_go_on() -> None:
    queues.pause("default")
    jid = push_one()

    assert claimed_jids() == []

    queues.resume("default")
    assert claimed_jids() == [jid]


def test_resuming_wakes_who_waits(heard: Callable[[], list[str]]) -> None:
    queues.pause("default")
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    queues.resume("default")

    assert heard() == ["idle"]


def test_resuming_what_is_not_paused_changes_nothing(heard: Callable[[], list[str]]) -> None:
    queues.declare(["default"])
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    queues.resume("default")

    assert heard() == []


def test_clearing_takes_what_waits_and_leaves_what_is_in_work() -> None:
    push([a_push(priority=p) for p in (0, 3, -3, 0)])
    push_one(queue="other")
    jobs = claim(1)

    assert queues.clear("default") == 3

    assert end(ack_of(*jobs, ends=True)) == []
    assert (claimed_jids(), claimed_jids(10, "other") != []) == ([], True)
    assert sql("SELECT sum(discarded)::int FROM faktory_django_counterdelta") == [(3,)]


def test_clearing_goes_on_until_nothing_is_left() -> None:
    push_many(7)

    assert queues.clear("default", limit=2) == 7
    assert counts("job", "ready") == (0, 0)


def test_clearing_takes_entries_without_jobs_along() -> None:
    push_many(3)
    sql("DELETE FROM faktory_django_job WHERE id = (SELECT min(id) FROM faktory_django_job)")

    assert queues.clear("default", limit=2) == 2
    assert counts("job", "ready") == (0, 0)


def test_clearing_passes_by_what_a_claim_is_taking(actor: Callable[[], Actor]) -> None:
    push_many(3)
    other = actor()
    other.begin()
    jobs = other.do(claim, 1)

    assert queues.clear("default") == 2

    other.commit()
    assert column("job", "id") == [jobs[0].id]


def test_a_removed_queue_is_empty_not_paused_and_not_listed() -> None:
    push_many(2)
    queues.pause("default")

    assert queues.remove("default") == 2

    assert (listed(), count("ready")) == ({}, 0)
    jid = push_one()
    assert claimed_jids() == [jid]


def test_removing_an_unknown_queue_changes_nothing() -> None:
    assert queues.remove("unknown") == 0


def test_sizes_are_counted_up_to_a_cap() -> None:
    push_many(5)
    push_many(2, queue="mail", priority=1)

    assert queues.sizes(["default", "mail", "none"], cap=3) == {"default": 3, "mail": 2, "none": 0}
    assert queues.sizes([]) == {}


def test_the_latency_is_how_long_the_oldest_of_any_priority_has_waited() -> None:
    push_one(priority=-5)
    move_back("job", "enqueued_at", 100)
    push_one(priority=5)
    push_one(queue="mail")

    found = queues.latencies(["default", "mail", "none"])

    assert 100 <= found["default"] < 110
    assert 0 <= found["mail"] < 10
    assert found["none"] == 0


def test_the_latency_of_what_has_come_back_counts_from_its_push() -> None:
    push_one()
    move_back("job", "enqueued_at", 100)
    claim(wid="gone")
    release(connection, "gone")

    assert queues.latencies(["default"])["default"] >= 100


def test_a_clock_that_was_set_back_gives_no_negative_latency() -> None:
    push_one()
    move_back("job", "enqueued_at", -100)

    assert queues.latencies(["default"]) == {"default": 0.0}


def test_the_wire_pauses_only_what_is_known() -> None:
    queues.declare(["a", "b"])

    queues.set_known_paused(["a", "nowhere"], paused=True)
    some = column("queue", "name || ' ' || paused", "name")
    queues.set_known_paused([], paused=True, every=True)
    every = column("queue", "paused", "name")
    queues.set_known_paused(["b"], paused=False)

    assert some == ["a true", "b false"]
    assert every == [True, True]
    assert column("queue", "paused", "name") == [True, False]
    assert queues.known() == ["a", "b"]


def test_a_push_that_commits_by_itself_makes_its_queue_known() -> None:
    push_one(queue="new")
    push_one(queue="later", delay_seconds=60.0)
    with transaction.atomic():
        push_one(queue="inside")

    assert queues.known() == ["new"]
