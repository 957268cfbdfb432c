"""Limits per key: who waits, who is let in, and that no slot is held by nobody."""

from __future__ import annotations

import bisect
import json
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from faktory_django.features.limits import traits
from faktory_django.features.traits import Pushed
from faktory_django.lifecycle import limits, mutate, queues
from faktory_django.lifecycle.ack import LeaseAck, ack_last
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back
from faktory_django.lifecycle.retry import Error, Fate, Verdict
from faktory_django.lifecycle.run_next import run_next
from faktory_django.maintenance import Maintenance

from .actors import run_together, seeded, wait_until
from .dsn import database_url
from .stock import (
    a_push,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    end,
    failing,
    jid_of,
    move_back,
    push_many,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed
    from faktory_django.lifecycle.push import Push

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def limited(jid: str | None = None, *said: dict[str, Any], **options: Any) -> Push:
    """Return a push of a job with limits; one of key "k" and 1 at a time without any."""
    custom = {"limit": list(said or [{"key": "k", "concurrency": 1}])}
    found = traits(custom, Pushed("noop", "default", "[]"))
    return a_push(jid, traits=json.dumps(found), **options)


def at_a_time(n: int, key: str = "k") -> dict[str, Any]:
    return {"key": key, "concurrency": n}


def rate(n: int, per: float, key: str = "k") -> dict[str, Any]:
    return {"key": key, "rate": n, "per": per}


def ack_of(job: Claimed, *, ends: bool = True) -> LeaseAck:
    return LeaseAck(job.lease, ends, [job.id], traited=True)


def waiting() -> list[str]:
    """Return the jids of jobs that wait for a limit, in line."""
    rows = sql(
        "SELECT j.jid FROM faktory_django_limitedjob w JOIN faktory_django_job j ON j.id = w.job_id"
        " ORDER BY w.rank DESC, w.job_id"
    )
    return [row[0] for row in rows]


def holders() -> list[str]:
    """Return the jids of jobs that hold slots."""
    rows = sql(
        "SELECT j.jid FROM faktory_django_limitslot s JOIN faktory_django_job j ON j.id = s.job_id"
        " ORDER BY s.key, s.job_id"
    )
    return [row[0] for row in rows]


def test_as_many_as_the_limit_allows_are_let_in_and_the_rest_waits() -> None:
    push([limited(jid, at_a_time(2)) for jid in "abcd"])

    assert claimed_jids() == ["a", "b"]
    assert waiting() == ["c", "d"]
    assert holders() == ["a", "b"]


def test_jobs_of_other_keys_and_jobs_without_a_limit_do_not_wait() -> None:
    push([limited("a"), limited("b"), a_push("c"), limited("d", at_a_time(1, "other"))])

    assert sorted(claimed_jids()) == ["a", "c", "d"]


def test_a_push_takes_no_slot_before_its_commit(actor: Callable[[], Actor]) -> None:
    other = actor()
    other.begin()
    other.do(push, [limited("slow")])

    push([limited("quick")])
    mine = claimed_jids()
    other.commit()

    assert mine == ["quick"]
    wait_until(lambda: waiting() == ["slow"])


def test_after_the_commit_the_pusher_lets_in_what_it_has_pushed() -> None:
    with transaction.atomic():
        push([limited("a")])
        push([limited("b"), limited("c", at_a_time(1, "other"))])
        inside = counts("ready", "limitedjob", "limitslot")

    assert inside == (0, 3, 0)
    assert sorted(claimed_jids()) == ["a", "c"]


def test_of_a_push_that_is_rolled_back_nothing_stays() -> None:
    with transaction.atomic():
        push([limited("a")])
        transaction.set_rollback(True)

    assert counts("job", "limitedjob", "limitslot", "ready") == (0, 0, 0, 0)


def test_a_job_that_hardly_waited_stands_at_its_own_place() -> None:
    push([a_push("before"), limited("a"), a_push("after")])

    assert claimed_jids() == ["before", "a", "after"]


def test_a_job_that_has_waited_is_next_in_line() -> None:
    push([limited("a"), limited("b")])
    push([a_push("c")])
    [job] = claim(1)
    move_back("limitedjob", "since", 2)

    end(ack_of(job))

    assert claimed_jids() == ["b", "c"]


def test_a_waiting_job_of_a_higher_priority_is_let_in_first() -> None:
    push([limited("a"), limited("low", priority=-1), limited("b"), limited("high", priority=5)])
    order = []
    while jobs := claim():
        order.append(jid_of(jobs[0]))
        end(ack_of(jobs[0]))

    assert order == ["high", "a", "b", "low"] or order == ["a", "high", "b", "low"]


ENDS: dict[str, Callable[[Claimed], Any]] = {
    "ack": lambda job: end(ack_of(job)),
    "part of a lease": lambda job: end(ack_of(job, ends=False)),
    "atomic ack": lambda job: ack_last(
        job.id, job.lease, wait_seconds=0, run_seconds=0, using="default"
    ),
    "retry": lambda job: fail(connection, [failing(job)]),
    "dead": lambda job: fail(connection, [failing(job, kill=True)]),
    "gone": lambda job: fail(connection, [failing(job, retry=0)]),
    "snooze": lambda job: fail(
        connection, [Failing(job.id, job.lease, Verdict(Fate.SNOOZE, "", "", 60.0), counts=False)]
    ),
    "poison": lambda job: reap(connection, [job.lease], max_crashes=1),
}


@pytest.mark.parametrize("way", ENDS)
def test_however_a_run_ends_the_next_of_its_key_comes(way: str) -> None:
    push([limited("a"), limited("b"), limited("c")])
    [job] = claim()

    ENDS[way](job)

    assert claimed_jids() == ["b"]
    assert (waiting(), holders()) == (["c"], ["b"])


@pytest.mark.parametrize("way", ["ack", "fail"])
def test_on_the_wire_too(way: str) -> None:
    push([limited("a"), limited("b")])
    claim(each=True)

    if way == "ack":
        ack_jids([Holding("a")])
    else:
        fail_jids(connection, [Holding("a")], [Error.cut("E", "no")])

    assert [jid_of(job) for job in claim(each=True)] == ["b"]
    assert holders() == ["b"]


def test_an_end_that_is_rolled_back_passes_nothing_on() -> None:
    push([limited("a"), limited("b")])
    [job] = claim()

    with transaction.atomic():
        end(ack_of(job))
        transaction.set_rollback(True)

    assert (holders(), waiting()) == (["a"], ["b"])


def test_an_ack_of_a_lost_reservation_passes_nothing_on() -> None:
    push([limited("a"), limited("b")])
    [job] = claim()
    reap(connection, [job.lease], max_crashes=10)

    lost = end(ack_of(job))

    assert len(lost) == 1
    assert (holders(), waiting()) == (["a"], ["b"])


@pytest.mark.parametrize("way", ["reap", "hand back"])
def test_a_job_that_comes_back_keeps_its_slot(way: str) -> None:
    push([limited("a"), limited("b")])
    [job] = claim()

    if way == "reap":
        reap(connection, [job.lease], max_crashes=10)
    else:
        hand_back(connection, job.lease, [job.id])

    assert holders() == ["a"]
    assert claimed_jids() == ["a"]


def test_a_retry_waits_again_when_it_is_due() -> None:
    push([limited("a"), limited("b")])
    [job] = claim()
    fail(connection, [failing(job)])
    move_back("retryjob", "due_at", 3_600)

    Promoter().promote_retries(connection, 10)

    assert (holders(), waiting()) == (["b"], ["a"])


def test_a_scheduled_job_waits_when_it_is_due() -> None:
    push([limited("a"), limited("b", delay_seconds=60)])
    move_back("scheduledjob", "due_at", 3_600)
    before = count("limitedjob")

    Promoter().promote_scheduled(connection, 10)

    assert before == 0
    assert (holders(), waiting()) == (["a"], ["b"])


def test_a_job_with_a_free_limit_is_let_in_as_soon_as_it_is_due() -> None:
    push([limited("a", delay_seconds=60)])
    move_back("scheduledjob", "due_at", 3_600)

    Promoter().promote_scheduled(connection, 10)

    assert claimed_jids() == ["a"]


@pytest.mark.parametrize("act", [mutate.requeue, run_next])
def test_what_a_person_puts_into_its_queue_is_let_in_at_once(act: Any) -> None:
    push([limited("a", delay_seconds=60)])

    act("scheduled", column("scheduledjob", "id"))

    assert claimed_jids() == ["a"]


def test_in_a_transaction_that_is_left_to_upkeep() -> None:
    push([limited("a", delay_seconds=60)])
    with transaction.atomic():
        mutate.requeue("scheduled", column("scheduledjob", "id"))
    before = claimed_jids()

    Maintenance().admit(connection)

    assert before == []
    assert claimed_jids() == ["a"]


def test_upkeep_looks_at_limits_when_a_job_waits_for_one() -> None:
    sql("TRUNCATE faktory_django_limitedjob")
    upkeep = Maintenance()
    (chore,) = (chore for chore in upkeep.chores if chore.name == "limits")
    later = time.monotonic() + 10
    chore.begun_at, chore.next_at = later - 15, later

    upkeep.promote_due(connection)
    assert chore.next_at == later

    push([limited("a"), limited("b")])
    upkeep.promote_due(connection)
    assert chore.next_at <= time.monotonic()


def test_a_dead_job_that_is_put_back_waits_like_any() -> None:
    push([limited("a"), limited("b")])
    [job] = claim()
    fail(connection, [failing(job, kill=True)])

    mutate.requeue("dead", column("deadjob", "id"))

    assert (holders(), waiting()) == (["b"], ["a"])


def test_upkeep_lets_in_what_a_pusher_that_died_has_left() -> None:
    with transaction.atomic():
        push([limited("a")])
        connection.run_on_commit.clear()

    Maintenance().admit(connection)

    assert claimed_jids() == ["a"]


def test_upkeep_looks_at_all_keys_page_by_page() -> None:
    with transaction.atomic():
        push([limited(None, at_a_time(1, f"key {n:03}")) for n in range(250)])
        connection.run_on_commit.clear()
    upkeep = Maintenance()

    pauses = [upkeep.admit(connection) for _ in range(3)]

    assert pauses == [0.05, 0.05, None]
    assert counts("limitedjob", "limitslot", "ready") == (0, 250, 250)


def test_upkeep_gives_up_slots_of_jobs_that_are_gone() -> None:
    push([limited("a"), limited("b"), limited("c", at_a_time(1, "other"))])
    sql("DELETE FROM faktory_django_job WHERE jid IN ('a', 'b')")
    upkeep = Maintenance()

    upkeep.repair(connection)

    assert counts("limitedjob", "limitslot") == (0, 1)
    assert holders() == ["c"]


def test_a_released_job_wakes_one_who_waits(heard: Callable[[], list[str]]) -> None:
    push([limited("a"), limited("b")])
    [job] = claim()
    Consumer("idle", listens=True).turn(connection, ["default"], 1)

    end(ack_of(job))

    assert heard() == ["idle"]


def test_a_smaller_limit_takes_effect_as_slots_come_free() -> None:
    push([limited(jid, at_a_time(3)) for jid in "abc"])
    jobs = claim()
    push([limited(jid, at_a_time(1)) for jid in "de"])

    seen = []
    for job in jobs:
        end(LeaseAck(job.lease, ends=False, ids=[job.id], traited=True))
        Maintenance().admit(connection)
        seen.append(count("limitslot"))

    assert seen == [2, 1, 1]
    assert (holders(), waiting()) == (["d"], ["e"])


def test_a_larger_limit_lets_more_in() -> None:
    push([limited("a", at_a_time(1)), limited("b", at_a_time(1))])
    [job] = claim()
    push([limited(jid, at_a_time(3)) for jid in "cd"])

    end(ack_of(job))
    Maintenance().admit(connection)

    assert holders() == ["b", "c", "d"]


# several limits


def test_a_job_with_two_keys_needs_a_slot_of_each() -> None:
    push([limited("a", at_a_time(1, "x")), limited("b", at_a_time(1, "y"))])
    push([limited("c", at_a_time(1, "y"), at_a_time(1, "x"))])
    a, b = sorted(claim(), key=jid_of)

    end(ack_of(a, ends=False))
    half = claimed_jids()
    end(ack_of(b))

    assert half == []
    assert claimed_jids() == ["c"]
    assert holders() == ["c", "c"]


def test_all_slots_of_a_job_come_free_with_its_end() -> None:
    push([limited(jid, at_a_time(1, "x"), at_a_time(1, "y")) for jid in "ab"])
    [job] = claim()

    end(ack_of(job))

    assert claimed_jids() == ["b"]
    assert holders() == ["b", "b"]


def test_the_rate_comes_before_the_slot() -> None:
    push([limited(jid, at_a_time(1), rate(2, 3_600)) for jid in "abc"])
    [job] = claim()
    keys = column("limitedjob", "key", "job_id")

    end(ack_of(job))

    assert keys == ["k", "k per 3600 s"]
    assert claimed_jids() == ["b"]
    assert waiting() == ["c"]


# rates


def test_no_more_than_the_rate_begin_in_a_period() -> None:
    push([limited(jid, rate(2, 60)) for jid in "abc"])
    jobs = claim()
    end(*(LeaseAck(job.lease, ends=False, ids=[job.id], traited=True) for job in jobs))
    early = Maintenance().admit(connection)

    move_back("rateuse", "until", 61)
    Maintenance().admit(connection)

    assert [jid_of(job) for job in jobs] == ["a", "b"]
    assert early is not None
    assert 59 < early <= 60.1
    assert claimed_jids() == ["c"]


def test_uses_whose_period_is_over_are_forgotten() -> None:
    push([limited("a", rate(1, 60)), limited("b", rate(1, 60, "other"))])
    sql("UPDATE faktory_django_rateuse SET until = now() - interval '1 s' WHERE key LIKE 'k %%'")

    Maintenance().repair(connection)

    assert column("rateuse", "key") == ["other per 60 s"]


@pytest.mark.parametrize("door", ["push", "upkeep"])
def test_in_no_window_of_the_period_more_begin_than_the_rate_allows(door: str) -> None:
    most, per, keys = 5, 0.3, 3
    sql("CREATE TEMP TABLE begun (at timestamptz, key text)")
    sql("DROP TABLE begun")
    sql("CREATE TABLE IF NOT EXISTS begun_of_a_test (at timestamptz, key text)")
    sql(
        "CREATE OR REPLACE FUNCTION note_begun() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO begun_of_a_test SELECT clock_timestamp(), j.jobtype"
        " FROM faktory_django_job j WHERE j.id = new.job_id; RETURN new; END $$"
    )
    sql(
        "CREATE TRIGGER note_begun AFTER INSERT ON faktory_django_ready"
        " FOR EACH ROW EXECUTE FUNCTION note_begun()"
    )
    try:
        pushes = [
            limited(None, rate(most, per, f"k{n % keys}"), jobtype=f"k{n % keys}")
            for n in range(60)
        ]

        def pusher(mine: list[Push]) -> None:
            for one in mine:
                push([one])

        def upkeeper() -> None:
            upkeep = Maintenance()
            while counts("limitedjob") != (0,):
                upkeep.admit(connection)

        if door == "push":
            run_together(*(lambda n=n: pusher(pushes[n::3]) for n in range(3)))
        else:
            push(pushes)
        run_together(upkeeper, upkeeper, upkeeper)
        begun = defaultdict(list)
        for at, key in sql("SELECT extract(epoch FROM at)::float8, key FROM begun_of_a_test"):
            begun[key].append(at)
    finally:
        sql("DROP TRIGGER note_begun ON faktory_django_ready")
        sql("DROP FUNCTION note_begun()")
        sql("DROP TABLE begun_of_a_test")

    assert sorted(map(len, begun.values())) == [20, 20, 20]
    for moments in begun.values():
        moments.sort()
        windows = [bisect.bisect_left(moments, t + per) - n for n, t in enumerate(moments)]
        assert max(windows) == most


# what a person does


@pytest.mark.parametrize("act", ["kill", "discard"])
def test_a_job_that_waits_for_a_limit_can_be_taken_away(act: str) -> None:
    push([limited(jid) for jid in "abc"])
    ids = dict(sql("SELECT jid, id FROM faktory_django_job"))

    taken = getattr(mutate, act)("waiting", [ids["b"]])

    assert taken == 1
    assert waiting() == ["c"]
    assert column("deadjob") == (["b"] if act == "kill" else [])
    assert "b" not in column("job")


def test_a_job_in_between_two_limits_gives_back_what_it_holds() -> None:
    push([limited("a", at_a_time(1, "y"))])
    push([limited("b", at_a_time(1, "x"), at_a_time(1, "y"))])
    push([limited("c", at_a_time(1, "x"))])
    ids = dict(sql("SELECT jid, id FROM faktory_django_job"))
    before = holders()

    mutate.discard("waiting", [ids["b"]])

    assert before == ["b", "a"]
    assert holders() == ["c", "a"]


def test_a_job_that_runs_is_not_taken_away() -> None:
    push([limited("a"), limited("b")])
    [job] = claim()

    assert mutate.discard("waiting", [job.id]) == 0
    assert holders() == ["a"]


def test_run_next_puts_a_waiting_job_first_in_its_line() -> None:
    push([limited(jid) for jid in "abc"])
    ids = dict(sql("SELECT jid, id FROM faktory_django_job"))
    [job] = claim()

    moved = [run_next("waiting", [ids["c"]]) for _ in range(2)]

    assert moved == [1, 0]
    assert waiting() == ["c", "b"]
    end(ack_of(job))
    assert claimed_jids() == ["c"]


def test_a_queue_is_cleared_with_those_that_wait_for_limits() -> None:
    push([limited("a"), limited("b"), a_push("c"), limited("d", queue="other")])

    assert queues.clear("default") == 3
    assert column("job") == ["d"]
    assert waiting() == []
    assert holders() == ["d"]


def test_the_size_of_a_queue_counts_those_that_wait_for_limits() -> None:
    push([limited("a"), limited("b"), limited("c"), a_push("d")])

    assert queues.sizes(["default"]) == {"default": 4}
    assert queues.sizes(["default"], cap=2) == {"default": 2}


def test_the_latency_of_a_queue_is_that_of_its_oldest_wherever_it_waits() -> None:
    push([limited("a"), limited("b")])
    move_back("job", "enqueued_at", 100)
    claim()
    push([a_push("c")])

    assert 100 <= queues.latencies(["default"])["default"] < 130


def test_what_a_job_waits_for() -> None:
    push([limited(jid, at_a_time(2)) for jid in "abcd"])
    push([limited("e", rate(7, 60)), a_push("f")])
    ids = dict(sql("SELECT jid, id FROM faktory_django_job"))

    found = limits.waits(list(ids.values()))

    assert set(found) == {ids["c"], ids["d"]}
    wait = found[ids["d"]]
    assert (wait.key, wait.allowed, wait.taken, wait.before) == ("k", 2, 2, 1)
    assert limits.waits([]) == {}


def test_the_busiest_keys_come_first() -> None:
    push([limited(None, at_a_time(1, "calm")), limited(None, rate(3, 60, "often"))])
    push([limited(None, at_a_time(2, "busy")) for _ in range(5)])

    found = limits.busiest()

    assert [(b.key, b.allowed, b.taken, b.waiting) for b in found] == [
        ("busy", 2, 2, 3),
        ("calm", None, 1, 0),
        ("often per 60 s", None, 1, 0),
    ]


def test_a_key_can_be_released_though_its_jobs_go_on() -> None:
    push([limited("a"), limited("b"), limited("c")])
    claim()

    freed = limits.release_key("k")

    assert freed == 1
    assert claimed_jids() == ["b"]
    assert holders() == ["b"]


def test_the_end_of_a_job_whose_slot_was_released_passes_nothing_on() -> None:
    push([limited("a"), limited("b"), limited("c")])
    [job] = claim()
    limits.release_key("k")

    end(ack_of(job))

    assert (holders(), waiting()) == (["b"], ["c"])


def test_what_plain_jobs_do_leaves_no_trace_of_limits() -> None:
    push_many(3)
    jobs = claim()
    end(LeaseAck(jobs[0].lease, ends=True, ids=[job.id for job in jobs]))

    assert counts("limitedjob", "limitslot", "rateuse") == (0, 0, 0)


# all at once

KEYS, MOST = 6, 3


def test_however_jobs_come_and_end_no_key_has_more_in_work_than_its_limit() -> None:  # noqa: C901, PLR0915 - one story
    """Pushes that roll back or are not let in, deaths, reaps, failures, acks of both doors."""
    seed = seeded(None).getrandbits(32)
    stop = threading.Event()
    lock = threading.Lock()
    pushed: set[str] = set()
    done: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    def producer(number: int) -> None:
        chances = seeded(seed + number)
        for _ in range(60):
            some = []
            for _ in range(chances.choice((1, 2, 5))):
                said = [at_a_time(MOST, f"k{chances.randrange(KEYS)}")]
                if chances.random() < 0.2:
                    said.append(at_a_time(MOST, "z"))
                if chances.random() < 0.1:
                    said.append(rate(50, 0.05, "r"))
                some.append(limited(None, *said))
            with transaction.atomic():
                push(some)
                if rolled_back := chances.random() < 0.1:
                    transaction.set_rollback(True)
                elif chances.random() < 0.3:
                    connection.run_on_commit.clear()
            if not rolled_back:
                with lock:
                    pushed.update(p.jid for p in some)

    def over() -> bool:
        return stop.is_set() and len(done) >= len(pushed)

    def worker(number: int) -> None:
        chances = seeded(seed + 100 + number)
        killer = psycopg.connect(database_url(), autocommit=True)
        consumer = Consumer(f"w{number}")
        while not over():
            try:
                turn = consumer.turn(connection, ["default"], chances.choice((1, 3, 8)))
                _finish(chances, turn.jobs)
                if chances.random() < 0.03:
                    pid = connection.connection.info.backend_pid
                    killer.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])
            except Exception as wrong:
                if not isinstance(wrong.__cause__, psycopg.OperationalError):
                    raise
                connection.close()
                rows = execute(
                    connection,
                    "SELECT id FROM faktory_django_lease WHERE wid = %(wid)s ORDER BY id",
                    {"wid": consumer.wid},
                )
                reap(connection, [row[0] for row in rows], max_crashes=10_000)
        killer.close()

    def _finish(chances: Any, jobs: list[Claimed]) -> None:
        for job in jobs:
            chance = chances.random()
            if chance < 0.1:
                hand_back(connection, job.lease, [job.id])
            elif chance < 0.2:
                fail(connection, [failing(job)])
            elif not end(LeaseAck(job.lease, ends=False, ids=[job.id], traited=True)):
                with lock:
                    done[jid_of(job)] += 1
        if jobs and chances.random() < 0.3:
            reap(connection, [jobs[0].lease], max_crashes=10_000)
        elif jobs:
            end(LeaseAck(jobs[0].lease, ends=True))

    def keeper() -> None:
        upkeep, promoter = Maintenance(), Promoter()
        while not over():
            upkeep.admit(connection)
            upkeep.repair(connection)
            move_back("retryjob", "due_at", 3_600)
            promoter.promote_retries(connection, 100)
            rows = sql("SELECT s.key, count(*) FROM faktory_django_limitslot s GROUP BY s.key")
            running = sql(
                "SELECT l.stage ->> 'k', count(*) FROM faktory_django_lease h"
                " JOIN faktory_django_job j ON j.id = ANY(h.ids)"
                " CROSS JOIN LATERAL jsonb_array_elements(j.traits -> 'limit') AS l(stage)"
                " WHERE NOT l.stage ? 'per' GROUP BY 1"
            )
            for key, n in rows + running:
                seen[key] = max(seen[key], n)

    def producers() -> None:
        run_together(*(lambda n=n: producer(n) for n in range(3)))
        stop.set()

    run_together(
        producers,
        keeper,
        *(lambda n=n: worker(n) for n in range(4)),
    )
    connections.close_all()

    assert set(done) == pushed, f"seed {seed}"
    assert max(seen.values()) == MOST, f"seed {seed}"
    assert counts("job", "ready", "limitedjob", "limitslot") == (0, 0, 0, 0), f"seed {seed}"
