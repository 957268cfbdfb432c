"""Many end the last jobs of a batch at one moment: what follows is pushed once."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction

from faktory_django.lifecycle import batch, mutate
from faktory_django.lifecycle.ack import LeaseAck, ack_last
from faktory_django.lifecycle.batch_cancel import cancel
from faktory_django.lifecycle.batch_fold import fold, fold_all
from faktory_django.lifecycle.by_jid import Holding, ack_jids
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Claimed, Consumer

from .actors import run_together, wait_until
from .batches import followed, join, make, run, settle, status
from .stock import claim, column, count, failing, jid_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("store")

ENDERS = 16


def acked(job: Claimed) -> None:
    done = LeaseAck(job.lease, False, [job.id], traited=True)
    assert Consumer("w").turn(connection, [], 0, [done]).lost == []


def acked_atomically(job: Claimed) -> None:
    with transaction.atomic():
        ack_last(job.id, job.lease, wait_seconds=1, run_seconds=1, using="default")


def failed(job: Claimed) -> None:
    assert fail(connection, [failing(job)])


def together(*acts: Callable[[], None]) -> None:
    """Run acts in threads with connections of their own, which begin at one moment."""
    barrier = threading.Barrier(len(acts))

    def begin(act: Callable[[], None]) -> Callable[[], None]:
        def run_it() -> None:
            connection.ensure_connection()
            barrier.wait(15)
            act()

        return run_it

    run_together(*[begin(act) for act in acts])


def folded(bid: str = "b-1") -> None:
    wait_until(lambda: fold(connection, [bid]) == [])


@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("end", [acked, acked_atomically, failed])
def test_callbacks_follow_once_whoever_ends_the_last_job(
    end: Callable[[Claimed], None], attempt: int
) -> None:
    make("complete", "success")
    join(*[f"member-{nr:03}-{attempt}" for nr in range(ENDERS)])
    batch.commit(connection, "b-1")
    found = claim(ENDERS)

    def ends(job: Claimed) -> Callable[[], None]:
        def act() -> None:
            end(job)
            folded()

        return act

    together(*[ends(job) for job in found])

    assert followed() == ["complete-b-1"]
    assert status().executed == ENDERS
    assert status().failed == (ENDERS if end is failed else 0)
    run(queue="callbacks")
    assert followed() == ([] if end is failed else ["success-b-1"])
    assert count("batchdelta") == 0


@pytest.mark.parametrize("attempt", range(5))
def test_the_last_ack_and_the_commit_meet(attempt: int) -> None:
    make("complete")
    join(f"member-{attempt}-1", f"member-{attempt}-2")
    one, two = claim(2)

    def ends(job: Claimed) -> Callable[[], None]:
        return lambda: (acked(job), folded())[1]  # type: ignore[func-returns-value]

    together(ends(one), ends(two), lambda: batch.commit(connection, "b-1"))

    settle("b-1")
    assert followed() == ["complete-b-1"]


@pytest.mark.parametrize("attempt", range(5))
def test_children_that_end_at_one_moment_let_their_parent_go_on_once(attempt: int) -> None:
    make("complete", "success", bid="b-p")
    children = [make(bid=f"b-c{nr}", parent="b-p") for nr in range(8)]
    for bid in children:
        join(f"member-{attempt}-{bid}", bid=bid)
        batch.commit(connection, bid)
    batch.commit(connection, "b-p")

    def ends(job: Claimed) -> Callable[[], None]:
        bid = jid_of(job).partition("-")[2].partition("-")[2]

        def act() -> None:
            acked(job)
            folded(bid)
            folded("b-p")

        return act

    together(*[ends(job) for job in claim(8)])

    wait_until(lambda: fold_all(connection) == [] and count("batchdelta") == 0)
    assert followed() == ["complete-b-p"]
    assert (status("b-p").children, column("batch", "children_success")[0]) == (8, 8)


@pytest.mark.parametrize("attempt", range(3))
def test_requeues_discards_and_acks_in_any_order_end_in_one_success(attempt: int) -> None:
    chances = random.Random(attempt)  # noqa: S311
    make("complete", "success", "dead")
    join(*[f"member-{nr:03}" for nr in range(40)], retry=2)
    batch.commit(connection, "b-1")

    def worker(seed: int) -> Callable[[], None]:
        def act() -> None:
            own = random.Random(seed)  # noqa: S311
            for _ in range(60):
                for job in claim(2, wid=f"w{seed}"):
                    own.choice([acked, acked, acked_atomically, failed])(job)
                if own.random() < 0.3:
                    _bring_back(own)
                fold_all(connection)

        return act

    together(*[worker(chances.randrange(10**6)) for _ in range(6)])
    _run_all(chances)
    settle("b-1")

    found = status()
    assert (found.total, found.pending, found.failed, found.executed) == (40, 0, 0, 40)
    assert (found.complete_st, found.success_st) == ("2", "2")
    assert (count("batchdelta"), count("batchfailure")) == (0, 0)


def _run_all(chances: random.Random) -> None:
    while any(count(table) for table in ("retryjob", "deadjob", "job")):
        _bring_back(chances, keep=True)
        for job in [*claim(100), *claim(100, "callbacks")]:
            acked(job)
        fold_all(connection)


def _bring_back(chances: random.Random, *, keep: bool = False) -> None:
    acts: list[tuple[str, Any]] = [("retries", mutate.requeue), ("dead", mutate.requeue)]
    if not keep:
        acts += [("retries", mutate.discard), ("retries", mutate.kill)]
    chances.shuffle(acts)
    for place, act in acts if keep else acts[:1]:
        table = {"retries": "retryjob", "dead": "deadjob"}[place]
        act(place, column(table, "id")[:5])


def cancels() -> None:
    assert cancel(connection, "b-1").bids == ["b-1"]


@pytest.mark.parametrize("attempt", range(5))
def test_a_cancel_and_the_last_ack_meet(attempt: int) -> None:
    make("complete", bid="b-1")
    join(f"member-{attempt}", "member-waits")
    batch.commit(connection, "b-1")
    (job,) = claim(1)

    together(
        lambda: (acked(job), folded())[1],  # type: ignore[func-returns-value]
        cancels,
    )

    settle("b-1")
    assert followed() == []
    assert status().state == "cancelled"


def test_callbacks_of_jobs_on_the_wire_follow_once() -> None:
    make("complete")
    join(*[f"member-{nr:03}" for nr in range(ENDERS)])
    batch.commit(connection, "b-1")
    claim(ENDERS, each=True)

    def ends(nr: int) -> Callable[[], None]:
        def act() -> None:
            assert ack_jids([Holding(f"member-{nr:03}")]) == 1
            wait_until(lambda: fold_all(connection) == [])

        return act

    together(*[ends(nr) for nr in range(ENDERS)])

    settle("b-1")
    assert followed() == ["complete-b-1"]
