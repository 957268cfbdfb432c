"""Settle: every statement that ends a job with traits tells its features how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction

from faktory_django.lifecycle import dead, mutate, queues, reap
from faktory_django.lifecycle.ack import LeaseAck, ack_last
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.cancel import cancel, cancel_in
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.install import install
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reservation import hand_back, release
from faktory_django.lifecycle.retry import Error, Fate, Verdict
from faktory_django.lifecycle.run_next import run_next

from .stock import a_push, claim, column, counts, end, failing, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("store")

TRAITS = '{"limit": [{"k": "k", "n": 1000}]}'
SPY = """
CREATE OR REPLACE FUNCTION faktory_django_settle_v1(
    ids bigint[], jids text[], queues text[], jobtypes text[], enqueued_ats timestamptz[],
    bodies text[], failures text[], traits jsonb[], outcomes text[], notes jsonb[]
)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO spied (jid, queue, jobtype, body, traits, outcome, note)
    SELECT * FROM unnest(jids, queues, jobtypes, bodies, traits, outcomes, notes);
END
$$
"""


@pytest.fixture
def spied() -> Iterator[Callable[[], list[tuple[Any, ...]]]]:
    sql("CREATE TABLE spied (jid text, queue text, jobtype text, body text, traits jsonb,"
        " outcome text, note jsonb)")  # fmt: skip
    sql(SPY)
    yield lambda: sql(
        "SELECT jid, queue, jobtype, traits::text, outcome, note FROM spied ORDER BY jid"
    )
    install(connection)
    sql("DROP TABLE spied")


def a_traited(jid: str, **options: Any) -> str:
    push([a_push(jid, traits=TRAITS, **options)])
    return jid


def one(outcome: str, jid: str = "traited-1", note: Any = None) -> list[tuple[Any, ...]]:
    return [(jid, "default", "noop", TRAITS, outcome, note)]


def in_work() -> Claimed:
    a_traited("traited-1")
    (job,) = claim(1)
    return job


def ack_all() -> None:
    job = in_work()
    assert end(LeaseAck(job.lease, True, [job.id], traited=True)) == []


def ack_some() -> None:
    push([a_push("plain-job-1"), a_push("traited-1", traits=TRAITS)])
    jobs = claim(2)
    assert end(LeaseAck(jobs[0].lease, False, [jobs[1].id], traited=True)) == []


def ack_atomically() -> None:
    job = in_work()
    with transaction.atomic():
        ack_last(job.id, job.lease, wait_seconds=1, run_seconds=1, using="default")


def ack_on_the_wire() -> None:
    a_traited("traited-1")
    push([a_push("plain-job-1")])
    claim(2, each=True)
    assert ack_jids([Holding("traited-1"), Holding("plain-job-1")]) == 2


def fail_as(fate: Fate, **facts: Any) -> Callable[[], None]:
    def act() -> None:
        job = in_work()
        verdict = Verdict(fate, '"message":"no"}', delay_seconds=10.0)
        assert fail(connection, [Failing(job.id, job.lease, verdict, **facts)])

    return act


def fail_on_the_wire() -> None:
    a_traited("traited-1")
    claim(1, each=True)
    assert fail_jids(connection, [Holding("traited-1")], [Error.cut("E", "no")]) == [True]


def reap_poison() -> None:
    job = in_work()
    assert reap.reap(connection, [job.lease], max_crashes=1) == 1


def act_on_a_set(verb: Callable[..., int], target: str = "scheduled") -> Callable[[], None]:
    def act() -> None:
        if target == "scheduled":
            a_traited("traited-1", delay_seconds=1_000.0)
        else:
            a_traited("traited-1")
        table = "job" if target == "waiting" else "scheduledjob"
        assert verb(target, column(table, "id")) == 1

    return act


def clear_a_queue() -> None:
    a_traited("traited-1")
    assert queues.clear("default") == 1


def cancel_and(leave: Callable[[Claimed], object]) -> Callable[[], None]:
    def act() -> None:
        job = in_work()
        assert cancel(["traited-1"]) == {"traited-1": "asked"}
        leave(job)

    return act


def be_handed_back(job: Claimed) -> None:
    hand_back(connection, job.lease, [job.id])


def be_let_go(_job: Claimed) -> None:
    release(connection, "w")


def crash(job: Claimed) -> None:
    reap.reap(connection, [job.lease], max_crashes=1)


def raise_an_error(job: Claimed) -> None:
    fail(connection, [failing(job)])


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (ack_all, "done"),
        (ack_some, "done"),
        (ack_atomically, "done"),
        (ack_on_the_wire, "done"),
        (fail_as(Fate.RETRY), "retry"),
        (fail_as(Fate.DEAD), "dead"),
        (fail_as(Fate.SNOOZE), "snooze"),
        (fail_as(Fate.GONE), "failed"),
        (fail_as(Fate.GONE, counts=False), "discarded"),
        (fail_as(Fate.GONE, counts=False, outcome="expired"), "expired"),
        (fail_on_the_wire, "retry"),
        (reap_poison, "dead"),
        (act_on_a_set(mutate.kill), "dead"),
        (act_on_a_set(mutate.discard), "discarded"),
        (act_on_a_set(mutate.kill, "waiting"), "dead"),
        (act_on_a_set(mutate.discard, "waiting"), "discarded"),
        (clear_a_queue, "discarded"),
        (act_on_a_set(cancel_in), "cancelled"),
        (act_on_a_set(cancel_in, "waiting"), "cancelled"),
        (fail_as(Fate.CANCELLED, counts=False), "cancelled"),
        (cancel_and(raise_an_error), "cancelled"),
        (cancel_and(be_handed_back), "cancelled"),
        (cancel_and(be_let_go), "cancelled"),
        (cancel_and(crash), "cancelled"),
    ],
)
def test_features_hear_how_a_job_ends(
    act: Callable[[], None], outcome: str, spied: Callable[[], list[Any]]
) -> None:
    act()

    assert spied() == one(outcome)


def test_what_the_worker_says_of_a_run_is_passed_on(spied: Callable[[], list[Any]]) -> None:
    job = in_work()

    end(LeaseAck(job.lease, True, [job.id], traited=True, notes={job.id: '{"result": 1}'}))

    assert spied() == one("done", note={"result": 1})


def test_what_is_said_of_a_failed_run_is_passed_on(spied: Callable[[], list[Any]]) -> None:
    job = in_work()
    verdict = failing(job).verdict

    fail(connection, [Failing(job.id, job.lease, verdict, note='{"ms": 5}')])

    assert spied() == one("retry", note={"ms": 5})


def test_a_dead_job_is_settled_again_only_when_it_goes(spied: Callable[[], list[Any]]) -> None:
    fail_as(Fate.DEAD)()
    mutate.kill("dead", column("deadjob", "id"))
    dead.purge(connection, max_days=0, max_jobs=0)

    assert [row[4] for row in spied()] == ["dead", "purged"]


def test_a_lost_ack_settles_nothing(spied: Callable[[], list[Any]]) -> None:
    job = in_work()
    reap.reap(connection, [job.lease], max_crashes=3)

    for ends in (False, True):
        ack = LeaseAck(job.lease, ends, [job.id], traited=True)
        assert end(ack) == [ack]
    assert spied() == []


def test_a_plain_job_is_passed_over(spied: Callable[[], list[Any]]) -> None:
    push([a_push("plain-job-1"), a_push("plain-job-2")])
    jobs = claim(2)

    end(LeaseAck(jobs[0].lease, True, [job.id for job in jobs], traited=True))

    assert spied() == []


def test_traits_go_with_a_job_wherever_it_goes() -> None:
    a_traited("traited-1", delay_seconds=1_000.0)
    sql("UPDATE faktory_django_scheduledjob SET due_at = clock_timestamp()")
    assert Promoter().promote_scheduled(connection, 10) == 1
    (job,) = claim(1)
    assert job.traits == TRAITS

    fail(connection, [failing(job)])
    assert mutate.requeue("retries", column("retryjob", "id")) == 1
    (job,) = claim(1)
    assert job.traits == TRAITS

    fail(connection, [failing(job, kill=True)])
    assert run_next("dead", column("deadjob", "id")) == 1
    (job,) = claim(1)
    assert (job.traits, job.rank) == (TRAITS, 201)
    assert counts("job", "scheduledjob", "retryjob", "deadjob", "ready") == (1, 0, 0, 0, 0)


def test_jobs_with_traits_are_stored_as_others_are() -> None:
    moment = sql("SELECT clock_timestamp()")[0][0]
    push(
        [
            a_push("at-once-1", traits=TRAITS, priority=3),
            a_push("in-the-past-1", traits=TRAITS, at=moment),
            a_push("with-delay-1", traits=TRAITS, delay_seconds=60.0),
            a_push("plain-job-1"),
        ]
    )

    jobs = Consumer("w").turn(connection, ["default"], 10).jobs
    assert [(job.rank, job.traits is not None) for job in jobs] == [
        (6, True),
        (0, True),
        (0, False),
    ]
    assert column("scheduledjob") == ["with-delay-1"]
    assert '"at":"' in column("scheduledjob", "body")[0]
    assert column("job", "substr(body, 1, 14)") == ['{"created_at":'] * 3
    assert sql("SELECT sum(pushed)::int FROM faktory_django_counterdelta") == [(4,)]
