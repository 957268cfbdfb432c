"""The page about the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection
from django.urls import reverse

from faktory_django.dashboard.horizon import Holder
from faktory_django.dashboard.storage import Table, holders

if TYPE_CHECKING:
    from django.test import Client

    from .world import World


def holder(kind: str = "session", **facts: Any) -> Holder:
    given = {"name": "4711", "who": "report", "state": "active", "seconds": 2_460, "xids": 12_345}
    return Holder(kind, **{**given, **facts})


@pytest.mark.parametrize(
    ("found", "text", "advice"),
    [
        (
            holder(state="idle in transaction"),
            "Pid 4711 (report) has held back vacuum for 41 min.",
            "pg_terminate_backend(4711)",
        ),
        (
            holder(state="idle in transaction (aborted)"),
            "Pid 4711 (report) has held back vacuum for 41 min.",
            "idle_in_transaction_session_timeout",
        ),
        (holder(), "for 41 min.", "pg_cancel_backend(4711)"),
        (
            holder("prepared", name="pay-1", who="shop"),
            "The prepared transaction pay-1 of shop has held back vacuum for 41 min.",
            "ROLLBACK PREPARED",
        ),
        (
            holder("standby"),
            "The standby report (pid 4711) holds back vacuum with its queries.",
            "hot_standby_feedback",
        ),
        (
            holder("slot", name="copy", who="pgoutput", state="inactive", seconds=None),
            "The replication slot copy (pgoutput) holds back vacuum by 12,345 transactions.",
            "pg_drop_replication_slot",
        ),
        (holder("slot", seconds=None), "The replication slot", "Its reader lags"),
    ],
)
def test_a_holder_says_what_it_is_and_what_to_do(found: Holder, text: str, advice: str) -> None:
    assert text in found.text
    assert advice in found.advice


@pytest.mark.parametrize(
    ("facts", "grave"),
    [
        ({"seconds": 299}, False),
        ({"seconds": 300}, True),
        ({"seconds": None}, False),
        ({"seconds": None, "xids": 1_000_000}, True),
    ],
)
def test_it_is_grave_when_it_lasts(facts: dict[str, Any], grave: bool) -> None:
    assert holder(**facts).grave is grave


@pytest.mark.django_db
def test_a_transaction_that_was_left_open_is_found() -> None:
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(
        **{name: params[name] for name in names if name in params}, application_name="left open"
    ) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT 1")

        found = [h for h in holders(seconds=0) if h.name == str(other.info.backend_pid)]

        assert [(h.kind, h.who, h.state) for h in found] == [
            ("session", "left open", "idle in transaction")
        ]
        assert not [h for h in holders() if h.name == str(other.info.backend_pid)]


@pytest.mark.parametrize(
    ("live", "dead", "lags"),
    [(0, 0, False), (10, 100_000, False), (10, 200_000, True), (300_000, 200_000, False)],
)
def test_vacuum_lags_when_much_is_dead_and_more_than_lives(
    live: int, dead: int, lags: bool
) -> None:
    assert Table("t", "t", live, live, dead, 0, 0, None, None).lags is lags


def test_each_table_is_shown_with_its_size_and_what_is_kept(chief: Client, busy: World) -> None:
    del busy
    response = chief.get(reverse("faktory:storage"))

    tables = {table.name: table for table in response.context["tables"]}
    assert set(tables) == {
        model._meta.db_table for model in apps.get_app_config("faktory_django").get_models()
    }
    assert tables["faktory_django_counter"].table_bytes > 0
    assert tables["faktory_django_counter"].index_bytes > 0
    total = sum(table.table_bytes + table.index_bytes for table in tables.values())
    assert response.context["total_bytes"] == total
    kept = {one.setting: one for one in response.context["retention"]}
    assert kept["DEAD_MAX_DAYS"].limit == "180 d"
    assert kept["DEAD_MAX_DAYS"].oldest_at < kept["MINUTE_COUNTERS_DAYS"].oldest_at
    assert kept["HOUR_COUNTERS_DAYS"].oldest_at < kept["MINUTE_COUNTERS_DAYS"].oldest_at
    assert kept["HOUR_COUNTERS_DAYS"].limit == "35 d"
    assert kept["DAY_COUNTERS_DAYS"].oldest_at < kept["DEAD_MAX_DAYS"].oldest_at
    assert "DEAD_MAX_JOBS" in response.content.decode()


def test_an_empty_database_is_shown_too(chief: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(14):
        response = chief.get(reverse("faktory:storage"))

    assert response.status_code == 200
    assert {one.oldest_at for one in response.context["retention"]} == {None}
