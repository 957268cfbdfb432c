"""Fail: a run did not succeed; where the job goes, and what it carries from then on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django import payload, registry
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back
from faktory_django.lifecycle.retry import (
    MAX_DELAY_SECONDS,
    Error,
    Fate,
    Verdict,
    backoff_seconds,
    delay_of,
    judge,
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

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def claim_and_fail(*, retry: int | None = None, kill: bool = False) -> str:
    """Claim the only job and let it fail; return its fate."""
    (job,) = claim()
    (moved,) = fail(connection, [failing(job, retry=retry, kill=kill)])
    end(ack_of(job, ends=True))
    return moved.fate


def promote_again() -> None:
    move_back("retryjob", "due_at", 10**7)
    assert Promoter().promote_retries(connection, 10) == 1


@pytest.fixture
def hooked() -> Iterator[str]:
    """A jobtype with an on_dead hook."""

    def perform() -> None: ...

    registry.register(registry.Definition("hooked", perform, on_dead=lambda dead: dead))
    yield "hooked"
    del registry._definitions["hooked"]


def test_a_failed_job_moves_to_the_retries_with_all_that_it_was() -> None:
    jid = push_one(queue="mail", priority=4, reserve_for=99)
    (job,) = claim(1, "mail")

    (moved,) = fail(connection, [failing(job)])

    row = sql(
        "SELECT jid, queue, priority, reserve_for, body, failure, enqueued_at IS NOT NULL"
        " FROM faktory_django_retryjob"
    )[0]
    assert row[:5] == (jid, "mail", 4, 99, job.body)
    assert (moved.id, moved.fate, moved.queue, moved.jobtype) == (job.id, "retry", "mail", "noop")
    assert (moved.failure, row[6]) == (row[5], True)
    assert counts("job", "ready", "deadjob") == (0, 0, 0)


def test_the_failure_says_what_the_protocol_asks_for_by_the_clock_of_the_database() -> None:
    push_one()
    claim_and_fail()

    failure = failure_in("retryjob")
    assert list(failure)[:2] == ["failed_at", "next_at"]
    assert failure | {"failed_at": 0, "next_at": 0} == {
        "failed_at": 0,
        "next_at": 0,
        "message": "no",
        "errtype": "ValueError",
        "backtrace": ["line 1"],
        "retry_count": 0,
        "remaining": 25,
    }
    assert sql(
        "SELECT due_at = (failure::json ->> 'next_at')::timestamptz,"
        " due_at - (failure::json ->> 'failed_at')::timestamptz"
        " BETWEEN '15 s' AND '45 s' FROM faktory_django_retryjob"
    ) == [(True, True)]


def test_the_time_of_the_first_failure_is_kept_and_the_count_goes_on() -> None:
    push_one(retry=3)
    claim_and_fail()
    first = failure_in("retryjob")
    promote_again()

    claim_and_fail()

    second = failure_in("retryjob")
    assert second["failed_at"] == first["failed_at"]
    assert [(f["retry_count"], f["remaining"]) for f in (first, second)] == [(0, 3), (1, 2)]


@pytest.mark.parametrize("retry", [1, 2, 5])
def test_a_job_runs_once_more_than_its_retries_and_dies(retry: int) -> None:
    push_one(retry=retry)

    fates = [claim_and_fail()]
    while fates[-1] == "retry":
        promote_again()
        fates.append(claim_and_fail())

    assert fates == ["retry"] * retry + ["dead"]
    failure = failure_in("deadjob")
    assert (failure["retry_count"], failure["remaining"]) == (retry, 0)
    assert "next_at" not in failure


def test_a_job_with_retry_0_is_gone_when_it_fails() -> None:
    push_one(retry=0)

    assert claim_and_fail() == "gone"
    assert counts("job", "retryjob", "deadjob") == (0, 0, 0)


def test_a_job_with_retry_minus_1_dies_at_its_first_failure() -> None:
    push_one(retry=-1)

    assert claim_and_fail() == "dead"
    assert failure_in("deadjob")["retry_count"] == 0


def test_a_job_that_does_not_say_is_retried_25_times() -> None:
    push_one(body='{"jid":"x","jobtype":"noop","args":[],"retry":null}')

    assert claim_and_fail() == "retry"
    assert failure_in("retryjob")["remaining"] == 25


def test_a_job_may_be_killed_whatever_retries_are_left() -> None:
    push_one(retry=5)

    assert claim_and_fail(kill=True) == "dead"


def test_a_job_with_retry_0_that_is_killed_is_kept() -> None:
    push_one(retry=0)

    assert claim_and_fail(kill=True) == "dead"


@pytest.mark.parametrize("retry_count", [0, 1, 2, 10, 24])
def test_the_delay_grows_with_the_fourth_power(retry_count: int) -> None:
    shortest = backoff_seconds(retry_count, draw=lambda _: 0)
    longest = backoff_seconds(retry_count, draw=lambda most: most - 1)

    assert shortest == retry_count**4 + 15
    assert longest == retry_count**4 + 15 + 29 * (retry_count + 1)


def own_backoff(given: float | timedelta | str) -> Callable[[int], float]:
    def backoff(retry_count: int) -> float | timedelta:
        if isinstance(given, str):
            raise ZeroDivisionError(given)
        return given * (retry_count + 1)

    return delay_of(registry.Definition("own", lambda: None, backoff=backoff))


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(5, 15), (0.5, 1.5), (timedelta(minutes=1), 180), (-3, 0), (1e12, MAX_DELAY_SECONDS)],
)
def test_an_application_may_say_how_long_to_wait(given: float | timedelta, seconds: float) -> None:
    assert own_backoff(given)(2) == seconds


def test_a_backoff_that_fails_is_replaced_by_ours(caplog: pytest.LogCaptureFixture) -> None:
    assert 31 <= own_backoff("raise")(2) <= 118
    assert "the backoff of own failed" in caplog.text


def test_a_delay_never_exceeds_ten_years() -> None:
    assert backoff_seconds(1_000) == MAX_DELAY_SECONDS


def test_a_snoozed_job_waits_and_nothing_is_counted() -> None:
    jid = push_one()
    (job,) = claim()

    (moved,) = fail(
        connection, [Failing(job.id, job.lease, Verdict(Fate.SNOOZE, delay_seconds=60), False)]
    )

    due = sql("SELECT jid, failure, due_at > now() + '50 s' FROM faktory_django_scheduledjob")
    assert (moved.fate, moved.failure, due) == ("snooze", None, [(jid, None, True)])
    assert column("counterdelta", "failed + discarded") == [0]


def test_a_snooze_keeps_the_latest_failure() -> None:
    push_one()
    claim_and_fail()
    promote_again()
    (job,) = claim()

    fail(connection, [Failing(job.id, job.lease, Verdict(Fate.SNOOZE, delay_seconds=60), False)])

    assert failure_in("scheduledjob")["retry_count"] == 0


def test_a_discarded_job_is_gone_and_counted_as_discarded() -> None:
    push_one()
    (job,) = claim()

    fail(connection, [Failing(job.id, job.lease, Verdict(Fate.GONE), counts=False)])

    assert counts("job", "retryjob", "deadjob") == (0, 0, 0)
    assert column("counterdelta", "(failed, discarded)::text") == ["(0,0)", "(0,1)"]


def test_failures_are_counted_once_each_by_queue_and_jobtype() -> None:
    push_many(2, jobtype="x")
    push_one(jobtype="y")

    fail(connection, [failing(job) for job in claim()])

    assert sorted(
        sql("SELECT jobtype, failed FROM faktory_django_counterdelta WHERE failed > 0")
    ) == [("x", 2), ("y", 1)]


def test_many_failures_of_several_leases_are_one_move() -> None:
    jids = push_many(6)
    jobs = claim(2) + claim(4)

    moved = fail(connection, [failing(job) for job in reversed(jobs)])

    assert sorted(m.id for m in moved) == sorted(job.id for job in jobs)
    assert sorted(column("retryjob")) == sorted(jids)


def test_failing_nothing_changes_nothing() -> None:
    assert fail(connection, []) == []


def test_texts_with_quotes_and_what_postgresql_cannot_hold_become_a_failure() -> None:
    push_one()
    (job,) = claim()
    error = Error.cut('X"y', 'a "quote" \\ \0 \ud800 é', ["{}%s"])

    fail(connection, [Failing(job.id, job.lease, judge(25, None, error))])

    failure = failure_in("retryjob")
    assert (failure["errtype"], failure["backtrace"]) == ('X"y', ["{}%s"])
    assert failure["message"] == 'a "quote" \\ \ufffd ? é'


def test_a_failure_after_a_reap_moves_nothing() -> None:
    jid = push_one()
    (job,) = claim()
    reap(connection, [job.lease], max_crashes=3)

    assert fail(connection, [failing(job)]) == []
    assert (claimed_jids(), counts("retryjob")) == ([jid], (0,))


def test_a_failure_twice_moves_once() -> None:
    push_one()
    (job,) = claim()

    moved = [len(fail(connection, [failing(job)])) for _ in range(2)]

    assert (moved, count("retryjob")) == ([1, 0], 1)


def test_a_failure_of_a_job_that_was_handed_back_moves_nothing() -> None:
    push_many(2)
    jobs = claim()
    hand_back(connection, jobs[0].lease, [jobs[0].id])

    moved = fail(connection, [failing(job) for job in jobs])

    assert [m.id for m in moved] == [jobs[1].id]
    assert claimed_jids() == [jid_of(jobs[0])]


def test_the_failure_of_a_wire_job_ends_its_lease() -> None:
    push_one()
    (job,) = claim(each=True)

    fail(connection, [failing(job)])

    assert counts("lease", "retryjob") == (0, 1)


def test_the_failure_of_one_job_leaves_the_lease_of_its_neighbours() -> None:
    push_many(2)
    jobs = claim()

    fail(connection, [failing(jobs[0])])

    assert (count("lease"), end(ack_of(jobs[1], ends=True))) == (1, [])


@pytest.mark.parametrize("each", [False, True])
def test_of_two_failures_at_once_one_moves_the_job(actor: Callable[[], Actor], each: bool) -> None:
    push_one()
    (job,) = claim(each=each)
    blocker, one, two = actor(), actor(), actor()
    blocker.begin()
    blocker.sql("SELECT FROM faktory_django_job FOR UPDATE")
    first = one.start_blocked(lambda: fail(connection, [failing(job)]))
    second = two.start_blocked(lambda: fail(connection, [failing(job)]))

    blocker.commit()

    assert sorted([len(first.result(10)), len(second.result(10))]) == [0, 1]
    assert count("retryjob") == 1


def test_a_dead_job_pushes_its_on_dead_job(hooked: str) -> None:
    jid = push_one(jobtype=hooked, queue="mail", retry=-1)
    (job,) = claim(1, "mail")

    fail(connection, [failing(job)])

    (hook,) = claim(1, "mail")
    jobtype, dead = payload.parse(hook.body).args
    assert (jobtype, dead["jid"], dead["queue"]) == ("hooked", jid, "mail")
    assert dead["failure"] == failure_in("deadjob")
    assert payload.parse(hook.body).jobtype == registry.ON_DEAD


def test_the_on_dead_job_is_pushed_in_the_transaction_that_buries(
    hooked: str, actor: Callable[[], Actor]
) -> None:
    push_one(jobtype=hooked, retry=-1)
    (job,) = claim()
    other = actor()
    other.begin()

    other.do(lambda: fail(connection, [failing(job)]))
    other.rollback()

    assert counts("job", "deadjob", "ready", "lease") == (1, 0, 0, 1)


def test_a_job_that_is_retried_pushes_no_on_dead_job(hooked: str) -> None:
    push_one(jobtype=hooked)

    assert claim_and_fail() == "retry"
    assert count("ready") == 0


def test_a_retry_is_json_that_others_can_read() -> None:
    push_one()
    claim_and_fail()

    (body,), (failure,) = column("retryjob", "body"), column("retryjob", "failure")
    whole = json.loads(payload.with_failure(body, failure, "2026-01-01T00:00:00Z"))
    assert list(whole)[:3] == ["enqueued_at", "failure", "created_at"]
