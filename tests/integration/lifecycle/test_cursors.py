"""Cursors: only who holds a job writes one, and they go when their job is nowhere any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.errors import ReservationLost
from faktory_django.lifecycle.cursors import Owner, Saved, load, named, save, trim
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back

from .stock import ack_of, claim, column, count, end, failing, jid_of, push_many, push_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def keep(job: Claimed, cursor: str = "[1]") -> Owner:
    owner = Owner(jid_of(job), "noop", "2026-01-01T00:00:00Z")
    save(connection, owner, Saved(cursor, None, False, 1), job=job.id, lease=job.lease)
    return owner


def test_the_latest_is_found_by_its_job_alone() -> None:
    push_one()
    (job,) = claim()
    owner = keep(job)
    keep(job, "[2]")

    assert load(connection, owner) == Saved("[2]", None, False, 1)
    for other in ({"jid": "x"}, {"jobtype": "x"}, {"created": "x"}):
        assert load(connection, owner._replace(**other)) is None
    rows = named(connection, [owner.jid, "x"])
    assert [row[:4] for row in rows] == [(owner.jid, "[2]", False, 1)]


def give_back(job: Claimed) -> None:
    hand_back(connection, job.lease, [job.id])


def crash(job: Claimed) -> None:
    reap(connection, [job.lease], max_crashes=3)


@pytest.mark.parametrize("leaves", [give_back, crash])
def test_who_does_not_hold_the_job_writes_nothing(leaves: Callable[[Claimed], None]) -> None:
    push_one()
    (job,) = claim()
    owner = keep(job)
    leaves(job)
    claim(wid="next")

    with pytest.raises(ReservationLost, match=f"job {owner.jid} is no longer held by lease"):
        keep(job, "[2]")

    assert column("cursor", "cursor", "jid") == ["[1]"]


def test_a_reap_waits_for_nobody_who_writes(actor: Callable[[], Actor]) -> None:
    push_one()
    (job,) = claim()
    writer = actor()
    writer.begin()
    writer.do(keep, job)

    assert reap(connection, [job.lease], max_crashes=3) == 0

    writer.commit()
    assert reap(connection, [job.lease], max_crashes=3) == 1
    assert count("cursor") == 1


def test_those_whose_job_is_nowhere_go_page_by_page() -> None:
    push_many(5)
    jobs = claim()
    owners = [keep(job) for job in jobs]
    waits, retried, dead, done, held = jobs
    hand_back(connection, waits.lease, [waits.id])
    fail(connection, [failing(retried), failing(dead, kill=True)])
    end(ack_of(done))
    push_one("later", delay_seconds=60.0)
    keep_for = owners[4]._replace(jid="later")
    save(connection, keep_for, Saved("[3]", None, False, 1), job=held.id, lease=held.lease)

    after, pages = "", 0
    while after := trim(connection, after=after, limit=2):
        pages += 1

    assert pages == 3
    alive = {jid_of(job) for job in (waits, retried, dead, held)} | {"later"}
    assert set(column("cursor", "jid", "jid")) == alive
    assert trim(connection) == ""
