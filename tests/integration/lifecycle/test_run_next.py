"""Run next: jobs that a person puts in front of their queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import mutate
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.reservation import release
from faktory_django.lifecycle.run_next import run_next

from .stock import claim, claimed_jids, column, count, counts, jid_of, push_many, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("store")


def ids_of(*jids: str) -> list[int]:
    rows = sql("SELECT id FROM faktory_django_job WHERE jid = ANY(%(jids)s)", jids=list(jids))
    return [row[0] for row in rows]


def test_a_waiting_job_is_claimed_before_every_priority() -> None:
    high = push_one(priority=100)
    last = push_many(3)[-1]

    assert run_next("waiting", ids_of(last)) == 1

    assert claimed_jids(2) == [last, high]


def test_a_worker_that_has_claimed_before_finds_it() -> None:
    first, *rest = push_many(4)
    consumer = Consumer("w")
    assert [jid_of(job) for job in consumer.turn(connection, ["default"], 1).jobs] == [first]

    run_next("waiting", ids_of(rest[2]))
    run_next("waiting", ids_of(rest[1]))

    taken = consumer.turn(connection, ["default"], 3).jobs
    assert [jid_of(job) for job in taken] == [rest[2], rest[1], rest[0]]


def test_a_scheduled_job_enters_its_queue_in_front() -> None:
    push_many(2)
    later = push_one(delay_seconds=3_600)

    assert run_next("scheduled", column("scheduledjob", "id")) == 1

    assert claimed_jids(1) == [later]
    assert counts("scheduledjob", "job") == (0, 3)


def test_a_job_that_has_come_back_is_put_in_front_once() -> None:
    first, second = push_many(2)
    claim(2)
    release(connection, "w")

    assert run_next("waiting", ids_of(second)) == 1
    assert count("ready") == 2
    assert claimed_jids(2) == [second, first]


def test_a_job_in_work_is_left_alone() -> None:
    (jid,) = push_many(1)
    claim(1)

    assert run_next("waiting", ids_of(jid)) == 0
    assert counts("ready", "lease") == (0, 1)


@pytest.mark.parametrize("act", [mutate.kill, mutate.discard])
def test_a_job_in_front_can_still_be_acted_on(act: Callable[..., int]) -> None:
    (jid,) = push_many(1)
    run_next("waiting", ids_of(jid))

    assert act("waiting", ids_of(jid)) == 1


def test_a_job_in_front_that_comes_back_keeps_its_priority() -> None:
    jid = push_one(priority=-3)
    run_next("waiting", ids_of(jid))
    claim(1)

    release(connection, "w")

    assert column("ready", "rank", "pos") == [-5]


def test_an_idle_worker_is_woken(heard: Callable[[], list[str]]) -> None:
    push_one(delay_seconds=3_600)
    sql("INSERT INTO faktory_django_waiter (wid, queues) VALUES ('w', ARRAY['default'])")

    run_next("scheduled", column("scheduledjob", "id"))

    assert heard() == ["w"]
