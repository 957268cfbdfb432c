"""Fetch: a consumer takes jobs out of its queues, in their order, under a lease."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.utils import OperationalError

from faktory_django.lifecycle import mutate, queues
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reservation import hand_back, release

from .stock import (
    a_push,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    jid_of,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def take(consumer: Consumer, wanted: int = 10, *names: str) -> list[str]:
    turn = consumer.turn(connection, names or ["default"], wanted)
    return [jid_of(job) for job in turn.jobs]


def never_sweeping(wid: str = "w") -> Consumer:
    return Consumer(wid, next_sweep=float("inf"))


def test_queues_are_emptied_in_the_order_given_and_not_mixed() -> None:
    push([a_push(f"{queue}{n}", queue=queue) for n, queue in itertools.product(range(3), "abc")])

    jids = claimed_jids(10, "b", "c", "a")

    assert jids == ["b0", "b1", "b2", "c0", "c1", "c2", "a0", "a1", "a2"]


def test_an_earlier_queue_comes_before_a_higher_priority_of_a_later_one() -> None:
    push([a_push("later", queue="b", priority=100), a_push("earlier", queue="a", priority=-100)])

    assert claimed_jids(10, "a", "b") == ["earlier", "later"]


def test_other_queues_are_left_alone() -> None:
    push_one(queue="mail")

    assert claimed_jids(10, "default") == []
    assert count("ready") == 1


@pytest.mark.parametrize("name", ["a", "A.b_c-D.9", "-", "_", ".", "..", "0", "x" * 100])
def test_queue_names_of_the_allowed_characters_work(name: str) -> None:
    queues.declare([name])

    jid = push_one(queue=name)

    assert claimed_jids(10, name) == [jid]


def test_queue_names_are_told_apart_by_case() -> None:
    push_one(queue="Mail")

    assert claimed_jids(10, "mail") == []


def test_a_claim_takes_as_many_as_wanted_and_leaves_the_rest() -> None:
    jids = push_many(5)

    assert claimed_jids(3) == jids[:3]
    assert claimed_jids(3) == jids[3:]


def test_a_claim_of_nothing_makes_no_lease() -> None:
    turn = Consumer("w").turn(connection, ["default"], 5)

    assert (turn.jobs, turn.lease, count("lease")) == ([], None, 0)


def test_a_consumer_of_no_queues_finds_nothing() -> None:
    push_one()

    assert Consumer("w").turn(connection, [], 5).jobs == []


def test_a_turn_that_wants_nothing_claims_nothing() -> None:
    push_one()

    assert Consumer("w").turn(connection, ["default"], 0).jobs == []


def test_a_claimed_job_says_what_the_worker_needs() -> None:
    jid = push_one(queue="mail", priority=3)

    turn = Consumer("me").turn(connection, ["mail"], 1)

    (job,) = turn.jobs
    (lease,) = sql("SELECT id, wid, expires_at, ids, jid FROM faktory_django_lease")
    assert (jid_of(job), job.queue, job.rank, job.crashes, job.failure) == (jid, "mail", 6, 0, None)
    assert (job.lease, turn.lease) == (lease[0], lease[0])
    assert lease[1:] == ("me", None, [job.id], None)
    assert 0 <= turn.moment - job.enqueued_at < 10


def test_one_claim_is_one_lease_in_order_of_the_claim() -> None:
    push([a_push("low", priority=-1), a_push("high", priority=1), a_push("middle")])

    jobs = claim()

    (ids,) = column("lease", "ids")
    assert ids == [job.id for job in jobs]
    assert [jid_of(job) for job in jobs] == ["high", "middle", "low"]


def test_on_the_wire_each_job_has_a_lease_that_ends_by_itself() -> None:
    push([a_push("short", reserve_for=60, priority=1), a_push("long", reserve_for=7_200)])

    jobs = claim(wid="remote", each=True)

    leases = sql(
        "SELECT id, wid, ids, jid, date_trunc('second', expires_at - claimed_at)"
        " FROM faktory_django_lease ORDER BY id"
    )
    assert [jid_of(job) for job in jobs] == ["short", "long"]
    assert sorted((jid, wid, span) for _, wid, _, jid, span in leases) == [
        ("long", "remote", timedelta(hours=2)),
        ("short", "remote", timedelta(minutes=1)),
    ]
    assert {(job.lease, jid_of(job)) for job in jobs} == {(lease[0], lease[3]) for lease in leases}
    assert all([job.id] == next(s[2] for s in leases if s[0] == job.lease) for job in jobs)


def test_on_the_wire_an_entry_without_a_job_makes_no_lease() -> None:
    push_one()
    sql("DELETE FROM faktory_django_job")

    assert claim(each=True) == []
    assert counts("ready", "lease") == (0, 0)


def test_an_entry_whose_job_is_gone_is_skipped() -> None:
    gone, kept = push_one(), push_one()
    sql("DELETE FROM faktory_django_job WHERE jid = %(jid)s", jid=gone)

    turn = Consumer("w").turn(connection, ["default"], 5)

    assert [jid_of(job) for job in turn.jobs] == [kept]
    assert count("ready") == 0


def test_a_claim_of_entries_without_jobs_names_its_lease_so_that_it_can_be_ended() -> None:
    push_one()
    sql("DELETE FROM faktory_django_job")

    turn = Consumer("w").turn(connection, ["default"], 5)

    assert turn.jobs == []
    assert [turn.lease] == column("lease", "id")


def test_a_claim_skips_what_another_one_is_taking(actor: Callable[[], Actor]) -> None:
    jids, other = push_many(5), actor()
    other.begin()
    taken = other.do(claimed_jids, 3)

    mine = claimed_jids(5)

    other.commit()
    assert (taken, mine) == (jids[:3], jids[3:])


def test_a_claim_that_is_rolled_back_leaves_its_jobs_in_their_place(
    actor: Callable[[], Actor],
) -> None:
    jids, other = push_many(3), actor()
    other.begin()
    other.do(claimed_jids, 2)
    other.rollback()

    assert claimed_jids() == jids


def test_above_its_watermark_a_consumer_goes_on() -> None:
    consumer, jids = never_sweeping(), push_many(4)

    assert take(consumer, 2) == jids[:2]
    assert take(consumer, 2) == jids[2:]


def late_commit(other: Actor, consumer: Consumer, *, priority: int = 0) -> tuple[str, str]:
    """Let a push commit after a later one has been claimed; return their jids."""
    other.begin()
    late = other.do(lambda: push_one(priority=priority))
    early = push_one(priority=priority)
    assert take(consumer, 1) == [early]
    other.commit()
    return late, early


def test_a_late_commit_lies_below_the_watermark(actor: Callable[[], Actor]) -> None:
    consumer = never_sweeping()

    late_commit(actor(), consumer)

    assert take(consumer) == []


def test_a_sweep_finds_a_late_commit(actor: Callable[[], Actor]) -> None:
    consumer = never_sweeping()
    late, _ = late_commit(actor(), consumer)

    consumer.next_sweep = 0

    assert take(consumer) == [late]


def test_what_a_sweep_finds_sets_the_watermark_back(actor: Callable[[], Actor]) -> None:
    consumer, other = never_sweeping(), actor()
    other.begin()
    late = other.do(push_many, 6)
    early = push_one()
    assert take(consumer, 1) == [early]
    other.commit()

    consumer.next_sweep = 0
    swept = take(consumer, 2)
    consumer.next_sweep = float("inf")
    then = take(consumer, 9)

    assert (swept, then) == (late[:2], late[2:])


@pytest.mark.parametrize("priority", [0, 5])
def test_a_late_commit_is_found_though_other_jobs_fill_every_claim(
    actor: Callable[[], Actor], priority: int
) -> None:
    consumer = never_sweeping()
    late, _ = late_commit(actor(), consumer, priority=priority)
    push_many(20)

    consumer.next_sweep = 0

    assert late in take(consumer, 2)


def test_a_sweep_takes_a_tenth_of_the_time_at_most() -> None:
    now = 1_000.0
    consumer = Consumer("w", clock=lambda: now)
    push_many(2)
    take(consumer, 1)

    take(consumer, 5)

    assert 0 < consumer.next_sweep - now < 9
    assert consumer.next_sweep > now


def test_lanes_have_watermarks_of_their_own() -> None:
    consumer = never_sweeping()
    push([a_push("high", priority=1), a_push("other", queue="mail")])
    assert take(consumer, 9, "default", "mail") == ["high", "other"]

    push_one("low")

    assert take(consumer, 9, "default", "mail") == ["low"]
    assert set(consumer.watermarks) == {("default", 2), ("mail", 0), ("default", 0)}


def test_what_comes_back_lies_above_every_watermark() -> None:
    consumer = never_sweeping()
    push_many(3)
    turn = consumer.turn(connection, ["default"], 3)
    (lease,) = {job.lease for job in turn.jobs}

    hand_back(connection, lease, [turn.jobs[0].id, turn.jobs[1].id])

    assert take(consumer) == [jid_of(job) for job in turn.jobs[:2]]


def test_what_comes_back_runs_before_the_others_of_its_priority() -> None:
    jids = push_many(3)
    higher = push_one(priority=1)
    claim(2, wid="gone")
    release(connection, "gone")

    assert claimed_jids() == [higher, jids[0], jids[1], jids[2]]


def test_a_paused_queue_is_passed_over() -> None:
    push([a_push("a", queue="a"), a_push("b", queue="b")])
    queues.pause("a")

    assert claimed_jids(5, "a", "b") == ["b"]

    queues.resume("a")
    assert claimed_jids(5, "a", "b") == ["a"]


def test_a_consumer_that_finds_nothing_registers_and_one_that_fills_up_signs_off() -> None:
    consumer = Consumer("me", listens=True)

    consumer.turn(connection, ["default", "mail"], 2)
    registered = sql("SELECT wid, queues FROM faktory_django_waiter")
    assert (registered, consumer.waiting) == ([("me", ["default", "mail"])], True)

    push_one()
    consumer.turn(connection, ["default"], 2)
    assert (count("waiter"), consumer.waiting) == (1, True)

    consumer.turn(connection, ["default"], 0)
    assert (count("waiter"), consumer.waiting) == (1, True)

    push_many(2)
    consumer.turn(connection, ["default"], 2)
    assert (count("waiter"), consumer.waiting) == (0, False)


def test_a_consumer_that_starts_again_replaces_its_registration() -> None:
    Consumer("me", listens=True).turn(connection, ["default"], 1)

    Consumer("me", listens=True).turn(connection, ["mail"], 1)

    assert sql("SELECT wid, queues FROM faktory_django_waiter") == [("me", ["mail"])]


def test_a_consumer_that_does_not_listen_never_registers() -> None:
    consumer = Consumer("me")

    consumer.turn(connection, ["default"], 1)

    assert (count("waiter"), consumer.waiting) == (0, False)


def test_a_registered_consumer_is_woken_by_what_comes_back(
    heard: Callable[[], list[str]],
) -> None:
    push_one()
    claim(1, wid="gone")
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    release(connection, "gone")

    assert heard() == ["idle"]


@pytest.mark.parametrize("table", ["job", "lease", "scheduledjob", "retryjob", "deadjob"])
def test_sequences_hand_out_one_number_at_a_time(table: str) -> None:
    cached = sql(
        "SELECT seqcache FROM pg_sequence"
        " WHERE seqrelid = pg_get_serial_sequence('faktory_django_' || %(table)s, 'id')::regclass",
        table=table,
    )

    assert cached == [(1,)]


def test_a_claim_takes_what_is_wanted_whatever_the_planner_does() -> None:
    sql("ANALYZE faktory_django_ready")
    push_many(300)

    for name in ("enable_indexscan", "enable_hashagg", "enable_nestloop", "enable_material"):
        sql(f"SET {name} = off")
        assert len(claimed_jids(7)) == 7
    sql("RESET ALL")


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_claim_with_an_old_snapshot_fails_and_takes_nothing_twice(
    actor: Callable[[], Actor], level: str
) -> None:
    jids, other = push_many(2), actor()
    other.begin()
    other.sql(f"SET TRANSACTION ISOLATION LEVEL {level}")
    other.sql("SELECT count(*) FROM faktory_django_ready")
    assert claimed_jids(1) == jids[:1]

    with pytest.raises(OperationalError, match="could not serialize"):
        other.do(claimed_jids, 2)

    other.rollback()
    assert claimed_jids() == jids[1:]


def test_a_job_discarded_while_it_waits_is_not_claimed() -> None:
    push_one("kept")
    push_one("gone")

    mutate.discard("waiting", column("job", "id")[1:])

    assert claimed_jids() == ["kept"]


def test_an_entry_without_its_job_does_not_shift_whose_the_others_are() -> None:
    jids = push_many(3)
    sql("DELETE FROM faktory_django_job WHERE jid = %(jid)s", jid=jids[0])

    jobs = Consumer("server").turn_each(connection, ["default"], ["a", "b", "c"]).jobs

    held = dict(sql("SELECT jid, wid FROM faktory_django_lease"))
    assert [held[jid_of(job)] for job in jobs] == ["a", "b"]
    assert [jid_of(job) for job in jobs] == jids[1:]
