"""Info: what there is in the whole system, in few statements."""

from __future__ import annotations

import pytest
from django.db import connection

from faktory_django.lifecycle import info, queues
from faktory_django.lifecycle.beat import ProcessInfo, register
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.presence import WireWorker, arrive, depart

from .stock import ack_of, claim, end, failing, push_many, push_one, sql

pytestmark = pytest.mark.usefixtures("store")


def test_it_tells_of_queues_sets_and_totals() -> None:
    queues.declare(["default", "mail"])
    push_many(6)
    push_one(delay_seconds=60.0)
    jobs = claim(3)
    end(ack_of(jobs[0]))
    fail(connection, [failing(jobs[1])])
    fail(connection, [failing(*claim(1), kill=True)])
    claim(1, wid="remote", each=True)

    found = info.info(connection)

    assert found.queues == {"default": 1, "mail": 0}
    assert found.sets == {"scheduled": 1, "retries": 1, "dead": 1, "working": 2}
    assert (found.processed, found.failed) == (3, 2)


def test_workers_are_those_that_are_there() -> None:
    register(connection, ProcessInfo("python", "host", 1, "1", 10, ("default",)))
    register(connection, ProcessInfo("server", "host", 1, "1", 0, (), kind="server"))
    for wid in ("a", "b"):
        arrive(connection, WireWorker(wid))
    depart(connection, "b")

    assert info.info(connection).workers == 2


def test_large_counts_are_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info, "EXACT", 10)
    queues.declare(["default"])
    push_many(500)
    push_many(300, delay_seconds=60.0)
    sql("ANALYZE faktory_django_ready, faktory_django_scheduledjob")

    found = info.info(connection)

    assert found.queues["default"] == pytest.approx(500, rel=0.2)
    assert found.sets["scheduled"] == pytest.approx(300, rel=0.2)
