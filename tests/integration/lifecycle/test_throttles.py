"""Throttles: how many jobs of a queue are in work at a time, whoever claims, however they end."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection, connections

from faktory_django.errors import InvalidOption, InvalidQueueName
from faktory_django.lifecycle import mutate, queues, throttles
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back, return_claims
from faktory_django.lifecycle.retry import Error
from faktory_django.throttling import Limits

from .actors import run_together, seeded
from .dsn import database_url
from .stock import (
    a_push,
    ack_of,
    claim,
    claimed_jids,
    column,
    count,
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

DOORS = pytest.mark.parametrize("each", [False, True], ids=["python", "wire"])


def permits() -> int:
    """Return how many permits of the queue "default" are taken."""
    return {t.queue: t.taken for t in throttles.listed()}.get("default", 0)


@DOORS
def test_no_more_jobs_are_in_work_than_the_throttle_allows(each: bool) -> None:
    throttles.throttle("default", concurrency=3)
    push_many(10)

    got = [len(claim(2, wid=wid, each=each)) for wid in ("a", "b", "c")]

    assert got == [2, 1, 0]
    assert permits() == 3
    assert count("ready") == 7


@DOORS
def test_each_job_of_a_throttled_queue_has_a_lease_that_names_the_queue(each: bool) -> None:
    throttles.throttle("default", concurrency=2)
    push_many(2)

    jobs = claim(each=each)

    assert len({job.lease for job in jobs}) == 2
    assert column("lease", "queue") == ["default", "default"]
    assert column("lease", "ids") == [[job.id] for job in jobs]


@DOORS
def test_a_permit_comes_back_with_the_ack(each: bool) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    [job] = claim(each=each)

    if each:
        ack_jids([Holding(jid_of(job), "w")])
    else:
        end(ack_of(job, ends=True))

    assert permits() == 0
    assert len(claim(each=each)) == 1


def _handed_back(job: Claimed) -> None:
    hand_back(connection, job.lease, [job.id])
    end(LeaseAck(job.lease, ends=True))


def _failed(job: Claimed) -> None:
    fail(connection, [failing(job)])
    end(LeaseAck(job.lease, ends=True))


@pytest.mark.parametrize(
    ("way", "each"),
    [
        (_failed, False),
        (_handed_back, False),
        (lambda job: reap(connection, [job.lease], max_crashes=3), False),
        (lambda job: reap(connection, [job.lease], max_crashes=1), False),
        (lambda job: fail_jids(connection, [Holding(jid_of(job))], [Error.cut("E", "no")]), True),
        (lambda job: return_claims(connection, [job.lease]), True),
        (lambda _: throttles.release_permits("default"), False),
    ],
    ids=["fail", "hand back", "reap", "poison", "wire fail", "wire gone", "by hand"],
)
def test_a_permit_comes_back_however_the_run_ends(way: Callable[..., Any], each: bool) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    [job] = claim(each=each)

    way(job)

    assert permits() == 0
    assert len(claim(each=each)) == 1


@DOORS
def test_a_full_queue_is_passed_over_for_the_next(each: bool) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(3)
    push_many(3, queue="other")

    names = [job.queue for job in claim(10, "default", "other", each=each)]

    assert names == ["default", "other", "other", "other"]


def test_jobs_of_other_queues_share_a_lease_as_ever() -> None:
    throttles.throttle("default", concurrency=2)
    push_many(3)
    push_many(3, queue="other")

    jobs = claim(10, "default", "other")

    leases = [{j.lease for j in jobs if j.queue == queue} for queue in ("default", "other")]
    assert [len(each) for each in leases] == [2, 1]
    assert sorted(column("lease", "cardinality(ids)")) == [1, 1, 3]


@DOORS
def test_each_worker_has_permits_of_its_own(each: bool) -> None:
    throttles.throttle("default", worker=2)
    push_many(10)

    got = [len(claim(5, wid=wid, each=each)) for wid in ("a", "b", "a")]

    assert got == [2, 2, 0]


def test_of_those_who_ask_at_once_each_gets_what_its_worker_may_have() -> None:
    throttles.throttle("default", concurrency=4, worker=1)
    push_many(10)
    push_many(2, queue="other")
    asking = ["a", "a", "b", "b", "c", "a"]

    jobs = Consumer("server").turn_each(connection, ["default", "other"], asking).jobs

    assert [(job.queue, asking[(job.place or 0) - 1]) for job in jobs] == [
        *(("default", wid) for wid in "abc"),
        *(("other", wid) for wid in "ab"),
    ]
    assert len({job.place for job in jobs}) == 5
    assert column("lease", "wid") == ["a", "b", "c", "a", "b"]


def test_two_throttled_queues_give_to_different_askers() -> None:
    for queue in ("default", "other"):
        throttles.throttle(queue, worker=1)
        push_many(3, queue=queue)

    jobs = Consumer("server").turn_each(connection, ["default", "other"], ["a", "a", "a"]).jobs

    assert [(job.queue, job.place) for job in jobs] == [("default", 1), ("other", 2)]


@DOORS
def test_a_job_in_work_for_longer_than_the_timeout_no_longer_counts(each: bool) -> None:
    throttles.throttle("default", concurrency=1, worker=1, timeout=90)
    push_many(3)
    claim(each=each)
    move_back("lease", "claimed_at", 80)
    before = len(claim(each=each))

    move_back("lease", "claimed_at", 20)

    assert before == 0
    assert len(claim(each=each)) == 1


def test_permits_count_over_all_priorities_of_a_queue() -> None:
    throttles.throttle("default", concurrency=3)
    push([a_push(priority=p) for p in (0, 5, 0, 9, 5)])

    ranks = [job.rank for job in claim()]

    assert ranks == [18, 10, 10]


def test_a_queue_that_is_named_twice_is_counted_once() -> None:
    throttles.throttle("default", concurrency=1)
    push_many(4)
    push_many(1, queue="other")

    jobs = claim(10, "default", "other", "default")

    assert [job.queue for job in jobs] == ["default", "other"]


def test_no_more_is_claimed_of_a_throttled_queue_than_can_start() -> None:
    throttles.throttle("default", concurrency=50)
    push_many(20)
    push_many(20, queue="other")

    turn = Consumer("w").turn(connection, ["default", "other"], 15, startable=4)

    assert Counter(job.queue for job in turn.jobs) == {"default": 4, "other": 11}


def test_what_comes_before_a_throttled_queue_starts_first() -> None:
    throttles.throttle("other", concurrency=50)
    push_many(3)
    push_many(20, queue="other")

    turn = Consumer("w").turn(connection, ["default", "other"], 15, startable=4)

    assert Counter(job.queue for job in turn.jobs) == {"default": 3, "other": 1}


def test_a_queue_from_which_another_claims_is_passed_over_and_said_so(
    actor: Callable[[], Actor],
) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    other = actor()
    other.begin()
    other.do(claim)

    turn = Consumer("w").turn(connection, ["default"], 5)
    other.commit()
    after = Consumer("w").turn(connection, ["default"], 5)

    assert (turn.jobs, turn.contended) == ([], True)
    assert (after.jobs, after.contended) == ([], False)


@DOORS
def test_a_paused_queue_stays_so(each: bool) -> None:
    throttles.throttle("default", concurrency=1)
    push_one()
    queues.pause("default")

    assert claim(each=each) == []


@DOORS
def test_an_entry_without_a_job_takes_no_permit(each: bool) -> None:
    throttles.throttle("default", concurrency=2)
    push_one("a")
    push_one("b")
    sql("DELETE FROM faktory_django_job WHERE jid = 'a'")

    jobs = claim(each=each)

    assert [jid_of(job) for job in jobs] == ["b"]
    assert permits() == 1


def test_a_freed_permit_wakes_one_who_waits(heard: Callable[[], list[str]]) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    [job] = claim()
    idle = Consumer("idle", listens=True)
    idle.turn(connection, ["default"], 1)

    end(ack_of(job, ends=True))

    assert heard() == ["idle"]


def test_a_permit_that_is_taken_again_at_once_wakes_nobody(heard: Callable[[], list[str]]) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    [job] = claim()
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    turn = Consumer("w").turn(connection, ["default"], 1, [ack_of(job, ends=True)])

    assert len(turn.jobs) == 1
    assert heard() == []


@pytest.mark.parametrize("way", ["ack", "fail"])
def test_a_permit_freed_on_the_wire_wakes_one_who_waits(
    heard: Callable[[], list[str]], way: str
) -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    [job] = claim(each=True)
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    if way == "ack":
        ack_jids([Holding(jid_of(job))])
    else:
        fail_jids(connection, [Holding(jid_of(job))], [Error.cut("E", "no")])

    assert heard() == ["idle"]


def test_a_larger_throttle_wakes_those_who_wait(heard: Callable[[], list[str]]) -> None:
    throttles.throttle("default", concurrency=1)
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    throttles.throttle("default", concurrency=2)

    assert heard() == ["idle"]


def test_without_the_throttle_all_may_go() -> None:
    throttles.throttle("default", concurrency=1)
    push_many(3)
    claim()

    removed = [throttles.unthrottle("default"), throttles.unthrottle("default")]

    assert removed == [True, False]
    assert len(claim()) == 2


def test_the_settings_declare_throttles_and_forget_them() -> None:
    throttles.declare(connection, {"a": Limits(3, None, 90.0), "b": Limits(None, 2, None)})
    throttles.declare(connection, {"b": Limits(None, 4, None), "c": Limits(1, None, None)})

    found = [(t.queue, t.concurrency, t.per_worker, t.source) for t in throttles.listed()]

    assert found == [("b", None, 4, "code"), ("c", 1, None, "code")]


def test_what_a_person_says_stays_whatever_the_settings_say() -> None:
    throttles.throttle("a", concurrency=9)

    throttles.declare(connection, {"a": Limits(3, None, 90.0)})
    throttles.declare(connection, {})

    assert [(t.queue, t.concurrency) for t in throttles.listed()] == [("a", 9)]


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({}, InvalidOption, "needs concurrency or worker"),
        ({"concurrency": 0}, InvalidOption, "concurrency must be an int from 1 to 100000, got 0"),
        ({"worker": 1.5}, InvalidOption, "worker must be an int from 1 to 100000, got 1.5"),
        ({"concurrency": 1, "timeout": 0}, InvalidOption, "at most 604800 seconds, got 0"),
    ],
)
def test_a_wrong_throttle_is_refused(
    said: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        throttles.throttle("default", **said)


def test_a_throttle_of_a_wrong_name_is_refused() -> None:
    with pytest.raises(InvalidQueueName, match="a queue name is"):
        throttles.throttle("a b", concurrency=1)


def test_jobs_in_work_of_a_throttled_queue_are_not_discarded() -> None:
    throttles.throttle("default", concurrency=1)
    push_many(2)
    [job] = claim()

    assert mutate.discard("waiting", [job.id]) == 0
    assert claimed_jids() == []


CHAOS_PERMITS = 3


def test_however_workers_die_no_more_jobs_are_in_work_than_the_throttle_allows() -> None:  # noqa: C901, PLR0915 - one story
    """Ten workers of both doors, connections that are cut, leases that are reaped."""
    throttles.throttle("default", concurrency=CHAOS_PERMITS)
    jids = push_many(300)
    chances = seeded(None)
    seed = chances.getrandbits(32)
    lock = threading.Lock()
    done: set[str] = set()
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        # by what the store says: one lease a job
        while not stop.is_set():
            seen.append(count("lease"))
        connections.close_all()

    def worker(number: int) -> None:
        mine = seeded(seed + number)
        session = psycopg.connect(database_url(), autocommit=True)
        consumer = Consumer(f"w{number}")
        while len(done) < len(jids):
            try:
                turn = consumer.turn(connection, ["default"], mine.choice((1, 2, 5)))
                for job in turn.jobs:
                    if mine.random() < 0.2:
                        reap(connection, [job.lease], max_crashes=1_000)
                    elif not end(ack_of(job, ends=True)):
                        with lock:
                            done.add(jid_of(job))
                if mine.random() < 0.05:
                    _cut(session)
            except Exception as wrong:
                if not isinstance(wrong.__cause__, psycopg.OperationalError):
                    raise
                connection.close()
                # what the lost answer had claimed comes back as its process is forgotten
                leases = execute(
                    connection,
                    "SELECT id FROM faktory_django_lease WHERE wid = %(wid)s ORDER BY id",
                    {"wid": consumer.wid},
                )
                reap(connection, [row[0] for row in leases], max_crashes=1_000)
        session.close()

    def _cut(session: psycopg.Connection[Any]) -> None:
        pid = connection.connection.info.backend_pid
        session.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run_together(*(lambda n=n: worker(n) for n in range(6)))
    finally:
        stop.set()
        watcher.join()

    assert done == set(jids), f"seed {seed}"
    assert 1 < max(seen) <= CHAOS_PERMITS, f"seed {seed}"
    assert permits() == 0
