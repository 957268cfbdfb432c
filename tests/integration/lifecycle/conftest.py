"""The store for tests of the life cycle: committed rows, other sessions, what listeners hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django.lifecycle.connection import execute
from faktory_django.notify import CHANNEL

from .actors import Actor
from .stock import empty_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:  # noqa: ARG001
    """Take the place of pytest-django's fixture, whose flush costs 100 ms a test.

    Under its name, for the plugin makes the database when a test asks for that.
    """
    with django_db_blocker.unblock():
        empty_tables()
        yield
        connection.close()
        empty_tables()


@pytest.fixture
def store(transactional_db: None) -> None:
    """Empty tables, and no transaction around the test."""


@pytest.fixture
def actor(store: None) -> Iterator[Callable[[], Actor]]:  # noqa: ARG001
    """Return a function that makes another session."""
    made: list[Actor] = []

    def make() -> Actor:
        made.append(Actor(f"actor-{len(made)}"))
        return made[-1]

    yield make
    for each in made:
        each.leave()


@pytest.fixture
def heard(actor: Callable[[], Actor]) -> Callable[[], list[str]]:
    """Listen in another session; return a function that says whom NOTIFY has named so far."""
    listener = actor()
    channel = listener.sql(f"SELECT {CHANNEL}")[0][0]
    listener.sql(f'LISTEN "{channel}"')
    wids: list[str] = []

    def hear() -> list[str]:
        # A notification that is sent before this round trip comes with it.
        def collect() -> None:
            execute(connection, "SELECT 1")
            wids.extend(n.payload for n in connection.connection.notifies(timeout=0))

        listener.do(collect)
        return wids

    return hear
