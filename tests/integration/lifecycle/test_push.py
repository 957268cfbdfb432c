"""Push: a job enters its queue with the transaction that pushed it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import DataError, connection, connections, transaction
from django.db.utils import load_backend
from django.test.utils import CaptureQueriesContext

from faktory_django import payload
from faktory_django.errors import DatabaseNotReady, InvalidOption
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push

from .stock import (
    TABLES,
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


def parsed(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_pushed_job_waits_in_its_queue() -> None:
    jid = push_one("one", queue="mail", priority=7, reserve_for=90)

    job = sql("SELECT jid, queue, priority, jobtype, reserve_for FROM faktory_django_job")
    ready = sql("SELECT queue, rank, pos = job_id FROM faktory_django_ready")
    assert job == [(jid, "mail", 7, "noop", 90)]
    assert ready == [("mail", 14, True)]


def test_pushing_nothing_asks_the_database_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        push([])

    assert len(queries) == 0


def test_a_thousand_jobs_are_one_statement() -> None:
    pushes = [a_push() for _ in range(1_000)]

    with CaptureQueriesContext(connection) as queries:
        push(pushes)

    assert len(queries) == 1
    assert count("ready") == 1_000


def test_more_than_a_thousand_jobs_are_one_statement_for_each_thousand() -> None:
    pushes = [a_push() for _ in range(2_001)]

    with CaptureQueriesContext(connection) as queries:
        push(pushes)

    assert sum("push_v1" in query["sql"] for query in queries) == 3
    assert counts("job", "ready") == (2_001, 2_001)


def test_a_bulk_push_stores_all_or_nothing(override_faktory: Any) -> None:
    override_faktory(MAX_BULK_ROWS=10)
    bad = a_push(body='{"args":["\0"]}')

    with pytest.raises(DataError):
        push([*(a_push() for _ in range(25)), bad])

    assert counts(*TABLES) == (0,) * len(TABLES)


def test_jobs_are_claimed_in_the_order_of_one_bulk_push() -> None:
    jids = push_many(500)

    assert claimed_jids(500) == jids


def test_a_push_is_seen_by_others_at_commit(actor: Callable[[], Actor]) -> None:
    other = actor()
    with transaction.atomic():
        jid = push_one()
        before = other.do(claimed_jids)

    after = other.do(claimed_jids)

    assert (before, after) == ([], [jid])


def test_a_push_vanishes_with_its_transaction() -> None:
    def pushed_in_vain() -> None:
        with transaction.atomic():
            push_one(priority=3)
            push_one(delay_seconds=60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pushed_in_vain()

    assert counts(*TABLES) == (0,) * len(TABLES)


def test_a_push_vanishes_with_its_savepoint_alone() -> None:
    with transaction.atomic():
        kept = push_one()
        try:
            with transaction.atomic():
                push_one()
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    assert claimed_jids() == [kept]


def test_a_push_in_manual_transaction_management_belongs_to_the_transaction() -> None:
    connection.set_autocommit(False)
    push_one()
    connection.rollback()
    kept = push_one()
    connection.commit()
    connection.set_autocommit(True)

    assert claimed_jids() == [kept]


def test_a_database_that_is_not_postgresql_is_refused() -> None:
    sqlite = load_backend("django.db.backends.sqlite3").DatabaseWrapper(
        {"NAME": ":memory:"}, "lite"
    )
    connections["lite"] = sqlite

    with pytest.raises(DatabaseNotReady, match="'lite' must be PostgreSQL, it is sqlite"):
        push([a_push()], using="lite")

    del connections["lite"]


def test_an_unknown_database_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidOption, match="no database 'none' in DATABASES, only default"):
        push([a_push()], using="none")


def test_created_at_stands_in_front_by_the_clock_of_the_database() -> None:
    before = sql("SELECT clock_timestamp()")[0][0]
    pushed = a_push()

    push([pushed])

    (body,) = column("job", "body")
    created_at = datetime.fromisoformat(parsed(body)["created_at"])
    assert body.startswith('{"created_at":"')
    assert body.endswith(pushed.body[1:])
    assert before <= created_at <= sql("SELECT clock_timestamp()")[0][0]


def test_a_body_keeps_a_created_at_of_its_own() -> None:
    body = '{"created_at":"2001-02-03T04:05:06Z","jid":"x","args":[]}'

    push([a_push(body=body), a_push(body=body, delay_seconds=60)])

    assert column("job", "body") == [body]
    (scheduled,) = column("scheduledjob", "body")
    assert scheduled.startswith('{"created_at":"2001-02-03T04:05:06Z","at":"')


@pytest.mark.parametrize(
    "args",
    [
        "[12345678901234567890123,1.0,1e2,-0.0]",
        '["\\u0000","\\ud800",1e400]',
        '[{"b":1,"a":2,"b":3}]',
        '["' + "é😀" * 2_000 + '"]',
    ],
    ids=["numbers", "escapes", "duplicate keys", "long"],
)
def test_arguments_come_back_byte_for_byte(args: str) -> None:
    push([a_push(body=payload.canonical("noop", "x", args, queue="default"))])

    (job,) = claim()

    assert f'"args":{args}' in job.body


def test_a_scheduled_job_waits_in_the_scheduled_set() -> None:
    at = datetime.now(UTC) + timedelta(hours=1)

    jid = push_one(at=at, priority=2, reserve_for=77)

    assert counts("job", "ready", "level") == (0, 0, 0)
    assert sql(
        "SELECT jid, queue, priority, reserve_for, due_at FROM faktory_django_scheduledjob"
    ) == [(jid, "default", 2, 77, at)]


def test_a_delay_counts_by_the_clock_of_the_database() -> None:
    push_one(delay_seconds=90.5)

    seconds, body = sql(
        "SELECT extract(epoch FROM due_at - clock_timestamp())::float8, body"
        " FROM faktory_django_scheduledjob"
    )[0]
    hash_ = parsed(body)
    waited = datetime.fromisoformat(hash_["at"]) - datetime.fromisoformat(hash_["created_at"])
    assert 85 < seconds <= 90.5
    assert waited == timedelta(seconds=90.5)


def test_a_time_that_has_passed_means_at_once_and_at_is_kept() -> None:
    body = '{"retry":25,"jid":"late","queue":"default","jobtype":"noop","at":"2001-01-01T00:00:00Z"'

    push([a_push("late", body=body + ',"args":[]}', at=datetime(2001, 1, 1, tzinfo=UTC))])

    (job,) = claim()
    assert payload.parse(job.body).at == "2001-01-01T00:00:00Z"
    assert count("scheduledjob") == 0


def test_a_delay_of_nothing_means_at_once_and_at_is_there() -> None:
    jid = push_one(delay_seconds=0)

    (job,) = claim()
    assert (jid_of(job), payload.parse(job.body).at is not None) == (jid, True)


def test_one_push_may_mix_now_later_and_past() -> None:
    past = datetime(2001, 1, 1, tzinfo=UTC)

    push([a_push("a"), a_push("b", delay_seconds=60), a_push("c", at=past), a_push("d")])

    assert claimed_jids() == ["a", "c", "d"]
    assert column("scheduledjob") == ["b"]


def test_jobs_run_by_priority_and_then_in_order_of_push() -> None:
    priorities = [0, 5, -3, 0, 100, 5, -100, 0]
    push([a_push(f"{n}", priority=p) for n, p in enumerate(priorities)])
    push([a_push("8", priority=5)])

    jids = claimed_jids()

    expected = sorted(range(9), key=lambda n: (-[*priorities, 5][n], n))
    assert jids == [str(n) for n in expected]


def test_a_level_is_listed_once_and_rank_0_never() -> None:
    push([a_push(priority=p) for p in (0, 5, 5, -3)])
    push([a_push(priority=5), a_push(priority=0)])

    assert column("level", "rank", "rank") == [-6, 10]


def test_two_open_transactions_may_list_one_level_without_waiting(
    actor: Callable[[], Actor],
) -> None:
    one, two = actor(), actor()
    one.begin()
    two.begin()

    one.do(push_one, priority=5)
    two.do(push_one, priority=5)

    one.commit()
    two.commit()
    assert column("level", "rank") == [10, 10]


def test_pushed_jobs_are_counted_by_queue_and_jobtype() -> None:
    push([a_push(jobtype="x"), a_push(jobtype="x"), a_push(jobtype="y", queue="mail")])
    push([a_push(jobtype="x", delay_seconds=60), a_push(jobtype="x")])

    counted = sql(
        "SELECT queue, jobtype, sum(pushed)::int FROM faktory_django_counterdelta"
        " GROUP BY queue, jobtype ORDER BY queue, jobtype"
    )
    assert counted == [("default", "x", 4), ("mail", "y", 1)]


def test_a_jid_twice_is_two_jobs() -> None:
    push_one("twin")
    push_one("twin")

    assert claimed_jids() == ["twin", "twin"]


def waiting(wid: str, *queues: str) -> Consumer:
    consumer = Consumer(wid, listens=True)
    consumer.turn(connection, queues, 1)
    return consumer


def test_a_push_wakes_a_consumer_that_waits(heard: Callable[[], list[str]]) -> None:
    waiting("idle", "other", "default")

    push_one()

    assert heard() == ["idle"]


def test_a_push_tells_nobody_when_nobody_waits(heard: Callable[[], list[str]]) -> None:
    waiting("elsewhere", "mail")

    push_one()

    assert heard() == []


def test_a_scheduled_push_wakes_nobody(heard: Callable[[], list[str]]) -> None:
    waiting("idle", "default")

    push_one(delay_seconds=60)

    assert heard() == []


def test_a_scheduled_push_that_is_due_wakes(heard: Callable[[], list[str]]) -> None:
    waiting("idle", "default")

    push_one(delay_seconds=0)

    assert heard() == ["idle"]


def test_a_few_more_are_woken_than_there_are_jobs(heard: Callable[[], list[str]]) -> None:
    for n in range(10):
        waiting(f"idle-{n}", "default")

    push_many(2)

    assert len(heard()) == 3


def test_a_push_in_a_transaction_wakes_after_its_commit(heard: Callable[[], list[str]]) -> None:
    waiting("idle", "default")

    with transaction.atomic():
        push_one()
        before = list(heard())

    assert (before, heard()) == ([], ["idle"])


def test_a_consumer_that_went_idle_between_push_and_commit_is_woken(
    heard: Callable[[], list[str]], actor: Callable[[], Actor]
) -> None:
    other = actor()
    with transaction.atomic():
        push_one()
        other.do(lambda: waiting("idle", "default"))

    assert heard() == ["idle"]


def wakes(pushing: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        pushing()
    return sum("faktory_django_wake_v1" in query["sql"] for query in queries)


def test_one_transaction_wakes_once() -> None:
    def pushing() -> None:
        with transaction.atomic():
            push_one()
            push_many(3, queue="mail")
            transaction.on_commit(lambda: None)
            push_one(queue="other")

    assert wakes(pushing) == 1


def test_pushes_in_savepoints_of_a_transaction_that_pushed_wake_once() -> None:
    def pushing() -> None:
        with transaction.atomic():
            push_one()
            for _ in range(3):
                with transaction.atomic():
                    push_one()

    assert wakes(pushing) == 1


def test_a_push_after_a_savepoint_that_was_rolled_back_still_wakes(
    heard: Callable[[], list[str]],
) -> None:
    waiting("idle", "default")

    with transaction.atomic():
        sid = connection.savepoint() or ""
        push_one()
        connection.savepoint_rollback(sid)
        try:
            with transaction.atomic():
                push_one()
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        push_one()

    assert heard() == ["idle"]


def test_a_transaction_that_is_rolled_back_wakes_nobody(heard: Callable[[], list[str]]) -> None:
    waiting("idle", "default")

    with transaction.atomic():
        push_one()
        transaction.set_rollback(True)

    assert heard() == []


def test_a_bulk_of_several_statements_wakes_once_after_commit(override_faktory: Any) -> None:
    override_faktory(MAX_BULK_ROWS=2)

    assert wakes(lambda: push_many(7)) == 1
