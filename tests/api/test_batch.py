"""Batches in Python: what joins them, who their parent is, what follows, what a rollback leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

import faktory_django
from faktory_django import (
    Batch,
    BatchClosed,
    InvalidOption,
    Signature,
    UnknownBatch,
    current_job,
    job,
    models,
)
from faktory_django.lifecycle.batch_fold import fold_all
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


def work_job(**options: Any) -> faktory_django.Job[..., Any]:
    @job(name="work", **options)
    def work(*args: Any) -> None:
        ran.append(("work", *args))

    return work


def follow_job(**options: Any) -> faktory_django.Job[..., Any]:
    @job(name="follow", **options)
    def follow(*args: Any) -> None:
        batch = current_job().batch
        ran.append(("follow", *args, batch.bid if batch else None))

    return follow


def customs() -> list[dict[str, Any]]:
    """Return the custom attributes of the jobs that wait, in order."""
    bodies = models.Job.objects.order_by("id").values_list("body", flat=True)
    return [json.loads(body).get("custom", {}) for body in bodies]


def test_what_is_pushed_in_the_block_joins_and_the_callbacks_follow() -> None:
    work, follow = work_job(), follow_job()
    with Batch("import", success=follow.s("success"), complete=follow.s("complete")) as batch:
        work.perform_async(1)
        work.perform_bulk([[2], [3]])
        work.perform_in(60, 4)
    assert batch.status().state == "running"
    assert (batch.status().total, batch.status().description) == (4, "import")

    drain()
    assert ran == [("work", 1), ("work", 2), ("work", 3)]
    assert (batch.status().pending, batch.status().percent) == (1, 75)
    models.ScheduledJob.objects.get()
    from faktory_django.lifecycle.mutate import requeue

    requeue("scheduled", [models.ScheduledJob.objects.get().pk])
    drain()

    assert ran[3:] == [
        ("work", 4),
        ("follow", "complete", batch.bid),
        ("follow", "success", batch.bid),
    ]
    status = Batch.find(batch.bid).status()
    assert (status.state, status.percent, status.pending) == ("success", 100, 0)
    assert (status.complete, status.success, status.is_over) == ("done", "done", True)


def test_what_is_pushed_after_the_block_does_not_join() -> None:
    work = work_job()
    with Batch() as batch:
        work.perform_async(1)
        work.set(batch=None).perform_async(2)
    work.perform_async(3)

    assert customs() == [{"bid": batch.bid}, {}, {}]
    assert repr(batch) == f"<Batch {batch.bid}>"


def test_custom_attributes_are_kept() -> None:
    work = work_job(custom={"tenant": 7})
    with Batch() as batch:
        work.perform_async()
        work.perform_bulk([[1]])

    assert customs() == [{"tenant": 7, "bid": batch.bid}] * 2


def test_a_block_that_raises_leaves_neither_batch_nor_jobs() -> None:
    work = work_job()
    batch = Batch()

    def fail() -> None:
        with batch:
            work.perform_async(1)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()

    assert (models.Batch.objects.count(), models.Job.objects.count()) == (0, 0)
    with batch:
        work.perform_async(2)
    assert batch.status().total == 1


def test_a_transaction_around_it_that_is_rolled_back_leaves_nothing() -> None:
    work = work_job()
    with transaction.atomic():
        with Batch(success=work.s("never")):
            pass
        transaction.set_rollback(True)

    assert (models.Batch.objects.count(), models.Job.objects.count()) == (0, 0)


def test_add_pushes_signatures_in_and_out_of_a_block() -> None:
    work = work_job()
    batch = Batch()
    [one] = batch.add(work.s(1).set(priority=3))
    assert one
    with Batch.open(batch.bid) as again:
        again.add(work.s(2), work.s(3))

    assert batch.status().total == 3
    assert list(models.Job.objects.order_by("id").values_list("priority", flat=True)) == [3, 0, 0]


def test_a_block_in_a_block_is_its_child_and_pushes_join_the_inner_one() -> None:
    work, follow = work_job(), follow_job()
    with Batch(success=follow.s("outer")) as outer:
        work.perform_async(1)
        with Batch(success=follow.s("inner")) as inner:
            work.perform_async(2)
        with Batch(parent=None) as alone:
            work.perform_async(3)
        work.perform_async(4)
    assert [custom["bid"] for custom in customs()] == [
        outer.bid,
        inner.bid,
        alone.bid,
        outer.bid,
    ]
    assert (inner.status().parent, alone.status().parent) == (outer.bid, None)
    assert outer.status().children == 1

    drain()

    assert ran[4:] == [("follow", "inner", inner.bid), ("follow", "outer", outer.bid)]


@pytest.mark.parametrize("given", ["batch", "bid"])
def test_a_parent_is_named(given: str) -> None:
    parent = Batch()
    with parent:
        pass
    with Batch(success=work_job().s(), parent=parent if given == "batch" else parent.bid) as child:
        pass

    assert child.status().parent == parent.bid
    assert customs() == [{"_bid": child.bid, "_pbid": parent.bid}]


def test_a_job_adds_jobs_to_its_batch_and_makes_children() -> None:
    follow = follow_job()
    work = work_job()

    @job
    def splits() -> None:
        batch = current_job().batch
        assert batch is not None
        with batch:
            work.perform_async("added")
        with Batch(success=follow.s("child")) as child:
            work.perform_async("of the child")
        work.perform_async("outside")
        ran.append(child.status().parent)

    with Batch(success=follow.s("all")) as batch:
        splits.perform_async()

    drain()

    assert ran[0] == batch.bid
    assert ran[-1] == ("follow", "all", batch.bid)
    assert {entry[1] for entry in ran[1:]} == {"added", "of the child", "outside", "child", "all"}
    assert batch.status().total == 2


def test_a_job_outside_any_batch_has_none() -> None:
    @job
    def alone() -> None:
        ran.append(current_job().batch)

    alone.perform_async()
    drain()

    assert ran == [None]


def test_the_first_death_is_told() -> None:
    follow = follow_job()

    @job(retry=-1)
    def dies() -> None:
        raise ValueError("no")

    with Batch(on_dead=follow.s("dead"), success=follow.s("never")) as batch:
        dies.perform_async()

    drain(raise_errors=False)

    assert ran == [("follow", "dead", batch.bid)]
    assert (batch.status().failed, batch.status().state) == (1, "running")


def test_a_batch_that_cannot_succeed_any_more_has_failed() -> None:
    @job(retry=0)
    def gone() -> None:
        raise ValueError("no")

    with Batch() as batch:
        gone.perform_async()

    drain(raise_errors=False)

    status = batch.status()
    assert (status.state, status.lost, status.is_over) == ("failed", 1, True)


def test_a_cancelled_batch_takes_nothing_and_nothing_follows() -> None:
    work, follow = work_job(), follow_job()
    with Batch(success=follow.s(), complete=follow.s()) as batch:
        work.perform_bulk([[1], [2]])

    assert batch.cancel() == 2

    with pytest.raises(UnknownBatch), batch:
        pass
    with pytest.raises(BatchClosed, match=f"batch {batch.bid} is cancelled"):
        work.set(batch=batch).perform_async(1)
    drain()
    assert ran == []
    assert batch.status().state == "cancelled"


def test_a_committed_batch_is_opened_before_jobs_are_added() -> None:
    work = work_job()
    with Batch() as batch:
        work.perform_async(1)

    with pytest.raises(BatchClosed, match="is committed: open it to add jobs"):
        work.set(batch=batch).perform_async(2)

    assert models.Job.objects.count() == 1


@pytest.mark.parametrize("bid", ["b-none", "b\0", "", "x" * 300])
def test_a_batch_that_there_is_not_is_not_found(bid: str) -> None:
    with pytest.raises(UnknownBatch, match="no such batch"):
        Batch.find(bid)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Batch("x" * 1_001), "at most 1000 characters"),
        (lambda: Batch(7), "description must be a str"),  # type: ignore[arg-type]
        (lambda: Batch(success=print), "success must be a signature, such as job.s"),  # type: ignore[arg-type]
        (lambda: Batch(complete=1), "complete must be a signature"),  # type: ignore[arg-type]
        (lambda: Batch(on_dead="x"), "on_dead must be a signature"),  # type: ignore[arg-type]
        (lambda: Batch(using="none"), "using must be an alias"),
        (lambda: Batch(parent="nonsense").__enter__(), "parent must be the id of a batch"),
        (lambda: Batch().add(print), "add.. takes signatures"),  # type: ignore[arg-type]
        (lambda: work_job().set(batch="b-1"), "batch must be a Batch or None, got 'b-1'"),
        (lambda: work_job(custom={"bid": 7}).perform_async(), "bid must be the id of a batch"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        make()

    assert models.Job.objects.count() == 0


def test_a_job_of_another_database_does_not_join() -> None:
    work = work_job()
    batch = Batch()
    batch._using = "elsewhere"

    with pytest.raises(InvalidOption, match="cannot join a batch in 'elsewhere'"):
        work.set(batch=batch).perform_async()


def test_a_callback_is_checked_when_the_batch_is_made() -> None:
    @job
    def two(_a: int, _b: int) -> None:
        pass

    with pytest.raises(TypeError), Batch(success=two.s(1)):
        pass

    assert models.Batch.objects.count() == 0


def test_a_callback_that_a_middleware_stops_is_none(override_faktory: Callable[..., None]) -> None:
    follow = follow_job()
    override_faktory(PUSH_MIDDLEWARE=["tests.api.test_batch.stop_all"])

    with Batch(success=follow.s()) as batch:
        assert not follow.perform_async()

    assert batch.status().success is None
    assert models.Job.objects.count() == 0


def stop_all(_next: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda _push: None


def test_a_signature_is_a_job_with_its_arguments() -> None:
    work = work_job()
    one = work.s(1, 2)
    assert one == Signature(work, (1, 2), {})

    assert one.set(priority=5).push()
    assert async_to_sync(one.apush)()

    rows = models.Job.objects.order_by("id")
    assert [(row.priority, json.loads(row.body)["args"]) for row in rows] == [
        (5, [1, 2]),
        (0, [1, 2]),
    ]


@pytest.mark.django_db(transaction=True)
def test_async_code_has_batches_too() -> None:
    work, follow = work_job(), follow_job()

    async def push() -> Batch:
        async with Batch("async", success=follow.s("success")) as batch:
            await work.aperform_async(1)
            await batch.aadd(work.s(2))
        await work.aperform_async(3)
        assert (await batch.astatus()).total == 2
        assert (await Batch.afind(batch.bid)).description == "async"
        return batch

    batch = async_to_sync(push)()
    drain()

    assert ran == [("work", 1), ("work", 2), ("work", 3), ("follow", "success", batch.bid)]


@pytest.mark.django_db(transaction=True)
def test_async_code_that_raises_leaves_a_cancelled_batch() -> None:
    work = work_job()
    batch = Batch()

    async def push() -> None:
        async with batch:
            await work.aperform_async(1)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        async_to_sync(push)()

    assert batch.status().state == "cancelled"
    assert models.Job.objects.count() == 0


def test_a_fold_in_the_same_transaction_as_the_commit_pushes_what_follows() -> None:
    follow = follow_job()
    with Batch(complete=follow.s("empty")) as batch:
        pass

    drain()

    assert ran == [("follow", "empty", batch.bid)]
    assert fold_all(connection) == []
