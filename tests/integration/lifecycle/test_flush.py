"""Flush: all jobs go, the list of queues, the pauses and the processes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import OperationalError, connection

from faktory_django.lifecycle import flush, info, queues, stats
from faktory_django.lifecycle.beat import ProcessInfo, register

from .stock import claim, column, counts, push_many, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")
GONE = (
    *("job", "ready", "lease", "scheduledjob", "counter", "counterdelta"),
    *("finishedjob", "attempt", "logline"),
)


def fill() -> None:
    """Put something everywhere."""
    register(connection, ProcessInfo("w", "host", 1, "1", 10, ("default",)))
    push_many(3)
    push_one(delay_seconds=60.0)
    queues.pause("default")
    claim(1)
    stats.fold(connection)
    push_one()
    for table, more in (
        ("finishedjob", "outcome, finished_at, attempts"),
        ("attempt", "fate, at, number, errtype, message"),
        ("logline", "text, at, number"),
    ):
        values = ", ".join("now()" if name.endswith("at") else "'1'" for name in more.split(", "))
        sql(
            f"INSERT INTO faktory_django_{table} (bucket, jid, jobtype, queue, {more})"  # noqa: S608
            f" SELECT 20991231, 'a', 't', 'q', {values} FROM generate_series(1, 3)"
        )


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


def meet(one: Actor, two: Actor) -> Future[None]:
    """Let a flush and another transaction wait for each other; return the flush."""
    push_one()
    claim(1)
    # Whoever looks for a deadlock while there is one is the one to give way.
    one.sql("SET deadlock_timeout = '60s'")
    two.sql("SET deadlock_timeout = '2s'")
    one.begin()
    one.sql("SELECT id FROM faktory_django_job FOR UPDATE")
    flushing = two.start_blocked(lambda: flush.flush(connection))
    one.sql("SELECT id FROM faktory_django_lease FOR UPDATE")
    one.commit()
    return flushing


def test_a_flush_that_meets_a_deadlock_gives_way_and_begins_again(
    actor: Callable[[], Actor],
) -> None:
    meet(actor(), actor()).result(10)

    assert counts("job", "lease") == (0, 0)


def test_a_flush_does_not_begin_again_for_ever(
    actor: Callable[[], Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush, "ATTEMPTS", 1)

    with pytest.raises(OperationalError, match="deadlock detected"):
        meet(actor(), actor()).result(10)
