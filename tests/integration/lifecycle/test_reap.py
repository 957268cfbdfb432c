"""Reap: jobs come back whose holder is gone, or whose reservation has run out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django import payload, registry
from faktory_django.errors import ReservationLost
from faktory_django.lifecycle.ack import ack_last
from faktory_django.lifecycle.beat import ProcessInfo, Pulse, beat, register
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.reap import (
    due,
    expire,
    expire_overdue,
    forget_silent,
    reap,
    reap_process,
    reap_silent,
)

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
    jid_of,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faktory_django.lifecycle.fetch import Claimed

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def finish(job: Claimed) -> None:
    ack_last(job.id, job.lease, wait_seconds=0, run_seconds=0, using="default")


def start_process(wid: str) -> None:
    register(connection, ProcessInfo(wid, "host", 1, "1", 10, ("default",)))


def fall_silent(wid: str) -> None:
    for table, name in (("process", "beat_at"), ("lease", "claimed_at")):
        sql(
            f"UPDATE faktory_django_{table} SET {name} = {name} - interval '1 h'"  # noqa: S608
            " WHERE wid = %(wid)s",
            wid=wid,
        )


def reap_all_silent(limit: int = 100) -> int:
    reaped = reap_silent(connection, silent_seconds=30, max_crashes=3, limit=limit)
    forget_silent(connection, silent_seconds=30)
    return reaped


def crashes() -> dict[str, int]:
    return dict(sql("SELECT jid, crashes::int FROM faktory_django_job ORDER BY id"))


@pytest.fixture
def hooked() -> Iterator[str]:
    """A jobtype with an on_dead hook."""

    def perform() -> None: ...

    registry.register(registry.Definition("hooked", perform, on_dead=lambda dead: dead))
    yield "hooked"
    del registry._definitions["hooked"]


def test_reaped_jobs_are_next_in_line_with_one_crash_more() -> None:
    jids = push_many(3)
    jobs = claim(2)

    assert reap(connection, [jobs[0].lease], max_crashes=3) == 2

    again = claim()
    assert [(jid_of(job), job.crashes) for job in again] == [
        (jids[0], 1),
        (jids[1], 1),
        (jids[2], 0),
    ]
    assert sql("SELECT sum(reaped)::int FROM faktory_django_counterdelta") == [(2,)]


def test_reaping_nothing_asks_nothing() -> None:
    assert reap(connection, [], max_crashes=3) == 0


def test_reaping_twice_returns_jobs_once() -> None:
    push_many(2)
    jobs = claim()

    reaped = [reap(connection, [jobs[0].lease], max_crashes=3) for _ in range(2)]

    assert (reaped, count("ready")) == ([2, 0], 2)


def test_jobs_that_were_done_do_not_come_back() -> None:
    push_many(3)
    jobs = claim()
    end(ack_of(jobs[0]))
    fail(connection, [failing(jobs[1])])

    assert reap(connection, [jobs[0].lease], max_crashes=3) == 1
    assert claimed_jids() == [jid_of(jobs[2])]


def test_only_the_blamed_jobs_count_a_crash() -> None:
    push_many(3)
    jobs = claim()

    reap(connection, [jobs[0].lease], max_crashes=3, blamed=[jobs[1].id])

    assert list(crashes().values()) == [0, 1, 0]


def test_a_job_that_had_crashed_before_is_blamed_alone() -> None:
    push_many(2)
    old = claim(1)
    reap(connection, [old[0].lease], max_crashes=3)
    both = claim(2)

    reap(connection, [both[0].lease], max_crashes=3)

    assert crashes() == {jid_of(both[0]): 2, jid_of(both[1]): 0}


def test_the_third_crash_kills() -> None:
    push_one("poison", priority=2)
    for _ in range(2):
        (job,) = claim()
        reap(connection, [job.lease], max_crashes=3)
    (job,) = claim()

    assert reap(connection, [job.lease], max_crashes=3, reason="killed by signal 9") == 1

    assert counts("job", "ready", "lease", "deadjob") == (0, 0, 0, 1)
    failure = failure_in("deadjob")
    assert failure["errtype"] == "CrashedWorker"
    assert failure["message"] == "the process that ran it died: killed by signal 9"
    assert next(iter(failure)) == "failed_at"


def test_a_job_that_is_not_blamed_never_dies_of_crashes() -> None:
    push_many(2)
    for _ in range(5):
        jobs = claim()
        reap(connection, [jobs[0].lease], max_crashes=1, blamed=[])

    assert counts("ready", "deadjob") == (2, 0)


def test_a_job_that_dies_of_crashes_pushes_its_on_dead_job(hooked: str) -> None:
    jid = push_one(jobtype=hooked)
    (job,) = claim()

    reap(connection, [job.lease], max_crashes=1)

    (hook,) = claim()
    dead = payload.parse(hook.body).args[1]
    assert (dead["jid"], dead["failure"]["errtype"]) == (jid, "CrashedWorker")


def test_reaped_jobs_wake_who_waits(heard: Callable[[], list[str]]) -> None:
    push_many(1)
    (job,) = claim()
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    reap(connection, [job.lease], max_crashes=3)

    assert heard() == ["idle"]


def test_all_that_a_dead_process_held_is_taken() -> None:
    push_many(4)
    claim(1, wid="dead")
    claim(2, wid="dead")
    claim(1, wid="alive")

    assert reap_process(connection, "dead", max_crashes=3, reason="gone") == 3
    assert column("lease", "wid") == ["alive"]


def test_a_late_ack_after_a_reap_is_refused() -> None:
    push_one()
    (job,) = claim()
    reap(connection, [job.lease], max_crashes=3)
    ack = ack_of(job, ends=True)

    assert end(ack) == [ack]
    with pytest.raises(ReservationLost):
        finish(job)
    assert count("job") == 1


def test_a_late_failure_after_a_reap_and_a_run_makes_one_retry() -> None:
    push_one()
    (job,) = claim()
    reap(connection, [job.lease], max_crashes=3)
    (again,) = claim()

    moved = [len(fail(connection, [failing(j)])) for j in (job, again)]

    assert (moved, count("retryjob")) == ([0, 1], 1)


def test_ack_before_reap_the_reap_passes_by(actor: Callable[[], Actor]) -> None:
    push_many(3)
    jobs, acker = claim(), actor()
    acker.begin()
    acker.do(finish, jobs[0])

    while_open = reap(connection, [jobs[0].lease], max_crashes=3)
    acker.commit()
    after = reap(connection, [jobs[0].lease], max_crashes=3)

    assert (while_open, after) == (0, 2)
    assert sorted(claimed_jids()) == [jid_of(job) for job in jobs[1:]]


def test_reap_before_ack_the_ack_waits_and_is_refused(actor: Callable[[], Actor]) -> None:
    push_many(2)
    jobs, reaper, acker = claim(), actor(), actor()
    reaper.begin()
    reaper.do(lambda: reap(connection, [jobs[0].lease], max_crashes=3))

    acking = acker.start_blocked(finish, jobs[0])
    reaper.commit()

    with pytest.raises(ReservationLost):
        acking.result(10)
    assert counts("job", "ready") == (2, 2)


@pytest.mark.parametrize("ends", [False, True])
def test_reap_before_a_batch_ack_the_ack_waits_and_is_lost(
    actor: Callable[[], Actor], ends: bool
) -> None:
    push_many(2)
    jobs, reaper, acker = claim(), actor(), actor()
    reaper.begin()
    reaper.do(lambda: reap(connection, [jobs[0].lease], max_crashes=3))
    ack = ack_of(*jobs, ends=ends)

    acking = acker.start_blocked(end, ack)
    reaper.commit()

    assert acking.result(10) == [ack]
    assert counts("job", "ready") == (2, 2)


@pytest.mark.parametrize("ends", [False, True])
def test_a_reap_that_is_rolled_back_lets_the_ack_succeed(
    actor: Callable[[], Actor], ends: bool
) -> None:
    push_many(2)
    jobs, reaper, acker = claim(), actor(), actor()
    reaper.begin()
    reaper.do(lambda: reap(connection, [jobs[0].lease], max_crashes=3))

    acking = acker.start_blocked(end, ack_of(*jobs, ends=ends))
    reaper.rollback()

    assert acking.result(10) == []
    assert counts("job", "ready") == (0, 0)


def test_reap_before_failure_the_failure_waits_and_moves_nothing(
    actor: Callable[[], Actor],
) -> None:
    push_one()
    (job,) = claim()
    reaper, failer = actor(), actor()
    reaper.begin()
    reaper.do(lambda: reap(connection, [job.lease], max_crashes=3))

    moving = failer.start_blocked(lambda: fail(connection, [failing(job)]))
    reaper.commit()

    assert moving.result(10) == []
    assert counts("ready", "retryjob") == (1, 0)


def test_two_reapers_at_once_return_each_job_once(actor: Callable[[], Actor]) -> None:
    push_many(4)
    leases, other = [claim(2)[0].lease, claim(2)[0].lease], actor()
    other.begin()
    first = other.do(lambda: reap(connection, leases[:1], max_crashes=3))

    second = reap(connection, leases, max_crashes=3)

    other.commit()
    assert (first, second, count("ready")) == (2, 2, 4)


def test_the_leases_of_a_silent_process_are_taken_and_it_is_forgotten() -> None:
    push_many(4)
    for wid in ("silent", "alive"):
        start_process(wid)
        claim(2, wid=wid)
    Consumer("silent", listens=True).turn(connection, ["none"], 1)
    Consumer("alive", listens=True).turn(connection, ["none"], 1)
    fall_silent("silent")

    assert reap_all_silent() == 2

    assert column("lease", "wid") == ["alive"]
    assert column("process", "wid", "wid") == ["alive"]
    assert column("waiter", "wid", "wid") == ["alive"]


def test_only_what_ran_at_the_last_beat_of_a_silent_process_counts_a_crash() -> None:
    ran, waited = push_many(2)
    start_process("silent")
    first, _ = claim(2, wid="silent")
    beat(connection, [Pulse("silent", 1, f"[[{first.id}, 0]]")])
    fall_silent("silent")

    assert reap_all_silent() == 2

    assert crashes() == {ran: 1, waited: 0}


def test_of_those_that_ran_the_ones_that_crashed_most_often_are_blamed() -> None:
    often, once, never = push_many(3)
    sql("UPDATE faktory_django_job SET crashes = 2 WHERE jid = %(jid)s", jid=often)
    sql("UPDATE faktory_django_job SET crashes = 1 WHERE jid = %(jid)s", jid=once)
    [job, *_] = claim(3)

    reap(connection, [job.lease], max_crashes=10)

    assert crashes() == {often: 3, once: 1, never: 0}


def test_the_leases_of_an_unknown_process_are_taken_in_time() -> None:
    push_many(2)
    claim(1, wid="unknown")
    assert reap_all_silent() == 0

    move_back("lease", "claimed_at", 31)

    assert reap_all_silent() == 1


def test_a_lease_claimed_just_now_is_left_to_its_silent_process() -> None:
    push_one()
    start_process("slow")
    fall_silent("slow")
    claim(wid="slow")

    assert reap_all_silent() == 0


def test_reservations_of_the_wire_outlive_a_silent_process() -> None:
    push_one()
    claim(wid="remote", each=True)
    move_back("lease", "claimed_at", 3_600)

    assert reap_all_silent() == 0


def test_leases_that_cannot_be_taken_do_not_hide_those_behind(
    actor: Callable[[], Actor],
) -> None:
    push_many(5)
    jobs = [claim(1, wid="silent")[0] for _ in range(5)]
    move_back("lease", "claimed_at", 3_600)
    holder = actor()
    holder.begin()
    for job in jobs[:3]:
        holder.do(finish, job)

    assert reap_all_silent(limit=2) == 2

    holder.commit()
    assert column("job", "id") == [job.id for job in jobs[3:]]


def test_a_wire_reservation_that_has_run_out_is_a_failure() -> None:
    push_many(2, reserve_for=60)
    jobs = claim(each=True)
    move_back("lease", "expires_at", 61)

    assert expire(connection) == 2

    assert counts("job", "lease", "ready", "retryjob") == (0, 0, 0, 2)
    failures = [json.loads(text) for text in column("retryjob", "failure")]
    assert {f["errtype"] for f in failures} == {"ReservationExpired"}
    assert {f["message"] for f in failures} == {"Faktory job reservation expired"}
    assert sql("SELECT sum(failed)::int FROM faktory_django_counterdelta") == [(2,)]
    assert fail(connection, [failing(job) for job in jobs]) == []


def test_a_wire_reservation_that_stands_is_left_alone() -> None:
    push_one(reserve_for=60)
    claim(each=True)

    assert (expire(connection), count("lease")) == (0, 1)


@pytest.mark.parametrize(("retry", "table"), [(-1, "deadjob"), (1, "retryjob"), (0, "level")])
def test_an_expired_job_goes_where_its_retry_says(retry: int, table: str) -> None:
    push_one(retry=retry)
    claim(each=True)
    move_back("lease", "expires_at", 10_000)

    assert expire(connection) == 1
    found = counts("retryjob", "deadjob")
    assert found == (int(table == "retryjob"), int(table == "deadjob"))


def test_an_expired_reservation_of_a_job_that_is_gone_is_dropped() -> None:
    push_one()
    claim(each=True)
    sql("DELETE FROM faktory_django_job")
    move_back("lease", "expires_at", 10_000)

    assert (expire(connection), count("lease")) == (0, 0)


def test_many_expired_reservations_are_taken_page_by_page() -> None:
    push_many(7)
    claim(each=True)
    move_back("lease", "expires_at", 10_000)

    assert expire(connection, limit=2) == 7
    assert counts("lease", "retryjob") == (0, 7)


def test_an_expiry_passes_by_what_somebody_is_ending(actor: Callable[[], Actor]) -> None:
    push_many(5)
    jobs = claim(each=True)
    move_back("lease", "expires_at", 10_000)
    holder = actor()
    holder.begin()
    for job in jobs[:3]:
        holder.do(finish, job)

    assert expire(connection, limit=2) == 2

    holder.rollback()
    assert (expire(connection), count("lease")) == (3, 0)


def overdue_run(
    wid: str = "beating", *, seconds: float = 200, reserve_for: int = 60, asked: float | None = None
) -> Claimed:
    """Let a process that beats run a job since some seconds, with a neighbour in its lease."""
    push_many(2, reserve_for=reserve_for)
    start_process(wid)
    jobs = claim(wid=wid)
    start = sql("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0] - seconds
    slot = [jobs[0].id, start] if asked is None else [jobs[0].id, start, asked]
    beat(connection, [Pulse(wid, 1, json.dumps([slot]))])
    return jobs[0]


@pytest.mark.parametrize(("asked", "expired"), [(None, 1), (30, 1), (100, 1), (190, 0), (900, 0)])
def test_a_run_that_has_asked_for_more_time_is_overdue_after_that(
    asked: float | None, expired: int
) -> None:
    overdue_run(asked=asked)

    found = due(connection, silent_seconds=30)

    assert found.overdue is bool(expired)
    assert expire_overdue(connection) == expired


def test_an_overdue_run_of_a_beating_process_is_a_failure_of_that_job_alone() -> None:
    job = overdue_run()

    assert expire_overdue(connection) == 1

    assert column("retryjob") == [jid_of(job)]
    assert failure_in("retryjob")["errtype"] == "ReservationExpired"
    assert counts("job", "lease") == (1, 1)
    ack = ack_of(job)
    assert end(ack) == [ack]


@pytest.mark.parametrize(("seconds", "reserve_for"), [(110, 60), (59, 60), (200, 150)])
def test_a_run_within_its_time_and_a_minute_is_left_alone(seconds: float, reserve_for: int) -> None:
    overdue_run(seconds=seconds, reserve_for=reserve_for)

    assert expire_overdue(connection) == 0


def test_an_overdue_run_that_is_just_being_acked_is_left_alone(
    actor: Callable[[], Actor],
) -> None:
    job, acker = overdue_run(), actor()
    acker.begin()
    acker.do(finish, job)

    assert expire_overdue(connection) == 0

    acker.commit()
    assert expire_overdue(connection) == 0


def test_one_question_tells_what_there_is_to_reap() -> None:
    def asked() -> tuple[bool, ...]:
        return due(connection, silent_seconds=30)[:3]

    assert asked() == (False, False, False)

    overdue_run("overdue")
    assert asked() == (False, True, False)

    push_one()
    claim(wid="remote", each=True)
    move_back("lease", "expires_at", 10_000)
    assert asked() == (True, True, False)

    fall_silent("overdue")
    assert asked() == (True, True, True)


def test_a_lease_or_a_waiter_without_a_process_is_to_be_reaped() -> None:
    Consumer("unknown", listens=True).turn(connection, ["default"], 1)
    assert due(connection, silent_seconds=30).silent
    reap_all_silent()

    push_one()
    claim(wid="unknown")
    assert not due(connection, silent_seconds=30).silent

    move_back("lease", "claimed_at", 31)
    assert due(connection, silent_seconds=30).silent
