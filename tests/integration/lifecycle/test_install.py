"""Install: what migrations cannot hold is there, in any schema and however the tables came."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from faktory_django.errors import DatabaseNotReady
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.install import (
    FUNCTIONS,
    STORAGE,
    UNANALYZED,
    check_database,
    install,
    unknown_migrations,
)
from faktory_django.lifecycle.partitions import FINISHED, upkeep
from faktory_django.lifecycle.push import push

from .dsn import database_url
from .stock import a_push, claimed_jids, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

SCHEMAS = ("faktory_one", "faktory_two")


def functions(schema: str = "public") -> set[str]:
    return {
        row[0]
        for row in sql(
            "SELECT proname FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace"
            " AND proname LIKE 'faktory_django_%%'",
            schema=schema,
        )
    }


def test_a_migrated_database_serves() -> None:
    check_database(connection)

    assert len(functions()) == len(FUNCTIONS)


def test_installing_again_changes_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        install(connection)

    assert not [query for query in queries if query["sql"].startswith("ALTER TABLE")]
    check_database(connection)


def test_tables_have_their_storage_options() -> None:
    for table, options in STORAGE.items():
        found = sql(
            "SELECT array_to_string(reloptions, ', ') FROM pg_class"
            " WHERE oid = to_regclass(%(table)s)",
            table=table,
        )
        assert found == [(options.replace(" = ", "="),)]


def test_what_comes_and_goes_is_not_analyzed() -> None:
    sql("ALTER TABLE faktory_django_ready ALTER fair_key SET STATISTICS -1")

    install(connection)

    for table, columns in UNANALYZED.items():
        found = sql(
            "SELECT attname FROM pg_attribute"
            " WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND attstattarget = 0"
            " ORDER BY attnum",
            table=table,
        )
        assert [name for (name,) in found] == list(columns)


def test_lost_storage_options_come_back() -> None:
    sql("ALTER TABLE faktory_django_job RESET (toast_tuple_target)")

    install(connection)

    test_tables_have_their_storage_options()


@pytest.mark.parametrize("name", ["push", "schedule", "turn", "wake", "add"])
def test_a_missing_function_is_named_with_what_to_do(name: str) -> None:
    sql(f"ALTER FUNCTION faktory_django_{name}_v1 RENAME TO hidden")

    with pytest.raises(DatabaseNotReady) as refused:
        check_database(connection)

    sql(f"ALTER FUNCTION hidden RENAME TO faktory_django_{name}_v1")
    assert str(refused.value) == (
        f"database 'default' has no function faktory_django_{name}_v1: "
        "run manage.py migrate --database default"
    )


def test_migrate_repairs_what_is_missing() -> None:
    sql("DROP FUNCTION faktory_django_wake_v1")

    call_command("migrate", verbosity=0)

    check_database(connection)


def test_a_server_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faktory_django.lifecycle.install.MINIMUM_VERSION", 990_000)

    with pytest.raises(DatabaseNotReady, match="PostgreSQL 15 or newer is needed, this one is 1"):
        check_database(connection)


def test_a_database_of_this_version_has_no_unknown_migrations() -> None:
    assert unknown_migrations(connection) == []


def test_migrations_of_a_later_version_are_named(actor: Callable[[], Actor]) -> None:
    later = actor()
    later.begin()
    later.sql(
        "INSERT INTO django_migrations (app, name, applied)"
        " VALUES ('faktory_django', '9999_later', now()), ('other', '9999_other', now())"
    )

    found = later.do(lambda: unknown_migrations(connection))

    later.rollback()
    assert found == ["9999_later"]


def test_a_database_without_migrations_has_no_unknown_ones(actor: Callable[[], Actor]) -> None:
    elsewhere = actor()
    elsewhere.sql("SET search_path = pg_catalog")

    assert elsewhere.do(lambda: unknown_migrations(connection)) == []


@pytest.fixture
def schemas(store: None) -> Iterator[None]:  # noqa: ARG001
    """Two instances of the tables in schemas of their own."""
    for schema in SCHEMAS:
        sql(f"CREATE SCHEMA {schema}")
        sql(f"SET search_path = {schema}")
        call_command("migrate", "faktory_django", verbosity=0)
    sql("RESET search_path")
    yield
    for schema in SCHEMAS:
        sql(f"DROP SCHEMA {schema} CASCADE")


def in_schema(actor: Actor, schema: str) -> Actor:
    actor.sql(f"SET search_path = {schema}")
    return actor


@pytest.mark.usefixtures("schemas")
def test_two_instances_in_one_database_do_not_see_each_other(
    actor: Callable[[], Actor],
) -> None:
    one, two = (in_schema(actor(), schema) for schema in SCHEMAS)
    with_levels = [a_push("a", priority=5), a_push("b")]

    one.do(push, with_levels)

    assert two.do(claimed_jids) == claimed_jids() == []
    assert one.do(claimed_jids) == ["a", "b"]
    assert all(len(functions(schema)) == len(FUNCTIONS) for schema in SCHEMAS)


@pytest.mark.usefixtures("schemas")
def test_each_instance_has_partitions_of_its_own(actor: Callable[[], Actor]) -> None:
    one = in_schema(actor(), SCHEMAS[0])

    made = one.do(lambda: upkeep(connection, FINISHED, [7]))

    assert made == (3, 0, 0)
    in_schemas = sql(
        "SELECT i.inhparent::regclass::text, count(*) FROM pg_inherits i"
        " WHERE i.inhparent::regclass::text LIKE 'faktory_%%.%%finishedjob' GROUP BY 1 ORDER BY 1"
    )
    assert in_schemas == [
        (f"{SCHEMAS[0]}.faktory_django_finishedjob", 4),
        (f"{SCHEMAS[1]}.faktory_django_finishedjob", 1),
    ]


@pytest.mark.usefixtures("schemas")
def test_two_instances_in_one_database_do_not_wake_each_other(
    actor: Callable[[], Actor], heard: Callable[[], list[str]]
) -> None:
    one, two = (in_schema(actor(), schema) for schema in SCHEMAS)
    for each in (one, two):
        each.do(lambda: Consumer("idle", listens=True).turn(connection, ["default"], 1))
    Consumer("idle in public", listens=True).turn(connection, ["default"], 1)

    one.do(push_one)
    two.do(push_one)
    assert heard() == []

    push_one()
    assert heard() == ["idle in public"]


WITHOUT_MIGRATIONS = """
import pytest
from django.db import connection
from faktory_django.lifecycle.install import check_database
from faktory_django.lifecycle.push import Push, push

@pytest.mark.django_db
def test_a_push():
    check_database(connection)
    push([Push("default", "x", "noop", "{}")])

@pytest.mark.django_db(transaction=True)
def test_after_a_flush():
    push([Push("default", "x", "noop", "{}")])

def test_again(transactional_db):
    test_after_a_flush()
"""


def test_a_database_made_without_migrations_serves(tmp_path: Path) -> None:
    (tmp_path / "test_without_migrations.py").write_text(WITHOUT_MIGRATIONS)

    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--nomigrations", "-p", "no:cacheprovider"),
            *("-p", "tests.conftest", "--ds=tests.settings", "-c", os.devnull),
            *(f"--rootdir={tmp_path}", str(tmp_path)),
        ],
        env={**os.environ, "DATABASE_URL": database_url("without_migrations")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "3 passed" in ended.stdout, ended.stdout + ended.stderr
