"""Partitions: rows are dropped with their day; nothing that upkeep misses fails a write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.db import connection

from faktory_django.lifecycle import partitions
from faktory_django.lifecycle.partitions import ATTEMPTS, FINISHED, TABLES, upkeep
from faktory_django.models import Attempt, FinishedJob, LogLine

from .stock import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

COUNT = "SELECT count(*) FROM faktory_django_finishedjob"
PARTITIONS = """
SELECT substring(c.relname FROM '[0-9]+$|rest$')
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(%(table)s)
ORDER BY 1
"""


def made(table: str = FINISHED) -> list[str]:
    return [row[0] for row in sql(PARTITIONS, table=table)]


def day(ahead: int) -> str:
    return (datetime.now(UTC) + timedelta(days=ahead)).strftime("%Y%m%d")


def keep(bucket: int | str, jid: str = "one") -> None:
    sql(
        "INSERT INTO faktory_django_finishedjob"
        " (bucket, jid, jobtype, queue, outcome, finished_at, attempts)"
        " VALUES (%(bucket)s::int, %(jid)s, 'noop', 'default', 'done', clock_timestamp(), 1)",
        bucket=int(bucket),
        jid=jid,
    )


def kept() -> list[tuple[str, str]]:
    """Return what there is, and in which partition."""
    return sql(
        "SELECT jid, substring(tableoid::regclass::text FROM '[0-9]+$|rest$')"
        " FROM faktory_django_finishedjob ORDER BY jid"
    )


@pytest.fixture(autouse=True)
def only_the_rest(store: None) -> Iterator[None]:  # noqa: ARG001
    """Begin and end without partitions of days."""
    drop_partitions()
    yield
    drop_partitions()


def drop_partitions() -> None:
    for table in TABLES:
        sql(f"TRUNCATE {table}")
        for name in made(table):
            if name != "rest":
                sql(f"DROP TABLE {table}_{name}")


@pytest.mark.parametrize(
    ("days", "at", "bucket"),
    [
        (1, "2026-11-28 23:59:59+00", 20261129),
        (1, "2026-11-29 00:00:00+00", 20261130),
        (1, "2026-11-29 08:59:00+09", 20261129),
        (40, "2026-01-01 00:00:00+00", 20260210),
        (41, "2026-01-01 00:00:00+00", 202602),
        (366, "2026-12-31 12:00:00+00", 202801),
    ],
)
def test_a_row_goes_with_the_day_or_the_month_in_which_its_time_is_over(
    days: int, at: str, bucket: int
) -> None:
    found = sql("SELECT faktory_django_bucket_v1(%(days)s, %(at)s::timestamptz)", days=days, at=at)

    assert found == [(bucket,)]


def test_django_makes_plain_tables_and_the_installer_parts_them() -> None:
    for model in (FinishedJob, Attempt, LogLine):
        table = model._meta.db_table

        assert sql(partitions.KIND.replace("%s", "%(t)s"), t=table) == [("p",)]
        assert made(table) == ["rest"]
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, table)
        indexes = {name: found[name]["columns"] for name in found if found[name]["index"]}
        assert indexes == {index.name: index.fields for index in model._meta.indexes}


def test_a_plain_table_with_rows_is_parted_with_them() -> None:
    sql(f"DROP TABLE {ATTEMPTS}")
    with connection.schema_editor() as editor:
        editor.create_model(Attempt)
    one = Attempt.objects.create(
        bucket=20991231, jid="a", jobtype="t", queue="q", at=datetime.now(UTC), number=1
    )

    partitions.split(connection)

    assert Attempt.objects.get().pk == one.pk
    two = Attempt.objects.create(
        bucket=20991231, jid="b", jobtype="t", queue="q", at=datetime.now(UTC), number=1
    )
    assert two.pk == one.pk + 1
    assert sql("SELECT pg_get_serial_sequence('faktory_django_attempt', 'id')") == [
        ("public.faktory_django_attempt_id_seq",)
    ]


def test_upkeep_makes_partitions_ahead_and_finds_them_made() -> None:
    first = upkeep(connection, FINISHED, [7, 7, 100])
    second = upkeep(connection, FINISHED, [7, 100])

    months = {(datetime.now(UTC) + timedelta(days=100 + n)).strftime("%Y%m") for n in range(3)}
    assert first == (3 + len(months), 0, 0)
    assert second == (0, 0, 0)
    assert made() == sorted([day(7), day(8), day(9), *months, "rest"])


def test_rows_are_in_the_partition_of_their_bucket_and_else_in_the_rest() -> None:
    upkeep(connection, FINISHED, [7])

    keep(day(7), "here")
    keep(day(20), "there")

    assert kept() == [("here", day(7)), ("there", "rest")]


def test_what_is_over_is_dropped_and_from_the_rest_deleted_in_pieces() -> None:
    for bucket in (day(-1), day(0), "202001", datetime.now(UTC).strftime("%Y%m")):
        sql(f"CREATE TABLE {FINISHED}_{bucket} PARTITION OF {FINISHED} FOR VALUES IN ({bucket})")
        keep(bucket, f"in {bucket}")
    for _ in range(3):
        keep(day(-2), "old")
    keep("202002", "old month")
    keep(day(30), "young")

    rounds = [upkeep(connection, FINISHED, [], pieces=3) for _ in range(3)]

    assert rounds == [(0, 2, 3), (0, 0, 1), (0, 0, 0)]
    month = datetime.now(UTC).strftime("%Y%m")
    assert [jid for jid, _ in kept()] == sorted([f"in {day(0)}", f"in {month}", "young"])


def test_rows_in_the_rest_keep_their_partition_from_being_made_and_nothing_else() -> None:
    keep(day(7), "early")

    assert upkeep(connection, FINISHED, [7]) == (2, 0, 0)
    assert made() == [day(8), day(9), "rest"]
    keep(day(7), "late")
    assert kept() == [("early", "rest"), ("late", "rest")]


def test_a_reader_keeps_a_partition_from_being_dropped_for_a_moment_only(
    actor: Callable[[], Actor],
) -> None:
    sql(f"CREATE TABLE {FINISHED}_20200101 PARTITION OF {FINISHED} FOR VALUES IN (20200101)")
    keep(20200101)
    reader = actor()
    reader.begin()
    assert reader.sql(COUNT) == [(1,)]

    while_read = upkeep(connection, FINISHED, [])
    keep(day(30), "written meanwhile")
    still_there = reader.sql(COUNT)
    reader.rollback()

    assert while_read == (0, 0, 0)
    assert still_there == [(2,)]
    assert upkeep(connection, FINISHED, []) == (0, 1, 0)
    assert [jid for jid, _ in kept()] == ["written meanwhile"]


def test_a_reader_of_the_rest_puts_off_new_partitions(actor: Callable[[], Actor]) -> None:
    reader = actor()
    reader.begin()
    reader.sql(COUNT)

    while_read = upkeep(connection, FINISHED, [1])
    reader.rollback()

    assert while_read == (0, 0, 0)
    assert upkeep(connection, FINISHED, [1]) == (3, 0, 0)


def test_a_row_that_is_written_while_its_partition_is_made_goes_there(
    actor: Callable[[], Actor],
) -> None:
    maker, writer = actor(), actor()
    maker.begin()
    assert maker.do(upkeep, connection, FINISHED, [7]) == (3, 0, 0)

    writing = writer.start_blocked(keep, day(7))
    maker.commit()

    writing.result(15)
    assert kept() == [("one", day(7))]


def test_a_writer_who_has_not_committed_puts_off_new_partitions(
    actor: Callable[[], Actor],
) -> None:
    writer = actor()
    writer.begin()
    writer.do(keep, day(1))

    while_written = upkeep(connection, FINISHED, [1])
    writer.rollback()

    assert while_written == (0, 0, 0)
    assert upkeep(connection, FINISHED, [1]) == (3, 0, 0)


def test_two_who_do_the_upkeep_at_once_make_each_partition_once(
    actor: Callable[[], Actor],
) -> None:
    one, two = actor(), actor()

    running = [each.start(upkeep, connection, FINISHED, [3]) for each in (one, two)]
    found = [each.result(15) for each in running]

    upkeep(connection, FINISHED, [3])
    assert sum(each.made for each in found) <= 3
    assert made() == [day(3), day(4), day(5), "rest"]


def test_other_tables_and_people_without_the_right_are_refused() -> None:
    sql("DROP ROLE IF EXISTS faktory_reader")
    sql("CREATE ROLE faktory_reader")
    try:
        sql("SET ROLE faktory_reader")
        with pytest.raises(Exception, match="not allowed for table 'faktory_django_finishedjob'"):
            upkeep(connection, FINISHED, [])
        sql("RESET ROLE")
        with pytest.raises(Exception, match="not allowed for table 'faktory_django_job'"):
            upkeep(connection, "faktory_django_job", [])
    finally:
        sql("RESET ROLE")
        sql("DROP ROLE faktory_reader")


def test_a_role_that_owns_nothing_does_the_upkeep() -> None:
    sql("DROP ROLE IF EXISTS faktory_worker_role")
    sql("CREATE ROLE faktory_worker_role")
    sql(f"GRANT SELECT, INSERT, DELETE ON {FINISHED} TO faktory_worker_role")
    try:
        sql("SET ROLE faktory_worker_role")
        found = upkeep(connection, FINISHED, [2])
    finally:
        sql("RESET ROLE")
        sql(f"REVOKE ALL ON {FINISHED} FROM faktory_worker_role")
        sql("DROP ROLE faktory_worker_role")

    assert found == (3, 0, 0)


def test_the_flush_of_a_transaction_test_case_empties_all_partitions() -> None:
    upkeep(connection, FINISHED, [7])
    keep(day(7))
    keep(day(30))

    call_command("flush", interactive=False, verbosity=0)

    assert kept() == []
