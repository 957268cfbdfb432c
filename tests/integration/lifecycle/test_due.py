"""Due: scheduled jobs and retries enter their queue when their time has come, never early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction

from faktory_django import payload
from faktory_django.lifecycle.due import BEGINNING, Promoter, Watermark
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.maintenance import Maintenance

from .actors import wait_until
from .stock import (
    a_push,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    failing,
    jid_of,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def schedule(count: int, *, overdue: bool = True) -> list[str]:
    jids = push_many(count, delay_seconds=60)
    if overdue:
        move_back("scheduledjob", "due_at", 3_600)
    return jids


def promote(limit: int = 100) -> int:
    return Promoter().promote_scheduled(connection, limit)


def never_sweeping() -> Promoter:
    never = float("inf")
    return Promoter(Watermark(next_sweep=never), Watermark(next_sweep=never))


def test_a_due_job_enters_its_queue_as_it_was() -> None:
    push_one("later", queue="mail", priority=3, reserve_for=77, delay_seconds=60)
    (body,) = column("scheduledjob", "body")
    move_back("scheduledjob", "due_at", 61)

    assert promote() == 1

    row = sql("SELECT jid, queue, priority, reserve_for, body, failure FROM faktory_django_job")
    assert row == [("later", "mail", 3, 77, body, None)]
    assert sql("SELECT queue, rank, pos = job_id FROM faktory_django_ready") == [("mail", 6, True)]
    assert (column("level", "rank"), count("scheduledjob")) == ([6], 0)


def test_a_job_that_is_not_due_stays() -> None:
    schedule(1, overdue=False)

    assert (promote(), count("scheduledjob")) == (0, 1)


def test_a_job_is_promoted_in_time_and_never_early() -> None:
    push_one(delay_seconds=0.2)
    (due_at,) = column("scheduledjob", "due_at")

    wait_until(promote)

    (enqueued_at,) = column("job", "enqueued_at")
    assert 0 <= (enqueued_at - due_at).total_seconds() < 5


def test_due_jobs_enter_in_the_order_of_their_times_and_at_most_so_many_at_once() -> None:
    push([a_push(f"{n}", delay_seconds=60 - n) for n in range(5)])
    move_back("scheduledjob", "due_at", 100)
    promoter = Promoter()

    moved = [promoter.promote_scheduled(connection, 2) for _ in range(4)]

    assert moved == [2, 2, 1, 0]
    assert claimed_jids() == ["4", "3", "2", "1", "0"]


def test_a_due_retry_keeps_its_failure_and_its_priority() -> None:
    push_one(priority=-2)
    fail(connection, [failing(job) for job in claim()])
    (failure,) = column("retryjob", "failure")
    move_back("retryjob", "due_at", 100)

    assert Promoter().promote_retries(connection, 10) == 1

    (job,) = claim()
    assert (job.failure, job.rank) == (failure, -4)


def test_what_is_promoted_counts_as_pushed_once() -> None:
    schedule(2)

    promote()

    assert sql("SELECT sum(pushed)::int FROM faktory_django_counterdelta") == [(2,)]


def test_promotion_wakes_who_waits(heard: Callable[[], list[str]]) -> None:
    schedule(1)
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    promote()

    assert heard() == ["idle"]


def test_promotion_of_nothing_wakes_nobody(heard: Callable[[], list[str]]) -> None:
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    assert (promote(), heard()) == (0, [])


def test_two_promoters_at_once_move_each_job_once(actor: Callable[[], Actor]) -> None:
    jids, other = schedule(10), actor()
    other.begin()
    first = other.do(promote, 6)

    second = promote()
    other.commit()
    third = promote()

    assert (first, second, third) == (6, 0, 4)
    assert sorted(claimed_jids()) == sorted(jids)


def test_promotion_passes_by_what_somebody_acts_on(actor: Callable[[], Actor]) -> None:
    jids, other = schedule(3), actor()
    other.begin()
    other.sql("SELECT FROM faktory_django_scheduledjob ORDER BY id LIMIT 1 FOR UPDATE")
    promoter = Promoter()

    passed = promoter.promote_scheduled(connection, 10)
    other.commit()
    promoter.scheduled.next_sweep = 0
    swept = promoter.promote_scheduled(connection, 10)

    assert (passed, swept) == (2, 1)
    assert sorted(claimed_jids()) == sorted(jids)


def test_the_next_due_entries_are_foretold() -> None:
    push_one(delay_seconds=100)
    push_one(delay_seconds=50)
    push_one()
    fail(connection, [failing(job) for job in claim()])

    scheduled, retry = Promoter().next_due(connection)

    assert scheduled is not None
    assert retry is not None
    assert (40 < scheduled <= 50, 10 < retry <= 45) == (True, True)


def test_nothing_is_foretold_of_empty_sets() -> None:
    assert Promoter().next_due(connection) == (None, None)


def test_above_its_watermark_a_promoter_goes_on() -> None:
    promoter, _ = never_sweeping(), schedule(4)

    assert promoter.promote_scheduled(connection, 3) == 3
    assert promoter.promote_scheduled(connection, 3) == 1
    assert promoter.scheduled.after != BEGINNING


def commit_late(other: Actor, promoter: Promoter) -> str:
    """Let a scheduled job commit after a later one was promoted; return its jid."""
    other.begin()
    late = other.do(lambda: push_one(delay_seconds=0.001))
    push_one(delay_seconds=0.01)
    assert wait_until(lambda: promoter.promote_scheduled(connection, 10)) == 1
    other.commit()
    return late


def test_a_late_commit_lies_below_the_watermark_and_a_sweep_finds_it(
    actor: Callable[[], Actor],
) -> None:
    promoter = never_sweeping()
    late = commit_late(actor(), promoter)
    assert promoter.next_due(connection) == (None, None)
    assert promoter.promote_scheduled(connection, 10) == 0

    promoter.scheduled.next_sweep = 0

    assert promoter.promote_scheduled(connection, 10) == 1
    assert late in claimed_jids()


def test_what_a_look_for_the_next_has_found_is_promoted_at_once(
    actor: Callable[[], Actor],
) -> None:
    promoter = never_sweeping()
    commit_late(actor(), promoter)

    promoter.scheduled.next_sweep = 0
    found, _ = promoter.next_due(connection)
    promoter.scheduled.next_sweep = float("inf")

    assert found is not None
    assert found <= 0
    assert promoter.promote_scheduled(connection, 10) == 1


def test_a_late_retry_is_found_by_a_look_too() -> None:
    promoter = never_sweeping()
    promoter.retries.after = (sql("SELECT now() + interval '1 day'")[0][0], 1)
    push_one()
    fail(connection, [failing(job) for job in claim()])
    move_back("retryjob", "due_at", 100)

    promoter.retries.next_sweep = 0
    promoter.next_due(connection)
    promoter.retries.next_sweep = float("inf")

    assert promoter.promote_retries(connection, 10) == 1


def test_a_look_from_the_beginning_takes_a_tenth_of_the_time_at_most() -> None:
    now = 100.0
    mark = Watermark(clock=lambda: now)

    mark.looked(BEGINNING, 0.5)

    assert mark.next_sweep == pytest.approx(104.5)
    mark.looked((now, 1), 0.5)
    assert mark.next_sweep == pytest.approx(104.5)


def test_maintenance_promotes_both_sets_and_says_when_to_come_again() -> None:
    schedule(2)
    push_one(queue="mail")
    (job,) = claim(1, "mail")
    fail(connection, [failing(job)])
    move_back("retryjob", "due_at", 100)
    push_one(delay_seconds=0.5)
    upkeep = Maintenance()

    first, second = upkeep.promote_due(connection), upkeep.promote_due(connection)

    assert first == 0.0
    assert second is not None
    assert 0 < second <= 0.501
    assert counts("ready", "retryjob", "scheduledjob") == (3, 0, 1)


def test_maintenance_finds_a_late_commit(actor: Callable[[], Actor]) -> None:
    upkeep = Maintenance()
    late = commit_late(actor(), upkeep.promoter)

    wait_until(lambda: upkeep.promote_due(connection) == 0.0)

    assert late in claimed_jids()


def test_promotion_is_part_of_the_transaction_around_it() -> None:
    schedule(3)

    with transaction.atomic():
        promote()
        transaction.set_rollback(True)

    assert counts("scheduledjob", "job") == (3, 0)


def test_a_promoted_job_shows_when_it_entered_its_queue() -> None:
    schedule(1)
    promote()

    (job,) = claim()

    assert jid_of(job) == payload.parse(job.body).jid
    seconds = sql("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0] - job.enqueued_at
    assert 0 <= seconds < 5
