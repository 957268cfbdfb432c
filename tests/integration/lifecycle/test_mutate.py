"""Mutate: what a person does to jobs; acting on one that has moved on changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django import payload, registry
from faktory_django.lifecycle import mutate, places
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.reservation import release

from .stock import (
    ack_of,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    end,
    failing,
    failure_in,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

SETS = ["scheduled", "retries", "dead"]


def put_in(target: str, *, priority: int = 0, jobtype: str = "noop") -> tuple[str, int]:
    """Put a job into a set; return its jid and the id of its entry."""
    delay = 3_600 if target == "scheduled" else None
    jid = push_one(delay_seconds=delay, priority=priority, jobtype=jobtype)
    if target != "scheduled":
        (job,) = claim()
        fail(connection, [failing(job, kill=target == "dead")])
        end(ack_of(job, ends=True))
    table = places.SETS[target].removeprefix("faktory_django_")
    return jid, column(table, "id")[-1]


@pytest.fixture
def hooked() -> Iterator[str]:
    """A jobtype with an on_dead hook."""

    def perform() -> None: ...

    registry.register(registry.Definition("hooked", perform, on_dead=lambda dead: dead))
    yield "hooked"
    del registry._definitions["hooked"]


@pytest.mark.parametrize("target", SETS)
def test_an_entry_is_put_at_the_end_of_its_queue(target: str) -> None:
    jid, entry = put_in(target, priority=4)
    waiting = push_one(priority=4)

    assert mutate.requeue(target, [entry]) == 1

    assert claimed_jids() == [waiting, jid]
    assert counts("scheduledjob", "retryjob", "deadjob") == (0, 0, 0)
    assert column("level", "rank") == [8]


@pytest.mark.parametrize("target", ["retries", "dead"])
def test_a_requeued_job_keeps_its_failure(target: str) -> None:
    _, entry = put_in(target)

    mutate.requeue(target, [entry])

    (job,) = claim()
    assert "ValueError" in (job.failure or "")


def test_requeueing_wakes_who_waits(heard: Callable[[], list[str]]) -> None:
    _, entry = put_in("dead")
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    mutate.requeue("dead", [entry])

    assert heard() == ["idle"]


@pytest.mark.parametrize("target", SETS)
@pytest.mark.parametrize("act", [mutate.requeue, mutate.kill, mutate.discard])
def test_acting_on_an_entry_that_is_gone_changes_nothing(
    target: str, act: Callable[[str, list[int]], int], heard: Callable[[], list[str]]
) -> None:
    _, entry = put_in(target)
    mutate.discard(target, [entry])
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    assert act(target, [entry]) == 0

    assert counts("job", "ready", "scheduledjob", "retryjob", "deadjob") == (0,) * 5
    assert heard() == []


@pytest.mark.parametrize("target", SETS)
def test_an_entry_is_killed(target: str) -> None:
    jid, entry = put_in(target)

    assert mutate.kill(target, [entry]) == 1

    assert column("deadjob") == [jid]
    assert counts("scheduledjob", "retryjob", "job") == (0, 0, 0)


def test_a_dead_job_that_is_killed_is_kept_from_now_on() -> None:
    _, entry = put_in("dead")
    move_back("deadjob", "died_at", 10_000)

    mutate.kill("dead", [entry])

    assert sql("SELECT died_at > now() - interval '1 h' FROM faktory_django_deadjob") == [(True,)]


@pytest.mark.parametrize("target", ["scheduled", "retries", "waiting"])
def test_a_killed_job_pushes_its_on_dead_job(target: str, hooked: str) -> None:
    if target == "waiting":
        jid = push_one(jobtype=hooked)
        (entry,) = column("job", "id")
    else:
        jid, entry = put_in(target, jobtype=hooked)

    assert mutate.kill(target, [entry]) == 1

    (hook,) = claim()
    assert payload.parse(hook.body).args[1]["jid"] == jid


def test_a_dead_job_that_is_killed_again_pushes_no_on_dead_job(hooked: str) -> None:
    _, entry = put_in("dead", jobtype=hooked)
    claim()

    mutate.kill("dead", [entry])

    assert count("ready") == 0


def test_a_kill_and_its_on_dead_job_are_one_transaction(hooked: str) -> None:
    _, entry = put_in("scheduled", jobtype=hooked)
    sql("ALTER TABLE faktory_django_ready ADD CONSTRAINT refuse CHECK (false) NOT VALID")

    with pytest.raises(Exception, match="refuse"):
        mutate.kill("scheduled", [entry])

    sql("ALTER TABLE faktory_django_ready DROP CONSTRAINT refuse")
    assert counts("scheduledjob", "deadjob") == (1, 0)


@pytest.mark.parametrize("target", SETS)
def test_an_entry_is_discarded_and_counted(target: str) -> None:
    _, entry = put_in(target)

    assert mutate.discard(target, [entry]) == 1

    assert counts("job", "scheduledjob", "retryjob", "deadjob") == (0, 0, 0, 0)
    assert sql("SELECT sum(discarded)::int FROM faktory_django_counterdelta") == [(1,)]


def test_waiting_jobs_are_discarded_and_counted() -> None:
    jids = push_many(3, jobtype="x")
    ids = column("job", "id")

    assert mutate.discard("waiting", [ids[2], ids[0]]) == 2

    assert claimed_jids() == [jids[1]]
    assert sql("SELECT sum(discarded)::int FROM faktory_django_counterdelta") == [(2,)]


def test_waiting_jobs_are_killed() -> None:
    jids = push_many(2, priority=-1)

    assert mutate.kill("waiting", column("job", "id")[:1]) == 1

    assert (column("deadjob"), claimed_jids()) == ([jids[0]], [jids[1]])


def test_a_waiting_job_that_has_come_back_is_found() -> None:
    jid = push_one(priority=1)
    claim(wid="gone")
    release(connection, "gone")

    assert mutate.kill("waiting", column("job", "id")) == 1
    assert (column("deadjob"), counts("job", "ready")) == ([jid], (0, 0))


@pytest.mark.parametrize("act", [mutate.kill, mutate.discard])
def test_acting_on_a_job_in_work_changes_nothing(act: Callable[[str, list[int]], int]) -> None:
    push_one()
    (job,) = claim()

    assert act("waiting", [job.id]) == 0
    assert end(ack_of(job, ends=True)) == []


@pytest.mark.parametrize("act", [mutate.kill, mutate.discard])
def test_acting_on_a_job_that_is_just_being_claimed_changes_nothing(
    act: Callable[[str, list[int]], int], actor: Callable[[], Actor]
) -> None:
    push_one()
    other = actor()
    other.begin()
    (job,) = other.do(claim)

    assert act("waiting", [job.id]) == 0

    other.commit()
    assert end(ack_of(job, ends=True)) == []


def test_a_claim_passes_by_a_job_that_is_just_being_discarded(actor: Callable[[], Actor]) -> None:
    push_many(2)
    first, second = column("job", "id")
    other = actor()
    other.begin()
    other.do(mutate.discard, "waiting", [first])

    jobs = claim()

    other.commit()
    assert [job.id for job in jobs] == [second]


def test_acting_on_a_retry_that_is_just_being_promoted_acts_once(
    actor: Callable[[], Actor],
) -> None:
    jid, entry = put_in("retries")
    move_back("retryjob", "due_at", 1_000)
    other, late = actor(), actor()
    other.begin()
    other.do(lambda: Promoter().promote_retries(connection, 10))

    requeueing = late.start_blocked(mutate.requeue, "retries", [entry])
    other.commit()

    assert requeueing.result(10) == 0
    assert claimed_jids() == [jid]


def test_two_persons_may_requeue_one_dead_job_at_once(actor: Callable[[], Actor]) -> None:
    jid, entry = put_in("dead")
    one, two = actor(), actor()
    one.begin()
    assert one.do(mutate.requeue, "dead", [entry]) == 1

    second = two.start_blocked(mutate.requeue, "dead", [entry])
    one.commit()

    assert (second.result(10), claimed_jids()) == (0, [jid])


def test_an_unknown_set_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        mutate.requeue("waiting", [1])


def test_a_killed_retry_keeps_its_failure() -> None:
    _, entry = put_in("retries")

    mutate.kill("retries", [entry])

    assert failure_in("deadjob")["errtype"] == "ValueError"
