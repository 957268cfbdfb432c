"""A batch is cancelled: what waits of it goes, nothing follows, and nobody waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import batch, batch_cancel
from faktory_django.lifecycle.batch_cancel import cancel, discard_left_over
from faktory_django.lifecycle.batch_fold import fold_all
from faktory_django.lifecycle.fail import fail
from faktory_django.maintenance import Maintenance

from .batches import ack, followed, join, make, status
from .stock import claim, column, counts, failing, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def test_what_waits_is_discarded_wherever_it_is() -> None:
    make("complete", "success", "dead")
    join("retry-0001", "dead-00001", "runs-00001")
    first, second, _ = claim(3)
    fail(connection, [failing(first), failing(second, kill=True)])
    fold_all(connection)
    join("later-0001", delay_seconds=1_000.0)
    join("waits-0001")
    push_one("other-0001")
    batch.commit(connection, "b-1")
    before = followed()

    found = cancel(connection, "b-1")

    assert (found.bids, found.discarded, found.running) == (["b-1"], 3, ["runs-00001"])
    assert counts("retryjob", "scheduledjob", "deadjob") == (0, 0, 1)
    assert {"other-0001", "runs-00001"} == set(column("job")) - {"dead-b-1"}
    fold_all(connection)
    assert followed() == before
    assert (status().state, status().discarded, status().failed) == ("cancelled", 3, 1)


def test_nothing_follows_when_the_job_that_ran_has_ended() -> None:
    make("complete", "success")
    join("runs-00001")
    batch.commit(connection, "b-1")
    (job,) = claim(1)
    cancel(connection, "b-1")

    ack(job)
    fold_all(connection)

    assert (followed(), status().state) == ([], "cancelled")


def test_a_cancelled_batch_takes_no_jobs_and_is_not_opened() -> None:
    make()
    cancel(connection, "b-1")

    assert [r.message for r in join("job-00001")] == ["batch b-1 is cancelled"]
    with pytest.raises(LookupError):
        batch.reopen(connection, "b-1")
    with pytest.raises(LookupError):
        make(bid="b-2", parent="b-1")


def test_children_are_cancelled_and_a_parent_goes_on() -> None:
    make("complete", "success", bid="b-p")
    make("success", bid="b-c", parent="b-p")
    make("success", bid="b-g", parent="b-c")
    join("child-0001", bid="b-c")
    join("grand-0001", bid="b-g")
    for bid in ("b-g", "b-c", "b-p"):
        batch.commit(connection, bid)
    assert followed() == []

    found = cancel(connection, "b-c")
    fold_all(connection)

    assert (found.bids, found.discarded) == (["b-c", "b-g"], 2)
    assert [status(bid).state for bid in ("b-c", "b-g")] == ["cancelled", "cancelled"]
    assert followed() == ["complete-b-p"]


@pytest.mark.parametrize("bid", ["b-1", "b-none"])
def test_what_has_ended_or_is_not_there_is_not_cancelled(bid: str) -> None:
    make(commit=True)

    assert cancel(connection, bid) == ([], 0, [])

    assert status().state == "success"


def test_a_batch_is_cancelled_once() -> None:
    make(bid="b-p")
    make(bid="b-c", parent="b-p")
    cancel(connection, "b-c")

    assert cancel(connection, "b-c").bids == []

    fold_all(connection)
    assert column("batch", "children_complete") == [1, 0]


def test_what_a_job_leaves_for_a_retry_is_discarded_by_upkeep() -> None:
    make()
    join("runs-00001")
    batch.commit(connection, "b-1")
    (job,) = claim(1)
    assert cancel(connection, "b-1").running == ["runs-00001"]
    # its failure was under way when it was asked to stop
    sql("DELETE FROM faktory_django_cancel")
    fail(connection, [failing(job)])
    assert counts("retryjob") == (1,)

    Maintenance().trim(connection)

    assert counts("retryjob") == (0,)
    assert discard_left_over(connection) == 0


def test_a_job_that_runs_is_asked_to_stop_and_not_retried() -> None:
    make()
    join("runs-00001")
    batch.commit(connection, "b-1")
    (job,) = claim(1)

    cancel(connection, "b-1")

    assert column("cancel", order="job_id") == ["runs-00001"]
    (moved,) = fail(connection, [failing(job)])
    assert moved.fate == "cancelled"
    assert counts("job", "retryjob") == (0, 0)


def test_many_jobs_go_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_cancel, "PAGE", 2)
    make()
    join(*[f"job-0000{nr}" for nr in range(5)])

    assert cancel(connection, "b-1").discarded == 5


def test_a_fold_that_runs_meanwhile_is_not_in_the_way(actor: Callable[[], Actor]) -> None:
    make("complete")
    join("job-00001")
    batch.commit(connection, "b-1")
    ack(*claim(1))
    other = actor()
    other.begin()
    other.do(fold_all, connection)
    waiting = actor().start_blocked(lambda: cancel(connection, "b-1"))

    other.commit()

    assert waiting.result(15).bids == ["b-1"]
    assert followed() == ["complete-b-1"]
