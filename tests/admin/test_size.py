"""Lists of any size cost the same: by index, within the window, in a fixed number of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from faktory_django.admin.window import WINDOW
from faktory_django.models import Job, RetryJob

from .conftest import act, list_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

ROWS = 100_000
ENTRIES = 30_000
IN_WORK = 20
# scheduled jobs have the columns and the indexes of retries
SETS = {"retryjob": "due_at", "deadjob": "died_at"}
TABLES = ["job", "ready", "lease", "counter", "queue", *SETS]


@pytest.fixture(scope="module")
def many(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Fill the tables once: many jobs in two queues, one of them small, and many entries."""
    del django_db_setup
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        _empty(cursor)
        _fill(cursor)
    yield
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            _empty(cursor)
        connections.close_all()


def _empty(cursor: Any) -> None:
    names = ", ".join(f"faktory_django_{table}" for table in TABLES)
    cursor.execute(f"TRUNCATE {names} RESTART IDENTITY")


def _fill(cursor: Any) -> None:
    columns = "queue, priority, jid, jobtype, reserve_for, body"
    row = (
        "CASE WHEN i % 1000 = 0 THEN 'small' ELSE 'default' END, 0, 'jid' || i,"
        " 'type' || i % 7, 60, '{}'"
    )
    series = "generate_series(1, {}) AS i"
    # a third of each set has one and the same time, as bulk pushes do
    when = "now() + CASE WHEN i % 3 = 0 THEN interval '0' ELSE i * interval '1 s' END"
    cursor.execute(
        f"INSERT INTO faktory_django_job ({columns}, enqueued_at)"  # noqa: S608
        f" SELECT {row}, now() FROM {series.format(ROWS)}"
    )
    cursor.execute(
        "INSERT INTO faktory_django_ready (queue, rank, pos, job_id)"
        " SELECT queue, 0, id, id FROM faktory_django_job WHERE id > %s",
        [IN_WORK],
    )
    cursor.execute(
        "INSERT INTO faktory_django_lease (wid, claimed_at, ids)"
        " SELECT 'w1', now(), array_agg(id) FROM faktory_django_job WHERE id <= %s",
        [IN_WORK],
    )
    for table, at in SETS.items():
        cursor.execute(
            f"INSERT INTO faktory_django_{table} ({columns}, {at})"  # noqa: S608
            f" SELECT {row}, {when} FROM {series.format(ENTRIES)}"
        )
    cursor.execute(
        "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype)"  # noqa: S608
        " SELECT 60, now() + i * interval '1 min', 'default', 'type' || i % 7"
        f" FROM {series.format(ROWS)}"
    )
    cursor.execute("INSERT INTO faktory_django_queue (name) VALUES ('default'), ('small')")
    for table in TABLES:
        cursor.execute(f"ANALYZE faktory_django_{table}")


def visit(client: Client, url: str) -> tuple[Any, list[str]]:
    """Return the page, the statements on our tables that it took."""
    with CaptureQueriesContext(connection) as queries:
        response = client.get(url)
    assert response.status_code == 200
    return response, [q["sql"] for q in queries if "faktory_django_" in q["sql"]]


def rows_touched(sql: str) -> int:
    """Return the most rows that one scan of a statement reads, as PostgreSQL counts them."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        plan = cursor.fetchone()[0][0]["Plan"]
    return _most(plan)


def _most(plan: dict[str, Any]) -> int:
    read = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    own = read * plan["Actual Loops"] if "Scan" in plan["Node Type"] else 0
    return max([int(own), *map(_most, plan.get("Plans", []))])


QUERIES = {
    "job": [
        *("", "?p=200", "?q=jid25000", "?queue=default", "?queue=small", "?state=waiting"),
        *("?state=in-work", "?jobtype=type3", "?jobtype=none", "?state=waiting&queue=default&p=3"),
    ],
    **{
        name: ["", "?p=200", "?q=jid25000", "?queue=small", "?jobtype=type3", "?jobtype=none"]
        for name in SETS
    },
    "counter": [
        "",
        "?p=200",
        "?resolution=60",
        "?resolution=3600",
        "?resolution=86400",
        "?jobtype=type3",
    ],
    "queue": [""],
}


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("model", QUERIES)
def test_no_list_reads_more_than_the_window(operator: Client, model: str) -> None:
    for query in QUERIES[model]:
        _, statements = visit(operator, list_url(model, query))

        assert len(statements) <= 9, query
        # the others are the life cycle's own, with caps of their own
        for sql in (s for s in statements if "$1" not in s):
            assert rows_touched(sql) <= WINDOW + 1 + IN_WORK, (query, sql)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("model", ["job", *SETS])
def test_the_number_of_queries_does_not_grow_with_the_rows(operator: Client, model: str) -> None:
    _, many_rows = visit(operator, list_url(model))
    _, few_rows = visit(operator, list_url(model, "?q=jid25000"))

    assert abs(len(many_rows) - len(few_rows)) <= 1


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("model", ["job", *SETS])
def test_a_long_list_says_that_it_ends_at_ten_thousand(operator: Client, model: str) -> None:
    page = visit(operator, list_url(model))[0].content.decode()

    assert "10000+: the list ends here" in page
    assert operator.get(list_url(model, "?p=201"))["Location"].endswith("?e=1")


@pytest.mark.usefixtures("many")
def test_a_job_is_found_by_its_jid_through_an_index(operator: Client) -> None:
    for model, index in (("job", "faktory_job_jid"), ("retryjob", "faktory_retry_jid")):
        _, statements = visit(operator, list_url(model, "?q=jid25000"))
        found = [sql for sql in statements if "'jid25000'" in sql and "django_track" not in sql]

        assert found
        for sql in found:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}")
                assert index in str(cursor.fetchall())


@pytest.mark.usefixtures("many")
def test_a_filter_by_jobtype_sees_the_window_only(operator: Client) -> None:
    first = RetryJob.objects.order_by("due_at", "id")[:WINDOW]
    expected = sum(jobtype == "type3" for jobtype in first.values_list("jobtype", flat=True))

    found = visit(operator, list_url("retryjob", "?jobtype=type3"))[0].context["cl"]

    assert found.result_count == expected


@pytest.mark.usefixtures("many")
def test_a_queue_of_many_jobs_says_so_without_counting_them(operator: Client) -> None:
    page = visit(operator, list_url("queue"))[0].content.decode()

    assert '?queue=default">10000+</a>' in page
    assert '?queue=small">100</a>' in page


@pytest.mark.usefixtures("many")
def test_all_that_is_listed_is_killed_in_one_post(operator: Client) -> None:
    act(operator, "retryjob", "kill", [1], select_across="1", query="?queue=small")

    assert RetryJob.objects.count() == ENTRIES - 10
    assert Job.objects.count() == ROWS
