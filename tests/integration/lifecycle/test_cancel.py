"""Cancel: what waits ends at once, what is held is asked to stop, and each job ends once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction

from faktory_django.lifecycle import track
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.cancel import Wish, cancel, cancel_in, sweep, wishes
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.reap import due, expire, reap
from faktory_django.lifecycle.reservation import hand_back, release, return_claims
from faktory_django.lifecycle.retry import Error, Fate, Verdict
from faktory_django.lifecycle.run_next import run_next

from .actors import run_together, seeded
from .stock import (
    ack_of,
    claim,
    column,
    count,
    counts,
    end,
    failing,
    jid_of,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

PLACES = ("job", "ready", "scheduledjob", "retryjob", "deadjob")
DISCARDED = (
    "SELECT coalesce(sum(discarded), 0)::int, coalesce(sum(failed), 0)::int, "
    "coalesce(sum(done), 0)::int FROM faktory_django_counterdelta"
)


def discarded_failed_done() -> tuple[int, ...]:
    return tuple(sql(DISCARDED)[0])


def waits() -> str:
    return push_one(queue="mail")


def waits_in_front() -> str:
    jid = push_one()
    run_next("waiting", column("job", "id"))
    return jid


def came_back() -> str:
    jid = push_one(priority=3)
    (job,) = claim()
    hand_back(connection, job.lease, [job.id])
    end(ack_of(job, ends=True))
    return jid


def is_scheduled() -> str:
    return push_one(delay_seconds=60.0)


def will_be_retried() -> str:
    jid = push_one()
    (job,) = claim()
    fail(connection, [failing(job)])
    end(ack_of(job, ends=True))
    return jid


def is_dead() -> str:
    jid = push_one()
    (job,) = claim()
    fail(connection, [failing(job, kill=True)])
    return jid


def has_ended() -> str:
    jid = push_one()
    end(ack_of(*claim(), ends=True))
    return jid


def is_held() -> str:
    jid = push_one()
    claim()
    return jid


@pytest.mark.parametrize("place", [waits, waits_in_front, came_back, is_scheduled, will_be_retried])
def test_what_nobody_holds_is_cancelled_at_once(place: Callable[[], str]) -> None:
    jid, other = place(), push_one(queue="other")
    track.follow([jid])
    discarded, *_ = discarded_failed_done()

    assert cancel([jid]) == {jid: "cancelled"}

    assert counts(*PLACES) == (1, 1, 0, 0, 0)
    assert column("job") == [other]
    assert discarded_failed_done()[0] == discarded + 1
    assert [s.state for s in track.statuses([jid])] == ["cancelled"]
    assert count("cancel") == 0


@pytest.mark.parametrize("place", [is_dead, has_ended, lambda: "never-was"])
def test_what_has_ended_is_not_found(place: Callable[[], str]) -> None:
    jid = place()
    before = counts(*PLACES)

    assert cancel([jid]) == {jid: "not found"}

    assert counts(*PLACES) == before
    assert count("cancel") == 0


def test_several_jids_are_answered_each_and_all_jobs_of_a_jid_are_meant() -> None:
    held = is_held()
    push_one("twin")
    push_one("twin", delay_seconds=60.0)

    assert cancel(["twin", held, "none"]) == {
        "twin": "cancelled",
        held: "asked",
        "none": "not found",
    }

    assert column("job") == [held]
    assert counts("ready", "scheduledjob") == (0, 0)


def test_a_job_that_is_held_stays_and_its_holder_is_told(heard: Callable[[], list[str]]) -> None:
    jid = push_one()
    (job,) = claim(wid="me")

    assert cancel([jid], by="ada") == {jid: "asked"}

    assert heard() == ["cancel me"]
    assert wishes(connection, "me") == [Wish(job.id, None)]
    assert wishes(connection, "other") == []
    assert column("cancel", "(jid, wid, asked_by)", "jid") == [(jid, "me", "ada")]


def test_who_asked_first_stays_on_record_and_the_earliest_end_by_force_counts() -> None:
    jid = is_held()

    for by, kill_after in (("ada", None), ("bob", 60.0), ("eve", 600.0), ("mel", None)):
        assert cancel([jid], by=by, kill_after=kill_after) == {jid: "asked"}

    (wish,) = wishes(connection, "w")
    assert wish.kill_in_seconds == pytest.approx(60, abs=5)
    assert column("cancel", "asked_by", "jid") == ["ada"]


def test_nobody_is_told_before_the_commit(heard: Callable[[], list[str]]) -> None:
    jid = is_held()

    with transaction.atomic():
        cancel([jid])
        assert heard() == []

    assert heard() == ["cancel w"]


def test_a_wish_that_is_rolled_back_leaves_the_job_alone() -> None:
    waiting, held = push_one(queue="mail"), is_held()

    with transaction.atomic():
        cancel([waiting, held])
        transaction.set_rollback(True)

    assert sorted(column("job")) == sorted([waiting, held])
    assert counts("ready", "cancel") == (1, 0)


def snooze(job: Claimed) -> Failing:
    return Failing(job.id, job.lease, Verdict(Fate.SNOOZE, delay_seconds=60.0), counts=False)


def call_off(job: Claimed) -> Failing:
    return Failing(job.id, job.lease, Verdict(Fate.CANCELLED), counts=False)


def fall(job: Claimed) -> Failing:
    return failing(job)


def die(job: Claimed) -> Failing:
    return failing(job, kill=True)


def give_up(job: Claimed) -> Failing:
    return failing(job, retry=0)


@pytest.mark.parametrize(
    ("how", "counted"),
    [(snooze, (1, 0)), (call_off, (1, 0)), (fall, (0, 1)), (die, (0, 1)), (give_up, (0, 1))],
)
def test_a_run_that_was_asked_to_stop_and_does_not_succeed_ends_the_job(
    how: Callable[[Claimed], Failing], counted: tuple[int, int]
) -> None:
    jid = push_one()
    (job,) = claim()
    track.follow([jid])
    cancel([jid])

    (moved,) = fail(connection, [how(job)])

    assert moved.fate == "cancelled"
    assert counts(*PLACES) == (0, 0, 0, 0, 0)
    assert discarded_failed_done()[:2] == counted
    assert [s.state for s in track.statuses([jid])] == ["cancelled"]


def test_a_run_that_succeeds_although_it_was_cancelled_has_succeeded() -> None:
    jid = is_held()
    track.follow([jid])
    cancel([jid])
    (lease,) = column("lease", "id")

    (ids,) = column("lease", "ids")
    sql("DELETE FROM faktory_django_job WHERE id = ANY(%(ids)s)", ids=ids)
    sql("DELETE FROM faktory_django_lease WHERE id = %(lease)s", lease=lease)
    assert sweep(connection) == 0

    assert [s.state for s in track.statuses([jid])] == ["done"]
    assert count("cancel") == 0


def give_back(jobs: list[Claimed]) -> None:
    hand_back(connection, jobs[0].lease, [job.id for job in jobs])


def let_go(jobs: list[Claimed]) -> None:
    del jobs
    release(connection, "w")


def crash(jobs: list[Claimed]) -> None:
    reap(connection, [jobs[0].lease], max_crashes=1 if len(jobs) == 1 else 3)


@pytest.mark.parametrize("leaves", [give_back, let_go, crash])
def test_a_cancelled_job_does_not_come_back_and_its_neighbours_do(
    leaves: Callable[[list[Claimed]], None],
) -> None:
    jids = push_many(3)
    jobs = claim()
    cancel([jids[1]])

    leaves(jobs)

    assert column("job") == [jids[0], jids[2]]
    assert counts("ready", "deadjob") == (2, 0)
    assert discarded_failed_done()[0] == 1
    assert sweep(connection) == 0
    assert count("cancel") == 0


def test_a_cancelled_job_that_takes_its_process_down_is_not_kept() -> None:
    jid = push_one()
    jobs = claim()
    cancel([jid])

    crash(jobs)

    assert counts(*PLACES) == (0, 0, 0, 0, 0)


# the wire


def test_a_client_of_the_wire_may_still_ack() -> None:
    jid = push_one()
    claim(1, wid="remote", each=True)
    assert cancel([jid]) == {jid: "asked"}

    assert ack_jids([Holding(jid)]) == 1

    assert discarded_failed_done() == (0, 0, 1)


def test_what_a_client_of_the_wire_fails_is_not_retried() -> None:
    jid = push_one()
    claim(1, wid="remote", each=True)
    cancel([jid])

    assert fail_jids(connection, [Holding(jid)], [Error.cut("E", "no")]) == [True]

    assert counts(*PLACES, "lease") == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("leaves", ["expires", "is never answered"])
def test_a_reservation_that_ends_ends_a_cancelled_job(leaves: str) -> None:
    jid = push_one()
    (job,) = claim(1, wid="remote", each=True)
    cancel([jid])

    if leaves == "expires":
        move_back("lease", "expires_at", 10_000)
        assert expire(connection) == 1
    else:
        return_claims(connection, [job.lease])

    assert counts(*PLACES, "lease") == (0, 0, 0, 0, 0, 0)


def test_a_reservation_is_ended_by_force() -> None:
    jid, late = push_one(), push_one()
    claim(2, wid="remote", each=True)
    cancel([jid], kill_after=0.0)
    cancel([late], kill_after=600.0)

    assert sweep(connection) == 1

    assert column("job") == [late]
    assert column("lease", "jid") == [late]
    assert column("cancel", "jid", "jid") == [late]
    assert ack_jids([Holding(jid)]) == 0


# what moves on at the moment of the wish


def wish_for(job: Claimed) -> None:
    """Write a wish as if it had been made while the job was moving."""
    sql(
        "INSERT INTO faktory_django_cancel (job_id, jid, wid, enqueued_at, asked_at, asked_by)"
        " SELECT id, jid, 'w', enqueued_at, clock_timestamp(), 'ada' FROM faktory_django_job"
        " WHERE id = %(id)s",
        id=job.id,
    )


@pytest.mark.parametrize("how", [fall, snooze])
def test_a_wish_that_a_failure_has_overtaken_is_fulfilled(
    how: Callable[[Claimed], Failing],
) -> None:
    push_one()
    (job,) = claim()
    wish_for(job)
    saved = sql("SELECT * FROM faktory_django_cancel")
    sql("DELETE FROM faktory_django_cancel")
    fail(connection, [how(job)])
    sql(
        "INSERT INTO faktory_django_cancel (job_id, jid, wid, enqueued_at, asked_at, asked_by)"
        " VALUES (%(a)s, %(b)s, %(c)s, %(d)s, %(e)s, %(f)s)",
        **dict(zip("abcdef", saved[0], strict=False)),
    )
    other = push_one(jid_of(job), delay_seconds=60.0)

    assert sweep(connection) == 1

    assert column("scheduledjob") == [other]
    assert counts("retryjob", "cancel") == (0, 0)


def test_a_wish_for_a_job_that_has_come_back_is_fulfilled() -> None:
    push_one()
    (job,) = claim()
    hand_back(connection, job.lease, [job.id])
    wish_for(job)

    assert sweep(connection) == 1

    assert counts("job", "ready", "cancel") == (0, 0, 0)


def test_a_wish_goes_to_who_holds_the_job_by_now(heard: Callable[[], list[str]]) -> None:
    push_one()
    (job,) = claim()
    hand_back(connection, job.lease, [job.id])
    wish_for(job)
    claim(wid="next")

    assert sweep(connection) == 0

    assert heard() == ["cancel next"]
    assert column("cancel", "(wid, asked_by)", "jid") == [("next", "ada")]


def test_a_wish_that_stands_is_left_alone(heard: Callable[[], list[str]]) -> None:
    jid = is_held()
    cancel([jid])

    assert [sweep(connection), sweep(connection, limit=1)] == [0, 0]

    assert heard() == ["cancel w"]
    assert count("cancel") == 1


def test_the_look_for_what_is_to_be_done_knows_of_wishes() -> None:
    assert not due(connection, silent_seconds=30).asked

    cancel([is_held()])

    assert due(connection, silent_seconds=30).asked


def test_a_job_that_is_being_claimed_is_waited_for(actor: Callable[[], Actor]) -> None:
    jid = push_one()
    claimer, canceller = actor(), actor()
    claimer.begin()
    claimer.do(claim)

    asked = canceller.start_blocked(cancel, [jid])
    claimer.commit()

    assert asked.result(15) == {jid: "asked"}


def test_a_job_whose_time_comes_meanwhile_is_waited_for(actor: Callable[[], Actor]) -> None:
    jid = push_one(delay_seconds=60.0)
    move_back("scheduledjob", "due_at", 3_600)
    promoter, canceller = actor(), actor()
    promoter.begin()
    promoter.do(lambda: Promoter().promote_scheduled(connection, 10))

    asked = canceller.start_blocked(cancel, [jid])
    promoter.commit()

    assert asked.result(15) == {jid: "cancelled"}
    assert counts("job", "ready", "scheduledjob") == (0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_cancels_claims_acks_and_failures_end_each_job_once(seed: int) -> None:
    chances = seeded(seed)
    jids = push_many(60)
    gone: list[str] = []
    done: list[str] = []
    moved: list[tuple[str, str]] = []

    def work() -> None:
        while jobs := claim(5):
            for job in jobs:
                if chances.random() < 0.5:
                    moved.extend((m.jid, m.fate) for m in fail(connection, [fall(job)]))
                elif not end(ack_of(job)):
                    done.append(jid_of(job))

    def call_some_off() -> None:
        for jid in chances.sample(jids, 40):
            gone.extend(one for one, what in cancel([jid]).items() if what == "cancelled")

    run_together(work, work, call_some_off, call_some_off)
    sweep(connection)

    failed = [jid for jid, fate in moved if fate in {"retry", "cancelled"}]
    assert len(done) == len(set(done))
    assert len(gone) == len(set(gone))
    assert not set(done) & (set(failed) | set(gone))
    assert set(done) | set(failed) | set(gone) == set(jids)
    assert count("job") == 0
    discarded, failures, _ = discarded_failed_done()
    retried = [jid for jid, fate in moved if fate == "retry"]
    assert set(column("retryjob")) <= set(retried) - set(gone)
    assert (failures, discarded >= len(gone)) == (len(moved), True)


# lists


@pytest.mark.parametrize(
    ("place", "target"),
    [(waits, "waiting"), (is_scheduled, "scheduled"), (will_be_retried, "retries")],
)
def test_entries_of_a_list_are_cancelled_where_they_are(
    place: Callable[[], str], target: str
) -> None:
    place()
    table = {"waiting": "job", "scheduled": "scheduledjob", "retries": "retryjob"}[target]
    (key,) = column(table, "id")

    assert cancel_in(target, [key, key, 10**9]) == 1
    assert cancel_in(target, [key]) == 0

    assert count(table) == 0


def test_an_entry_that_was_claimed_meanwhile_is_asked_to_stop() -> None:
    jid = is_held()

    assert cancel_in("waiting", column("job", "id")) == 1

    assert column("job") == [jid]
    assert column("cancel", "jid", "jid") == [jid]


def test_a_job_that_is_never_where_it_was_seen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faktory_django.lifecycle.cancel.LOOKS", 0)
    jid = push_one()

    assert cancel([jid]) == {jid: "not found"}

    assert count("job") == 1
