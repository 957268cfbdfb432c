"""The checks that look at the database: only when databases are checked."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from django.core.checks import run_checks
from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db


def found(**asked: Any) -> list[tuple[str | None, str]]:
    """Return our own messages of manage.py check."""
    ours = [m for m in run_checks(**asked) if (m.id or "").startswith("faktory_django.")]
    return [(message.id, message.msg) for message in ours]


def test_a_server_that_is_new_enough_is_right() -> None:
    assert found(databases=["default"]) == []


def test_a_server_that_is_too_old_is_named_when_databases_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(vars(connections["default"]), "pg_version", 140_012)

    assert found() == []
    assert found(databases=["default"]) == [
        ("faktory_django.E005", "PostgreSQL 15 or newer is needed, 'default' is 140012")
    ]


@pytest.fixture
def lite() -> Iterator[str]:
    """Return an alias of a database that is not PostgreSQL."""
    connections.settings["lite"] = {
        **copy.deepcopy(connections["default"].settings_dict),
        "ENGINE": "django.db.backends.sqlite3",
    }
    # asked by the checks of models, of a database that nobody may connect to here
    connections["lite"].features.__dict__["supports_json_field"] = True
    yield "lite"
    del connections["lite"]
    del connections.settings["lite"]


def test_a_database_that_is_not_postgresql_is_named(lite: str, override_faktory: Any) -> None:
    override_faktory(DATABASE=lite)

    assert found() == [("faktory_django.E004", "database 'lite' must be PostgreSQL, it is sqlite")]
