"""Stats: counters say what happened, in minutes, hours and days."""

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
from faktory_django.models import BUCKETS, Counter

from .actors import run_together
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

MINUTE, HOUR, DAY = Counter.Resolution.values

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


def rows(resolution: int = MINUTE) -> list[tuple[Any, ...]]:
    return sql(
        "SELECT queue, jobtype, pushed, done, failed, discarded, reaped"
        " FROM faktory_django_counter WHERE resolution = %(resolution)s"
        " ORDER BY starts_at, queue, jobtype",
        resolution=resolution,
    )


def starts() -> list[tuple[int, str, int]]:
    """Return the spans that are counted, and the jobs pushed in each."""
    return sql(
        "SELECT resolution, to_char(starts_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), pushed"
        " FROM faktory_django_counter ORDER BY resolution, starts_at, queue"
    )


def sums() -> dict[int, tuple[int, ...]]:
    """Return what was counted in all minutes, all hours and all days."""
    found = sql(
        "SELECT resolution, sum(pushed)::int, sum(done)::int, sum(failed)::int,"
        " sum(discarded)::int, sum(reaped)::int, sum(waits[2])::int, sum(runs[4])::int"
        " FROM faktory_django_counter GROUP BY resolution"
    )
    return {resolution: tuple(numbers) for resolution, *numbers in found}


def move_deltas(at: str) -> None:
    sql("UPDATE faktory_django_counterdelta SET starts_at = %(at)s::timestamptz", at=at)


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


@pytest.mark.parametrize("resolution", [MINUTE, HOUR, DAY])
def test_deltas_become_minutes_hours_and_days_by_queue_and_jobtype(resolution: int) -> None:
    push([a_push(jobtype="x"), a_push(jobtype="y"), a_push(jobtype="x", queue="mail")])
    push([a_push(jobtype="x")])
    move_deltas("2026-01-02 03:04:00Z")

    assert fold_all() == 4

    assert rows(resolution) == [
        ("default", "x", 2, 0, 0, 0, 0),
        ("default", "y", 1, 0, 0, 0, 0),
        ("mail", "x", 1, 0, 0, 0, 0),
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_a_delta_is_in_its_minute_its_hour_and_its_day_of_utc(zone: str) -> None:
    with transaction.atomic():
        sql("SELECT set_config('TimeZone', %(zone)s, true)", zone=zone)
        for at in ("2026-03-07 23:59:00Z", "2026-03-08 00:00:00Z", "2026-03-08 00:59:00Z"):
            push_many(1)
            move_deltas(at)
            fold_all()

    assert starts() == [
        (MINUTE, "03-07 23:59", 1),
        (MINUTE, "03-08 00:00", 1),
        (MINUTE, "03-08 00:59", 1),
        (HOUR, "03-07 23:00", 1),
        (HOUR, "03-08 00:00", 2),
        (DAY, "03-07 00:00", 1),
        (DAY, "03-08 00:00", 2),
    ]


def test_one_fold_of_several_minutes_adds_each_to_its_spans() -> None:
    for at in ("2026-03-07 23:59:00Z", "2026-03-07 23:58:00Z", "2026-03-07 22:58:00Z"):
        push_many(1)
        sql(
            "UPDATE faktory_django_counterdelta SET starts_at = %(at)s::timestamptz"
            " WHERE starts_at > '2026-03-08'",
            at=at,
        )

    assert stats.fold(connection) == 3

    assert [span for span in starts() if span[0] != MINUTE] == [
        (HOUR, "03-07 22:00", 1),
        (HOUR, "03-07 23:00", 2),
        (DAY, "03-07 00:00", 3),
    ]


def test_what_is_counted_late_is_added_to_its_day() -> None:
    for _ in range(2):
        push_many(2)
        move_deltas("2026-01-02 12:00:00Z")
        fold_all()
        stats.trim(connection, resolution=MINUTE, keep_days=3)

    assert starts() == [(HOUR, "01-02 12:00", 4), (DAY, "01-02 00:00", 4)]
    assert stats.totals()["pushed"] == 4


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
    found = sql("SELECT done, waits, runs FROM faktory_django_counter WHERE resolution = 86400")
    assert sum(row[0] for row in found) == 6
    assert [sum(bucket) for bucket in zip(*(row[1] for row in found), strict=True)] == waits
    assert [sum(bucket) for bucket in zip(*(row[2] for row in found), strict=True)] == runs
    assert len(set(sums().values())) == 1


def test_counters_without_runs_have_no_histograms() -> None:
    push_many(1)

    fold_all()

    assert sql("SELECT waits, runs FROM faktory_django_counter") == [(None, None)] * 3


@pytest.mark.parametrize(
    ("one", "other", "added"),
    [
        (None, None, None),
        (None, [1], [1]),
        ([1], None, [1]),
        ([1, 2], [3, 4], [4, 6]),
        ([1], [2, 3], [3, 3]),
        ([2**31 - 2, 2**31 - 1], [1, 1], [2**31 - 1, 2**31 - 1]),
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


def test_folds_at_once_add_each_delta_once_to_its_minute_its_hour_and_its_day() -> None:
    minutes = ("2026-03-07 22:58:00Z", "2026-03-07 23:59:00Z", "2026-03-08 00:00:00Z")
    sql(
        "INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, pushed, done, failed,"
        " discarded, reaped, waits, runs)"
        " SELECT (%(minutes)s::timestamptz[])[1 + i %% 3], 'q' || i * 7 %% 5, 't' || i * 11 %% 3,"
        " i, 2, 3, 4, 5, %(histogram)s, %(histogram)s FROM generate_series(1, 600) AS i",
        minutes=list(minutes),
        histogram=[1, 1, 0, 1] + [0] * (BUCKETS - 4),
    )

    def act() -> None:
        fold_all(limit=7)

    run_together(act, act, act)

    happened = (600 * 601 // 2, 1_200, 1_800, 2_400, 3_000, 600, 600)
    assert sums() == {MINUTE: happened, HOUR: happened, DAY: happened}
    assert tuple(stats.totals().values()) == happened[:5]
    assert count("counterdelta") == 0


def counter(resolution: int, days: int) -> None:
    sql(
        "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype)"
        " VALUES (%(resolution)s, now() - %(days)s * interval '1 day', 'q', 't')",
        resolution=resolution,
        days=days,
    )


def kept() -> list[tuple[int, int]]:
    """Return the resolution of each counter and how many days old it is."""
    return sql(
        "SELECT resolution, extract(day FROM now() - starts_at)::int"
        " FROM faktory_django_counter ORDER BY resolution, starts_at"
    )


def test_old_counters_of_one_resolution_are_deleted() -> None:
    for resolution in (MINUTE, HOUR):
        for days in (2, 4, 40):
            counter(resolution, days)

    assert stats.trim(connection, resolution=MINUTE, keep_days=3) == 2
    assert kept() == [(MINUTE, 2), (HOUR, 40), (HOUR, 4), (HOUR, 2)]

    assert stats.trim(connection, resolution=HOUR, keep_days=35) == 1
    assert kept() == [(MINUTE, 2), (HOUR, 4), (HOUR, 2)]


def test_the_oldest_counters_are_deleted_first_and_few_at_a_time() -> None:
    for days in (6, 8, 7, 9):
        counter(MINUTE, days)

    assert stats.trim(connection, resolution=MINUTE, keep_days=3, limit=3) == 3

    assert kept() == [(MINUTE, 6)]


def test_a_trim_waits_for_no_fold(actor: Callable[[], Actor]) -> None:
    push_many(1)
    move_deltas("2026-01-02 12:00:00Z")
    fold_all()
    push_many(1)
    move_deltas("2026-01-02 12:00:00Z")
    other = actor()
    other.begin()
    other.do(lambda: stats.fold(connection))

    assert stats.trim(connection, resolution=DAY, keep_days=3) == 0

    other.commit()
    assert starts()[-1] == (DAY, "01-02 00:00", 2)
    assert stats.trim(connection, resolution=DAY, keep_days=3) == 1


def test_a_fold_that_waits_for_a_trim_counts_in_a_new_row(actor: Callable[[], Actor]) -> None:
    push_many(3)
    move_deltas("2026-01-02 12:00:00Z")
    fold_all()
    push_many(1)
    move_deltas("2026-01-02 12:00:00Z")
    trimming, folding = actor(), actor()
    trimming.begin()
    trimming.do(lambda: stats.trim(connection, resolution=MINUTE, keep_days=3))

    waiting = folding.start_blocked(lambda: stats.fold(connection))
    trimming.commit()

    assert waiting.result(10) == 1
    assert [span[2] for span in starts()] == [1, 4, 4]


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
    assert set(kept()) == {(MINUTE, 0), (HOUR, 0), (HOUR, 10), (DAY, 0), (DAY, 10)}


@pytest.mark.parametrize(("resolution", "days"), [(MINUTE, 3), (HOUR, 35), (DAY, 400)])
def test_maintenance_keeps_each_resolution_for_its_days(resolution: int, days: int) -> None:
    counter(resolution, days - 1)
    counter(resolution, days + 1)

    Maintenance().trim(connection)

    assert kept() == [(resolution, days - 1)]


def test_maintenance_comes_again_at_once_while_many_counters_are_old() -> None:
    sql(
        "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype)"
        " SELECT 60, now() - interval '9 days' - i * interval '1 minute', 'q', 't'"
        " FROM generate_series(1, 10001) AS i"
    )
    upkeep = Maintenance()

    assert (upkeep.trim(connection), count("counter")) == (0.0, 1)
    assert (upkeep.trim(connection), count("counter")) == (None, 0)
