"""Stats: counters say what happened, from deltas to minutes to days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction

from faktory_django.lifecycle import mutate, stats
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reap import reap
from faktory_django.maintenance import Maintenance
from faktory_django.models import BUCKETS

from .stock import (
    a_push,
    ack_of,
    claim,
    column,
    count,
    counts,
    end,
    failing,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def live(jobs_done: int = 2) -> None:
    """Let jobs end in all ways."""
    push_many(jobs_done + 3)
    jobs = claim(jobs_done)
    end(ack_of(*jobs, ends=True))
    (failed,) = claim(1)
    fail(connection, [failing(failed)])
    (crashed,) = claim(1)
    reap(connection, [crashed.lease], max_crashes=3)
    mutate.discard("waiting", column("job", "id"))


def fold_all(limit: int = 10_000) -> int:
    folded = 0
    while moved := stats.fold(connection, limit=limit):
        folded += moved
    return folded


def rows() -> list[tuple[Any, ...]]:
    return sql(
        "SELECT resolution, queue, jobtype, pushed, done, failed, discarded, reaped"
        " FROM faktory_django_counter ORDER BY resolution, starts_at, queue, jobtype"
    )


def test_totals_are_the_sum_of_what_happened_folded_or_not() -> None:
    live()
    happened = {"pushed": 5, "done": 2, "failed": 1, "discarded": 2, "reaped": 1}
    assert stats.totals() == happened

    stats.fold(connection, limit=2)
    assert stats.totals() == happened

    fold_all()
    assert (stats.totals(), count("counterdelta")) == (happened, 0)

    live()
    assert stats.totals() == {name: 2 * n for name, n in happened.items()}


def test_totals_of_nothing_are_zero() -> None:
    assert set(stats.totals().values()) == {0}


def test_deltas_become_minutes_by_queue_and_jobtype() -> None:
    push([a_push(jobtype="x"), a_push(jobtype="y"), a_push(jobtype="x", queue="mail")])
    push([a_push(jobtype="x")])
    sql("UPDATE faktory_django_counterdelta SET starts_at = '2026-01-02 03:04:00Z'")

    assert fold_all() == 4

    assert rows() == [
        (60, "default", "x", 2, 0, 0, 0, 0),
        (60, "default", "y", 1, 0, 0, 0, 0),
        (60, "mail", "x", 1, 0, 0, 0, 0),
    ]


def test_queues_become_known_by_what_is_pushed() -> None:
    with transaction.atomic():
        push_many(1, queue="new")
    before = count("queue")

    fold_all()

    assert (before, column("queue", "name", "name")) == (0, ["new"])


def test_a_queue_that_has_only_scheduled_jobs_becomes_known_when_one_is_due() -> None:
    push_one(queue="later", delay_seconds=60.0)
    fold_all()
    before = count("queue")

    move_back("scheduledjob", "due_at", 61)
    Promoter().promote_scheduled(connection, 10)

    assert (before, column("queue", "name", "name")) == (0, ["later"])


def test_a_queue_that_is_only_read_does_not_become_known() -> None:
    push_many(1, queue="old")
    jobs = claim(1, "old")
    sql("DELETE FROM faktory_django_counterdelta")
    sql("DELETE FROM faktory_django_queue")
    end(ack_of(*jobs, ends=True))

    fold_all()

    assert count("queue") == 0


def test_histograms_add_up_bucket_by_bucket() -> None:
    for _ in range(3):
        push_many(2)
        end(ack_of(*claim(), ends=True))
        fold_all()

    waits, runs = [0] * BUCKETS, [0] * BUCKETS
    waits[1], runs[3] = 6, 6
    assert sql("SELECT sum(done)::int FROM faktory_django_counter") == [(6,)]
    found = sql("SELECT waits, runs FROM faktory_django_counter")
    assert [sum(bucket) for bucket in zip(*(row[0] for row in found), strict=True)] == waits
    assert [sum(bucket) for bucket in zip(*(row[1] for row in found), strict=True)] == runs


def test_counters_without_runs_have_no_histograms() -> None:
    push_many(1)

    fold_all()

    assert sql("SELECT waits, runs FROM faktory_django_counter") == [(None, None)]


@pytest.mark.parametrize(
    ("one", "other", "added"),
    [
        (None, None, None),
        (None, [1], [1]),
        ([1], None, [1]),
        ([1, 2], [3, 4], [4, 6]),
        ([1], [2, 3], [3, 3]),
    ],
)
def test_histograms_are_added(
    one: list[int] | None, other: list[int] | None, added: list[int] | None
) -> None:
    found = sql("SELECT faktory_django_add_v1(%(a)s::int[], %(b)s::int[])", a=one, b=other)

    assert found == [(added,)]


def test_two_folds_at_once_count_everything_once(actor: Callable[[], Actor]) -> None:
    for _ in range(6):
        push_many(1)
    other = actor()
    other.begin()
    assert other.do(lambda: stats.fold(connection, limit=4)) == 4

    folding = actor().start(lambda: stats.fold(connection))
    other.commit()

    assert folding.result(10) == 2
    assert (stats.totals()["pushed"], count("counterdelta")) == (6, 0)


def test_old_minutes_become_days() -> None:
    live()
    fold_all()
    sql("UPDATE faktory_django_counter SET starts_at = '2026-01-02 23:59:00Z'")
    live()
    fold_all()
    before = stats.totals()

    assert stats.fold_days(connection, keep_days=3) == 1
    assert stats.fold_days(connection, keep_days=3) == 0

    assert sql(
        "SELECT starts_at = '2026-01-02T00:00:00Z', done, waits[2]"
        " FROM faktory_django_counter WHERE resolution = 86400"
    ) == [(True, 2, 2)]
    assert stats.totals() == before


def test_a_day_adds_up_from_several_folds() -> None:
    for _ in range(2):
        push_many(2)
        fold_all()
        sql(
            "UPDATE faktory_django_counter SET starts_at = '2026-01-02 12:00:00Z'"
            " WHERE resolution = 60"
        )
        stats.fold_days(connection, keep_days=3)

    assert rows() == [(86_400, "default", "noop", 4, 0, 0, 0, 0)]


def test_recent_minutes_stay_minutes() -> None:
    push_many(1)
    fold_all()

    assert stats.fold_days(connection, keep_days=1) == 0
    assert [row[0] for row in rows()] == [60]


def test_old_days_are_deleted() -> None:
    for days in (10, 500):
        sql(
            "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype)"
            " VALUES (86400, now() - %(days)s * interval '1 day', 'q', 't')",
            days=days,
        )

    stats.trim_days(connection, keep_days=400)

    assert count("counter") == 1


def test_levels_that_are_listed_twice_are_merged() -> None:
    for rank in (10, 10, 10, 7):
        sql("INSERT INTO faktory_django_level (queue, rank) VALUES ('q', %(rank)s)", rank=rank)

    stats.merge_levels(connection)

    assert column("level", "rank", "rank") == [7, 10]


def test_maintenance_folds_and_trims(override_faktory: Callable[..., None]) -> None:
    override_faktory(DEAD_MAX_JOBS=0)
    live()
    sql("UPDATE faktory_django_counterdelta SET starts_at = starts_at - interval '10 days'")
    push_many(1, retry=-1)
    fail(connection, [failing(job) for job in claim()])
    upkeep = Maintenance()

    assert (upkeep.fold(connection), upkeep.trim(connection)) == (None, None)

    assert counts("counterdelta", "deadjob") == (0, 0)
    assert sorted({row[0] for row in rows()}) == [60, 86_400]
