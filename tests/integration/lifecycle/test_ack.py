"""Ack: a job succeeded and is gone, if the lease stands that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection, transaction

from faktory_django.errors import ReservationLost
from faktory_django.lifecycle.ack import ack_last
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back
from faktory_django.models import BUCKETS

from .stock import (
    ack_of,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    end,
    jid_of,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def finish(job: Claimed) -> None:
    ack_last(job.id, job.lease, wait_seconds=0.002, run_seconds=0.02, using="default")


def counted(name: str) -> int:
    return sum(column("counterdelta", name))


def test_an_acked_job_is_gone() -> None:
    push_many(3)
    jobs = claim()

    lost = end(ack_of(*jobs, ends=True))

    assert (lost, counts("job", "ready", "lease")) == ([], (0, 0, 0))


def test_part_of_a_lease_may_be_acked() -> None:
    push_many(3)
    jobs = claim()

    lost = end(ack_of(jobs[1]))

    assert lost == []
    assert column("job", "id") == [jobs[0].id, jobs[2].id]
    assert count("lease") == 1


def test_the_end_of_a_lease_acks_what_is_left_of_it() -> None:
    push_many(3)
    jobs = claim()
    end(ack_of(jobs[1]))

    lost = end(ack_of(jobs[0], jobs[2], ends=True))

    assert (lost, counts("job", "lease")) == ([], (0, 0))


def test_one_turn_acks_several_leases_and_claims_the_next_jobs() -> None:
    push_many(6)
    one, two, three = claim(2), claim(2), claim(1)

    turn = Consumer("w").turn(
        connection, ["default"], 5, [ack_of(*one, ends=True), ack_of(two[0]), ack_of(*three)]
    )

    assert turn.lost == []
    assert len(turn.jobs) == 1
    assert column("job", "id") == [two[1].id, turn.jobs[0].id]


def test_acked_jobs_are_counted_with_how_long_they_waited_and_ran() -> None:
    push_many(3, jobtype="x")
    jobs = claim()

    end(ack_of(*jobs, ends=True))

    ((done, waits, runs),) = sql(
        "SELECT done, waits, runs FROM faktory_django_counterdelta WHERE done > 0"
    )
    assert (done, len(waits), len(runs)) == (3, BUCKETS, BUCKETS)
    assert (waits[1], sum(waits), runs[3], sum(runs)) == (3, 3, 3, 3)


def test_an_ack_without_its_lease_ends_nothing_and_counts_nothing() -> None:
    push_many(2)
    jobs = claim()
    reap(connection, [jobs[0].lease], max_crashes=3)

    partial, whole = ack_of(jobs[0]), ack_of(*jobs, ends=True)

    assert end(partial, whole) == [partial, whole]
    assert (count("job"), counted("done")) == (2, 0)


def test_a_lease_that_lost_a_job_counts_nothing_for_it() -> None:
    push_many(2)
    jobs = claim()
    sql("DELETE FROM faktory_django_job WHERE id = %(id)s", id=jobs[0].id)

    ack = ack_of(*jobs, ends=True)

    assert end(ack) == [ack]
    assert counted("done") == 0


def test_an_ack_of_an_ack_finds_nothing() -> None:
    push_one()
    ack = ack_of(*claim(), ends=True)

    assert (end(ack), end(ack)) == ([], [ack])


def test_the_end_of_a_lease_never_ends_what_was_handed_back() -> None:
    push_many(3)
    jobs = claim()
    hand_back(connection, jobs[0].lease, [jobs[1].id, jobs[2].id])
    again = claim(1)

    lost = end(ack_of(jobs[0], ends=True))

    assert (lost, [job.id for job in again]) == ([], [jobs[1].id])
    assert column("job", "id") == [jobs[1].id, jobs[2].id]
    assert claimed_jids() == [jid_of(jobs[2])]


def test_an_ack_that_ends_a_lease_waits_for_a_hand_back_and_spares_its_jobs(
    actor: Callable[[], Actor],
) -> None:
    push_many(2)
    jobs, other, late = claim(), actor(), actor()
    other.begin()
    other.do(lambda: hand_back(connection, jobs[0].lease, [jobs[1].id]))

    acking = late.start_blocked(end, ack_of(jobs[0], ends=True))
    other.commit()

    assert acking.result(10) == []
    assert claimed_jids() == [jid_of(jobs[1])]


def test_a_late_ack_as_last_statement_of_a_job_that_was_handed_back_is_refused() -> None:
    push_many(2)
    jobs = claim()
    hand_back(connection, jobs[0].lease, [jobs[0].id])
    (again,) = claim(1)

    with pytest.raises(ReservationLost, match=f"job {again.id} is no longer held by lease"):
        finish(jobs[0])

    assert again.id == jobs[0].id
    assert count("job") == 2


def test_the_last_statement_of_a_job_commits_with_its_effects() -> None:
    push_one()
    (job,) = claim()

    with transaction.atomic():
        effect = push_one()
        finish(job)

    assert column("job") == [effect]
    assert counted("done") == 1


def test_a_lost_reservation_rolls_the_effects_of_a_job_back() -> None:
    jid = push_one()
    (job,) = claim()
    reap(connection, [job.lease], max_crashes=3)

    def perform() -> None:
        with transaction.atomic():
            push_one()
            finish(job)

    with pytest.raises(ReservationLost):
        perform()
    assert column("job") == [jid]


def test_two_acks_on_one_lease_do_not_wait_for_each_other(actor: Callable[[], Actor]) -> None:
    push_many(3)
    jobs, one, two = claim(), actor(), actor()
    one.begin()
    two.begin()

    one.do(finish, jobs[0])
    two.do(finish, jobs[1])
    lost = end(ack_of(jobs[2]))

    one.commit()
    two.commit()
    assert (lost, count("job")) == ([], 0)


def test_an_ack_does_not_wait_for_a_hand_back_on_its_lease(actor: Callable[[], Actor]) -> None:
    push_many(2)
    jobs, other = claim(), actor()
    other.begin()
    other.do(lambda: hand_back(connection, jobs[0].lease, [jobs[1].id]))

    lost = end(ack_of(jobs[0]))

    other.commit()
    assert (lost, claimed_jids()) == ([], [jid_of(jobs[1])])


def test_a_claim_that_ends_an_ack_too_is_durable_unless_asked_otherwise() -> None:
    push_many(3)
    first = claim(1)

    with transaction.atomic():
        Consumer("w").turn(connection, ["default"], 1, [ack_of(*first, ends=True)])
        with_ack = sql("SHOW synchronous_commit")
        claim(1)
        alone = sql("SHOW synchronous_commit")

    assert (with_ack, alone) == ([("on",)], [("off",)])
    assert sql("SHOW synchronous_commit") == [("on",)]


def test_fast_acks_leave_nothing_behind(override_faktory: Callable[..., None]) -> None:
    override_faktory(FAST_ACKS=True)
    push_one()
    first = claim(1)

    with transaction.atomic():
        end(ack_of(*first, ends=True))
        inside = sql("SHOW synchronous_commit")

    assert (inside, sql("SHOW synchronous_commit")) == ([("off",)], [("on",)])
