"""Flush: all jobs go, the list of queues, the pauses and the processes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import flush, info, queues, stats
from faktory_django.lifecycle.beat import ProcessInfo, register

from .stock import claim, column, counts, push_many, push_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")
GONE = ("job", "ready", "lease", "scheduledjob", "counter", "counterdelta")


def fill() -> None:
    """Put something everywhere."""
    register(connection, ProcessInfo("w", "host", 1, "1", 10, ("default",)))
    push_many(3)
    push_one(delay_seconds=60.0)
    queues.pause("default")
    claim(1)
    stats.fold(connection)
    push_one()


def test_a_flush_leaves_queues_pauses_and_processes() -> None:
    fill()

    flush.flush(connection)

    assert counts(*GONE) == (0,) * len(GONE)
    assert column("queue", "name || paused", "name") == ["defaulttrue"]
    assert counts("process") == (1,)
    assert info.info(connection).queues == {"default": 0}


def test_large_tables_are_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flush, "SMALL", 1)
    fill()

    flush.flush(connection)

    assert counts(*GONE) == (0,) * len(GONE)


def test_an_open_transaction_does_not_hold_up_the_flush_of_large_tables(
    monkeypatch: pytest.MonkeyPatch, actor: Callable[[], Actor]
) -> None:
    monkeypatch.setattr(flush, "SMALL", 1)
    fill()
    pusher = actor()
    pusher.begin()
    pusher.do(push_one, "late-12345")

    flush.flush(connection)
    pusher.commit()

    assert column("job") == ["late-12345"]
