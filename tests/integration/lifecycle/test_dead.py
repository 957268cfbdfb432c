"""Dead: jobs are kept for so many days, and the newest so many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle.dead import purge
from faktory_django.maintenance import Maintenance

from .stock import column, count, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def bury(count: int, *, days: float = 0) -> None:
    """Fill the dead set; a later one died later."""
    sql(
        "INSERT INTO faktory_django_deadjob"
        " (queue, priority, jid, jobtype, reserve_for, body, died_at)"
        " SELECT 'q', 0, 'd' || n, 't', 60, '{}',"
        " now() - %(days)s * interval '1 day' + n * interval '1 ms'"
        " FROM generate_series(1, %(count)s::int) n",
        count=count,
        days=days,
    )


def test_jobs_that_died_long_ago_are_deleted() -> None:
    bury(2, days=181)
    bury(1, days=179)

    assert purge(connection, max_days=180, max_jobs=100) == 2
    assert count("deadjob") == 1


def test_the_newest_jobs_are_kept() -> None:
    bury(5)

    assert purge(connection, max_days=180, max_jobs=2) == 3
    assert column("deadjob") == ["d4", "d5"]


def test_as_many_as_are_allowed_are_all_kept() -> None:
    bury(5)

    assert purge(connection, max_days=180, max_jobs=5) == 0


def test_none_may_be_kept() -> None:
    bury(2)

    assert purge(connection, max_days=180, max_jobs=0) == 2


def test_of_jobs_that_died_at_once_the_newest_are_kept() -> None:
    bury(4)
    sql("UPDATE faktory_django_deadjob SET died_at = now()")

    assert purge(connection, max_days=180, max_jobs=1) == 3
    assert column("deadjob") == ["d4"]


def test_a_purge_is_bounded_and_the_oldest_go_first() -> None:
    bury(5)

    assert purge(connection, max_days=180, max_jobs=1, limit=2) == 2
    assert column("deadjob") == ["d3", "d4", "d5"]


def test_a_purge_passes_by_what_a_person_acts_on(actor: Callable[[], Actor]) -> None:
    bury(3)
    other = actor()
    other.begin()
    other.sql("SELECT FROM faktory_django_deadjob ORDER BY id LIMIT 1 FOR UPDATE")

    assert purge(connection, max_days=180, max_jobs=0) == 2

    other.rollback()
    assert count("deadjob") == 1


def test_maintenance_comes_again_at_once_while_there_is_more_to_purge(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(DEAD_MAX_JOBS=10)
    bury(1_500)
    upkeep = Maintenance()

    again = [upkeep.trim(connection), upkeep.trim(connection)]

    assert (again, count("deadjob")) == ([0.0, None], 10)
