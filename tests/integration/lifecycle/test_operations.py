"""Operations: acts on everything that matches, in parts, to their end and on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import OperationalError, connection

from faktory_django.lifecycle import operations
from faktory_django.lifecycle.matching import Source
from faktory_django.lifecycle.run_next import run_next
from faktory_django.maintenance import Maintenance
from faktory_django.models import AuditEntry, Operation

from .stock import claim, column, count, counts, push_many, sql
from .test_matching import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PART", 10)
    monkeypatch.setattr(operations, "PASSED", 20)


def begin(target: str, search: str, act: str, **source: Any) -> Operation:
    found = Source(target, **source)
    return operations.begin(connection, found, search, act=act, user="ada", total=100)


def finish(operation: Operation) -> Operation:
    while operations.advance(connection, operation.pk, seconds=0):
        pass
    operation.refresh_from_db()
    return operation


@pytest.mark.parametrize(
    ("act", "left"), [("requeue", (50, 50)), ("run_next", (50, 50)), ("discard", (50, 0))]
)
def test_all_that_matches_is_done_in_parts(act: str, left: tuple[int, int]) -> None:
    fill("retries", 100)

    operation = finish(begin("retries", "queue:odd", act))

    assert (operation.state, operation.audit.count, operation.looked) == ("done", 50, 100)
    assert operation.ended_at is not None
    assert counts("retryjob", "job") == left
    assert set(column("retryjob", "queue")) == {"even"}


def test_a_search_for_contents_is_followed_to_the_end() -> None:
    fill("dead", 100)

    operation = finish(begin("dead", "args.user_id=7", "requeue"))

    assert operation.audit.count == 10
    assert set(column("job", "right(jid, 1)")) == {"7"}


def test_what_comes_in_afterwards_is_left_alone() -> None:
    fill("scheduled", 15)
    operation = begin("scheduled", "", "discard")
    fill("scheduled", 15)

    assert finish(operation).audit.count == 15
    assert count("scheduledjob") == 15


def test_a_queue_is_cleared_but_for_what_is_in_work() -> None:
    push_many(40)
    push_many(3, queue="other")
    claim(5)

    operation = finish(begin("waiting", "", "discard", queue="default"))

    assert operation.audit.count == 35
    assert counts("job", "ready") == (8, 3)
    assert operation.audit.what == "default"


def test_putting_all_of_a_queue_in_front_comes_to_an_end() -> None:
    jids = push_many(35)
    run_next("waiting", column("job", "id")[:15])

    operation = finish(begin("waiting", "", "run_next", queue="default"))

    assert (operation.state, operation.audit.count) == ("done", 20)
    assert counts("job", "ready") == (35, 35)
    assert [job.id for job in claim(35)] == column("job", "id")
    assert len(jids) == 35


def test_only_the_queues_of_the_person_are_touched() -> None:
    fill("retries", 40)

    operation = finish(begin("retries", "", "discard", queues=("odd",)))

    assert operation.audit.count == 20
    assert set(column("retryjob", "queue")) == {"even"}


def test_maintenance_finishes_what_nobody_looks_at() -> None:
    fill("retries", 100)
    operation = begin("retries", "", "kill")

    upkeep = Maintenance()
    while upkeep.operate(connection) is not None:
        assert Operation.objects.get().state == "running"

    operation.refresh_from_db()
    assert operation.state == "done"
    assert counts("retryjob", "deadjob") == (0, 100)


def test_two_at_it_do_no_part_twice(actor: Callable[[], Actor]) -> None:
    fill("retries", 30)
    operation = begin("retries", "", "requeue")
    other = actor()
    other.begin()
    other.sql("SELECT id FROM faktory_django_operation FOR UPDATE")

    assert not operations.advance(connection, operation.pk, seconds=5)
    assert count("job") == 0

    other.rollback()
    assert finish(operation).audit.count == 30
    assert count("job") == 30


def test_a_job_that_has_run_meanwhile_is_not_counted(actor: Callable[[], Actor]) -> None:
    fill("retries", 10)
    operation = begin("retries", "", "discard")
    other = actor()
    other.begin()
    other.sql("DELETE FROM faktory_django_retryjob WHERE jid = 'jid-3'")

    future = other_part = actor().start_blocked(
        operations.advance, connection, operation.pk, seconds=0
    )
    other.commit()

    assert future.result(15) is False
    assert other_part.done()
    operation.refresh_from_db()
    assert (operation.state, operation.audit.count) == ("done", 9)


def test_what_is_stopped_goes_no_further() -> None:
    fill("retries", 100)
    operation = begin("retries", "", "requeue")
    assert operations.advance(connection, operation.pk, seconds=0)

    assert operations.stop(connection, operation.pk)
    assert not operations.stop(connection, operation.pk)

    assert finish(operation).state == "stopped"
    assert (operation.audit.count, count("job")) == (10, 10)


def test_a_part_that_fails_is_undone_and_ends_the_operation() -> None:
    fill("retries", 30)
    operation = begin("retries", "", "kill")
    operations.advance(connection, operation.pk, seconds=0)
    sql("ALTER TABLE faktory_django_deadjob ADD CONSTRAINT no CHECK (jid <> 'jid-15') NOT VALID")

    try:
        finish(operation)
    finally:
        sql("ALTER TABLE faktory_django_deadjob DROP CONSTRAINT no")

    assert operation.state == "failed"
    assert operation.problem.startswith("IntegrityError")
    assert counts("retryjob", "deadjob") == (20, 10)
    assert AuditEntry.objects.get().count == 10


def test_a_database_that_does_not_answer_ends_no_operation(actor: Callable[[], Actor]) -> None:
    fill("retries", 10)
    operation = begin("retries", "", "discard")
    other = actor()
    other.begin()
    other.sql("DELETE FROM faktory_django_retryjob WHERE jid = 'jid-3'")
    sql("SET lock_timeout = '50ms'")

    try:
        with pytest.raises(OperationalError, match="lock timeout"):
            operations.advance(connection, operation.pk, seconds=0)
    finally:
        sql("SET lock_timeout = 0")
    other.rollback()

    operation.refresh_from_db()
    assert operation.state == "running"
    assert finish(operation).audit.count == 10


def test_nothing_to_do_costs_maintenance_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert Maintenance().operate(connection) is None


def test_old_entries_of_the_record_go() -> None:
    fill("retries", 5)
    old, new = begin("retries", "", "kill"), begin("retries", "", "kill")
    sql(
        "UPDATE faktory_django_auditentry SET at = at - interval '400 days 1 s' WHERE id = %(id)s",
        id=old.audit_id,
    )

    Maintenance().trim(connection)

    assert [operation.pk for operation in Operation.objects.all()] == [new.pk]
    assert [entry.pk for entry in AuditEntry.objects.all()] == [new.audit_id]
