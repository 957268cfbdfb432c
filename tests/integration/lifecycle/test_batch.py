"""Batches: what follows what, as a table; whoever ends the jobs (protocol section 9.3)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.db import OperationalError, connection, transaction

from faktory_django.errors import UnknownBatch
from faktory_django.features import batches
from faktory_django.lifecycle import batch, dead, mutate, queues, reap
from faktory_django.lifecycle.ack import ack_last
from faktory_django.lifecycle.batch_fold import fold, fold_all, fold_each
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.flush import flush
from faktory_django.lifecycle.retry import Error, Fate, Verdict
from faktory_django.maintenance import Maintenance

from .batches import a_callback, a_member, ack, followed, join, make, run, settle, status
from .stock import claim, column, count, counts, failing, move_back, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

ALL = ("complete", "success", "dead")


def in_work(**options: Any) -> Claimed:
    """Make a committed batch of one job, which is in work."""
    make(*ALL)
    join("job-00001", **options)
    batch.commit(connection, "b-1")
    (job,) = claim(1)
    return job


def fail_as(fate: Fate, **facts: Any) -> Callable[[], None]:
    def act() -> None:
        job = in_work()
        verdict = Verdict(fate, '"message":"no"}', delay_seconds=10.0)
        assert fail(connection, [Failing(job.id, job.lease, verdict, **facts)])

    return act


def done() -> None:
    ack(in_work())


def done_on_the_wire() -> None:
    make(*ALL)
    join("job-00001")
    batch.commit(connection, "b-1")
    claim(1, each=True)
    assert ack_jids([Holding("job-00001")]) == 1


def done_atomically() -> None:
    job = in_work()
    with transaction.atomic():
        ack_last(job.id, job.lease, wait_seconds=1, run_seconds=1, using="default")


def failed_on_the_wire() -> None:
    make(*ALL)
    join("job-00001")
    batch.commit(connection, "b-1")
    claim(1, each=True)
    assert fail_jids(connection, [Holding("job-00001")], [Error.cut("E", "no")]) == [True]


def crashed_for_the_last_time() -> None:
    assert reap.reap(connection, [in_work().lease], max_crashes=1) == 1


def crashed() -> None:
    assert reap.reap(connection, [in_work().lease], max_crashes=3) == 1


def killed() -> None:
    make(*ALL)
    join("job-00001")
    batch.commit(connection, "b-1")
    assert mutate.kill("waiting", column("job", "id")) == 1


def killed_in_retries() -> None:
    fail_as(Fate.RETRY)()
    assert mutate.kill("retries", column("retryjob", "id")) == 1


def discarded_waiting() -> None:
    make(*ALL)
    join("job-00001")
    batch.commit(connection, "b-1")
    assert mutate.discard("waiting", column("job", "id")) == 1


def discarded_in_retries() -> None:
    fail_as(Fate.RETRY)()
    assert mutate.discard("retries", column("retryjob", "id")) == 1


def discarded_dead() -> None:
    fail_as(Fate.DEAD)()
    settle()
    assert mutate.discard("dead", column("deadjob", "id")) == 1


def cleared() -> None:
    make(*ALL)
    join("job-00001")
    batch.commit(connection, "b-1")
    assert queues.clear("default") == 1


def purged() -> None:
    fail_as(Fate.DEAD)()
    settle()
    assert dead.purge(connection, max_days=1, max_jobs=0) == 1


def killed_and_purged() -> None:
    killed()
    settle()
    assert dead.purge(connection, max_days=1, max_jobs=0) == 1


def discarded_by_itself() -> None:
    fail_as(Fate.GONE, counts=False)()


def expired() -> None:
    fail_as(Fate.GONE, counts=False, outcome="expired")()


def cancelled() -> None:
    fail_as(Fate.GONE, counts=False, outcome="cancelled")()


@pytest.mark.parametrize(
    ("act", "follows", "pending", "failing_now", "state"),
    [
        (done, "complete", 0, 0, "running"),
        (done_on_the_wire, "complete", 0, 0, "running"),
        (done_atomically, "complete", 0, 0, "running"),
        (fail_as(Fate.RETRY), "complete", 1, 1, "running"),
        (failed_on_the_wire, "complete", 1, 1, "running"),
        (fail_as(Fate.SNOOZE), "", 1, 0, "running"),
        (crashed, "", 1, 0, "running"),
        (fail_as(Fate.DEAD), "dead complete", 1, 1, "running"),
        (crashed_for_the_last_time, "dead complete", 1, 1, "running"),
        (killed, "dead complete", 1, 0, "running"),
        (killed_in_retries, "dead complete", 1, 1, "running"),
        # gone without success: nothing can bring it back
        (fail_as(Fate.GONE), "dead complete", 1, 1, "failed"),
        (purged, "dead complete", 1, 1, "failed"),
        (killed_and_purged, "dead complete", 1, 1, "failed"),
        # somebody has decided that nobody waits for it
        (discarded_by_itself, "complete", 0, 0, "running"),
        (discarded_waiting, "complete", 0, 0, "running"),
        (discarded_in_retries, "complete", 0, 0, "running"),
        (discarded_dead, "dead complete", 0, 0, "running"),
        (cleared, "complete", 0, 0, "running"),
        (expired, "complete", 0, 0, "running"),
        (cancelled, "complete", 0, 0, "running"),
    ],
)
def test_what_follows_the_end_of_a_job(
    act: Callable[[], None], follows: str, pending: int, failing_now: int, state: str
) -> None:
    act()

    settle()

    assert followed() == [f"{name}-b-1" for name in follows.split()]
    found = status()
    assert (found.total, found.pending, found.failed, found.state) == (
        1,
        pending,
        failing_now,
        state,
    )


@pytest.mark.parametrize(
    ("act", "succeeds"),
    [(done, True), (discarded_waiting, True), (expired, True), (fail_as(Fate.RETRY), False),
     (fail_as(Fate.DEAD), False), (fail_as(Fate.GONE), False), (purged, False)],
)  # fmt: skip
def test_success_follows_when_the_complete_callback_is_done(
    act: Callable[[], None], succeeds: bool
) -> None:
    act()
    settle()
    assert "success-b-1" not in followed()

    run(queue="callbacks")

    assert ("success-b-1" in followed()) is succeeds
    assert status().complete_st == "2"


def test_each_callback_follows_once_and_says_how_far_it_is() -> None:
    make("complete", "success")
    join("job-00001")
    assert (status().complete_st, status().success_st, status().state) == ("", "", "open")
    batch.commit(connection, "b-1")
    run()
    assert (status().complete_st, status().success_st) == ("1", "")

    assert run(queue="callbacks") == ["complete-b-1"]
    assert (status().complete_st, status().success_st, status().state) == ("2", "1", "success")
    assert run(queue="callbacks") == ["success-b-1"]

    assert (status().complete_st, status().success_st) == ("2", "2")
    assert column("batch", "ended_at IS NOT NULL") == [True]
    settle()
    assert run(queue="callbacks") == []
    assert counts("batchdelta", "batchfailure", "job") == (0, 0, 0)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("complete",), ["complete-b-1"]),
        (("success",), ["success-b-1"]),
        (("complete", "success"), ["complete-b-1", "success-b-1"]),
        ((), []),
    ],
)
def test_callbacks_that_are_not_there_are_not_waited_for(
    names: tuple[str, ...], order: list[str]
) -> None:
    make(*names)
    join("job-00001")
    batch.commit(connection, "b-1")

    run()

    assert [jid for _ in range(2) for jid in run(queue="callbacks")] == order
    assert status().state == "success"


def test_a_job_that_fails_and_then_succeeds_holds_success_only_until_then() -> None:
    make(*ALL)
    join("job-00001", "job-00002")
    batch.commit(connection, "b-1")
    first, second = claim(2)
    fail(connection, [failing(first)])
    ack(second)
    settle()
    assert (status().executed, status().failed, status().pending) == (2, 1, 1)
    run(queue="callbacks")
    assert followed() == []

    mutate.requeue("retries", column("retryjob", "id"))
    run()

    assert followed() == ["success-b-1"]
    assert (status().executed, status().failed, status().pending) == (2, 0, 0)


def test_a_job_that_fails_again_and_again_counts_once() -> None:
    make("complete")
    join("job-00001", "job-00002")
    batch.commit(connection, "b-1")
    for _ in range(3):
        (job,) = [job for job in claim(2) if "job-00001" in job.body][:1]
        fail(connection, [failing(job)])
        settle()
        assert (status().executed, status().failed, followed()) == (1, 1, [])
        sql("DELETE FROM faktory_django_lease")
        mutate.requeue("retries", column("retryjob", "id"))


@pytest.mark.parametrize("kill", [killed, fail_as(Fate.DEAD), crashed_for_the_last_time])
def test_a_dead_job_holds_success_until_it_is_requeued_and_done(kill: Callable[[], None]) -> None:
    kill()
    settle()
    run(queue="callbacks")
    assert status().success_st == ""

    mutate.requeue("dead", column("deadjob", "id"))
    run()

    assert followed() == ["success-b-1"]
    assert (status().executed, status().failed, status().pending) == (1, 0, 0)


def test_a_killed_job_that_is_requeued_before_the_others_end_is_waited_for() -> None:
    make("complete")
    join("job-00001", "job-00002")
    batch.commit(connection, "b-1")
    mutate.kill("waiting", column("job", "id")[:1])
    mutate.requeue("dead", column("deadjob", "id"))

    assert run(wanted=1) == ["job-00002"]
    assert followed() == []

    run()
    assert followed() == ["complete-b-1"]


def test_the_first_death_is_told_once() -> None:
    make("dead")
    join("job-00001", "job-00002", retry=-1)
    batch.commit(connection, "b-1")
    for job in claim(2):
        fail(connection, [failing(job)])
        settle()

    assert followed() == ["dead-b-1"]
    run(queue="callbacks")
    assert column("batch", "dead_st") == ["2"]


def test_nothing_follows_before_the_commit() -> None:
    make("complete", "success")
    join("job-00001")
    run()
    assert (followed(), status().pending) == ([], 0)

    batch.commit(connection, "b-1")

    assert followed() == ["complete-b-1"]


def test_an_empty_batch_is_through_when_it_is_committed() -> None:
    make("complete", "success", commit=True)

    assert followed() == ["complete-b-1"]


def test_a_rollback_leaves_no_batch() -> None:
    with transaction.atomic():
        make("complete")
        join("job-00001")
        batch.commit(connection, "b-1")
        transaction.set_rollback(True)

    assert counts("batch", "batchdelta", "job", "ready") == (0, 0, 0, 0)


def test_a_scheduled_job_is_in_the_batch_too() -> None:
    make("complete")
    join("job-00001", delay_seconds=1_000.0)
    batch.commit(connection, "b-1")
    assert (status().total, followed()) == (1, [])

    mutate.requeue("scheduled", column("scheduledjob", "id"))
    run()

    assert followed() == ["complete-b-1"]


@pytest.mark.parametrize(
    ("bid", "why"),
    [
        ("b-none", "No such batch b-none"),
        ("b-committed", "batch b-committed is committed: open it to add jobs"),
        ("b-cancelled", "batch b-cancelled is cancelled"),
    ],
)
def test_a_batch_that_is_not_open_takes_no_jobs(bid: str, why: str) -> None:
    make(bid="b-committed", commit=True)
    make(bid="b-cancelled")
    sql("UPDATE faktory_django_batch SET cancelled_at = now() WHERE bid = 'b-cancelled'")

    refused = join("job-00001", "job-00002", bid=bid)

    assert [(r.place, r.code, r.message) for r in refused] == [(0, "BATCH", why), (1, "BATCH", why)]
    assert counts("job", "ready", "batchdelta") == (0, 0, 0)


def test_of_a_push_only_what_may_not_join_is_left_out() -> None:
    from faktory_django.lifecycle.push import push

    make()
    pushed = [a_member("job-00001"), a_member("job-00002", "b-none"), a_member("job-00003")]

    assert [refusal.place for refusal in push(pushed)] == [1]

    assert column("job") == ["job-00001", "job-00003"]
    assert status().total == 2


def test_a_batch_is_opened_again_and_committed_again() -> None:
    make("complete")
    join("job-00001")
    batch.commit(connection, "b-1")
    batch.reopen(connection, "b-1")
    join("job-00002")
    run()
    assert (followed(), status().total) == ([], 2)

    batch.commit(connection, "b-1")

    assert followed() == ["complete-b-1"]


def test_two_who_have_a_batch_open_wait_for_each_other() -> None:
    make("complete", commit=False)
    join("job-00001")
    batch.commit(connection, "b-1")
    batch.reopen(connection, "b-1")
    batch.reopen(connection, "b-1")
    batch.commit(connection, "b-1")
    assert join("job-00002") == []
    run()
    assert followed() == []

    batch.commit(connection, "b-1")

    assert followed() == ["complete-b-1"]


def test_a_batch_that_is_not_committed_is_opened_without_effect() -> None:
    make("complete")
    batch.reopen(connection, "b-1")

    batch.commit(connection, "b-1")

    assert followed() == ["complete-b-1"]


def test_a_job_of_the_batch_adds_jobs_without_opening_it() -> None:
    make("complete")
    join("job-00001")
    batch.commit(connection, "b-1")
    (job,) = claim(1)

    assert join("job-00002", custom={batches.BY: "job-00001"}) == []
    ack(job)
    settle()
    assert followed() == []

    run()
    assert followed() == ["complete-b-1"]


def test_nobody_adds_jobs_so_once_the_callback_has_followed() -> None:
    make("complete", commit=True)

    refused = join("job-00002", custom={batches.BY: "job-00001"})

    assert [r.message for r in refused] == ["batch b-1 is committed: open it to add jobs"]


@pytest.mark.parametrize("act", [batch.reopen, batch.commit])
def test_a_batch_that_there_is_not_is_not_opened_or_committed(act: Callable[..., None]) -> None:
    with pytest.raises(UnknownBatch, match="No such batch b-none"):
        act(connection, "b-none")


def test_no_batch_is_made_for_a_parent_that_there_is_not() -> None:
    with pytest.raises(UnknownBatch, match="No such batch b-none"):
        make(parent="b-none")

    assert count("batch") == 0


# children


def test_a_parent_waits_for_the_callbacks_of_its_children() -> None:
    make("complete", "success", bid="b-p")
    make("complete", "success", bid="b-c", parent="b-p")
    join("parent-001", bid="b-p")
    join("child-0001", bid="b-c")
    batch.commit(connection, "b-c")
    batch.commit(connection, "b-p")
    assert (status("b-p").total, status("b-p").children) == (1, 1)

    run()
    assert followed() == ["complete-b-c"]
    assert run(queue="callbacks") == ["complete-b-c"]
    assert followed() == ["success-b-c", "complete-b-p"]
    assert run(queue="callbacks") == ["success-b-c", "complete-b-p"]
    assert run(queue="callbacks") == ["success-b-p"]


def test_a_grandchild_holds_all_above_it() -> None:
    make("success", bid="b-p")
    make("success", bid="b-c", parent="b-p")
    make("success", bid="b-g", parent="b-c")
    join("grand-0001", bid="b-g")
    for bid in ("b-g", "b-c", "b-p"):
        batch.commit(connection, bid)
    assert followed() == []

    run("b-g")

    order = [jid for _ in range(4) for jid in run(queue="callbacks")]
    assert order == ["success-b-g", "success-b-c", "success-b-p"]


def test_a_child_without_callbacks_counts_when_its_jobs_are_through() -> None:
    make("success", bid="b-p")
    make(bid="b-c", parent="b-p")
    join("child-0001", bid="b-c")
    batch.commit(connection, "b-c")
    batch.commit(connection, "b-p")
    assert followed() == []

    run("b-c")

    assert followed() == ["success-b-p"]


def test_a_child_whose_job_is_dead_holds_success_and_not_complete() -> None:
    make("complete", "success", bid="b-p")
    make(bid="b-c", parent="b-p")
    join("child-0001", bid="b-c", retry=-1)
    batch.commit(connection, "b-c")
    batch.commit(connection, "b-p")
    fail(connection, [failing(claim(1)[0])])
    settle("b-c")
    assert run(queue="callbacks") == ["complete-b-p"]
    assert followed() == []

    mutate.requeue("dead", column("deadjob", "id"))
    run("b-c")

    assert followed() == ["success-b-p"]


def test_a_job_of_the_parent_makes_a_child_while_it_runs() -> None:
    make("success", bid="b-p")
    join("parent-001", bid="b-p")
    batch.commit(connection, "b-p")
    (job,) = claim(1)
    make("success", bid="b-c", parent="b-p")
    join("child-0001", bid="b-c")
    batch.commit(connection, "b-c")
    ack(job)
    settle()
    assert followed() == []

    run()

    assert [jid for _ in range(3) for jid in run(queue="callbacks")] == [
        "success-b-c",
        "success-b-p",
    ]


# callbacks


@pytest.mark.parametrize(
    ("fate", "counts_as_done"),
    [(Fate.RETRY, False), (Fate.DEAD, False), (Fate.SNOOZE, False), (Fate.GONE, True)],
)
def test_a_callback_that_fails_is_waited_for_as_long_as_it_may_succeed(
    fate: Fate, counts_as_done: bool
) -> None:
    make("complete", "success", commit=True)
    (job,) = claim(1, "callbacks")
    verdict = Verdict(fate, '"message":"no"}', delay_seconds=10.0)

    fail(connection, [Failing(job.id, job.lease, verdict)])
    settle()

    assert status().complete_st == ("2" if counts_as_done else "1")
    assert ("success-b-1" in followed()) is counts_as_done


def test_a_callback_that_was_dead_and_comes_back_counts() -> None:
    make("complete", "success", commit=True)
    (job,) = claim(1, "callbacks")
    fail(connection, [failing(job, kill=True)])
    mutate.requeue("dead", column("deadjob", "id"))

    run(queue="callbacks")

    assert followed() == ["success-b-1"]


def test_a_job_that_only_says_it_is_the_callback_changes_nothing() -> None:
    make("complete", "success", commit=True)
    traits = json.dumps(batches.traits({batches.OWN: "b-1"}))
    push_one("forged-0001", traits=traits)

    run()

    assert status().complete_st == "1"


def test_a_callback_may_be_scheduled_and_keeps_its_priority() -> None:
    later = a_callback("b-1", "complete") | {"at": "2999-01-01T00:00:00Z", "priority": 7}
    batch.make(connection, "b-1", callbacks={"complete": later})

    batch.commit(connection, "b-1")

    assert sql("SELECT jid, priority FROM faktory_django_scheduledjob") == [("complete-b-1", 7)]
    assert status().complete_st == "1"


def test_a_callback_that_its_own_batch_does_not_let_in_holds_nothing_up() -> None:
    wrong = {name: a_callback("b-1", name) for name in ALL}
    for callback in wrong.values():
        callback["traits"] = {"bid": "b-none"}
    batch.make(connection, "b-1", callbacks=wrong)
    join("job-00001", retry=-1)
    batch.commit(connection, "b-1")
    fail(connection, [failing(claim(1)[0])])
    settle()
    assert column("batch", "dead_st") == ["2"]

    mutate.requeue("dead", column("deadjob", "id"))
    run()

    assert (status().complete_st, status().success_st) == ("2", "2")
    assert count("job") == 0


# steps


def a_step(*jids: str, bid: str = "b-1", **facts: Any) -> dict[str, Any]:
    """Return a step of a chain."""
    jobs = []
    for nr, jid in enumerate(jids):
        pushed = a_member(jid, bid, custom={batches.BY: "chain", batches.STEP: [1, nr]})
        body = pushed.body.replace('"args":[]', '"args":["result of b-1"]')
        jobs.append(
            {
                "queue": pushed.queue,
                "priority": 0,
                "jid": jid,
                "jobtype": pushed.jobtype,
                "reserve_for": 1_800,
                "body": body,
                "traits": json.loads(pushed.traits or "null"),
            }
        )
    return {"jobs": jobs, **facts}


def test_steps_follow_each_other_before_the_callbacks() -> None:
    make("complete", "success", steps=[a_step("step-00001", "step-00002"), a_step("step-00003")])
    join("job-00001")
    batch.commit(connection, "b-1")
    assert (status().total, status().planned, status().percent) == (1, 3, 0)

    assert run() == ["job-00001"]
    assert (status().total, status().planned, status().percent) == (3, 1, 25)
    assert run(wanted=1) == ["step-00001"]
    assert followed() == []
    assert run() == ["step-00002"]
    assert run() == ["step-00003"]

    assert (status().total, status().planned, status().percent) == (4, 0, 100)
    assert followed() == ["complete-b-1"]


@pytest.mark.parametrize(
    ("of", "listed", "noted", "args"),
    [
        (1, False, {0: {"result": '{"a": [1, "x"]}'}}, [{"a": [1, "x"]}]),
        (1, False, {}, [None]),
        (1, False, {0: {"times": 1}}, [None]),
        (1, False, {0: {"result": "token", "mark": '{"encrypted": 1}'}}, [None]),
        (1, False, {0: {"result": '"2.50"', "mark": '{"kinds": {"": "decimal"}}'}}, ["2.50"]),
        (2, True, {0: {"result": "1"}, 1: {"result": '"two"'}}, [[1, "two"]]),
        (2, True, {1: {"result": '"two"'}}, [[None, "two"]]),
    ],
)
def test_a_step_takes_the_results_of_the_one_before(
    of: int, listed: bool, noted: dict[int, dict[str, Any]], args: list[Any]
) -> None:
    step = a_step("step-00001", takes='"result of b-1"', list=listed, of=of)
    make(steps=[step])
    for nr in range(of):
        join(f"job-0000{nr}", custom={batches.STEP: [0, nr]})
    batch.commit(connection, "b-1")
    jobs = claim(of)

    for nr, job in reversed(list(enumerate(jobs))):
        ack(job, notes={job.id: json.dumps(noted[nr])} if nr in noted else {})
    settle()

    (body,) = column("job", "body")
    assert json.loads(body)["args"] == args
    assert count("batchresult") == 0


def test_a_dead_step_holds_the_chain_until_it_is_done() -> None:
    make(*ALL, steps=[a_step("step-00001")])
    join("job-00001", retry=-1)
    batch.commit(connection, "b-1")
    fail(connection, [failing(claim(1)[0])])
    settle()
    assert followed() == ["dead-b-1"]

    mutate.requeue("dead", column("deadjob", "id"))
    run()

    assert run() == ["step-00001"]
    assert followed() == ["dead-b-1", "complete-b-1"]


def test_a_step_of_which_nothing_is_let_in_is_passed_over() -> None:
    closed = a_step("step-00001", bid="b-none")
    make("complete", steps=[closed, a_step("step-00002")])
    join("job-00001")
    batch.commit(connection, "b-1")

    run()

    assert run() == ["step-00002"]
    assert followed() == ["complete-b-1"]


# folds


def test_a_batch_that_somebody_has_locked_is_named_and_folded_later(
    actor: Callable[[], Actor],
) -> None:
    make("complete")
    join("job-00001")
    batch.commit(connection, "b-1")
    other = actor()
    other.begin()
    other.sql("SELECT FROM faktory_django_batch FOR NO KEY UPDATE")
    ack(*claim(1))

    assert fold(connection, ["b-1"]) == ["b-1"]
    assert fold_all(connection) == ["b-1"]
    assert followed() == []

    other.commit()
    assert fold_all(connection) == []
    assert followed() == ["complete-b-1"]


def test_a_push_into_a_batch_does_not_keep_it_from_being_folded(
    actor: Callable[[], Actor],
) -> None:
    make("complete")
    join("job-00001")
    other = actor()
    other.begin()
    other.do(join, "job-00002")
    ack(*claim(1))

    assert fold(connection, ["b-1"]) == []
    assert status().done == 1
    other.rollback()


def test_what_was_counted_of_a_batch_that_is_gone_leads_nowhere() -> None:
    make()
    join("job-00001")
    sql("DELETE FROM faktory_django_batch")
    ack(*claim(1))

    assert fold_all(connection) == []

    assert count("batchdelta") == 0


def test_nothing_to_fold_is_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert fold(connection, []) == []


def test_a_batch_that_cannot_be_folded_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    broken = a_callback("b-1", "complete") | {"priority": 99_999}
    batch.make(connection, "b-1", callbacks={"complete": broken})
    make("complete", bid="b-2")
    for bid in ("b-1", "b-2"):
        join(f"job-{bid}", bid=bid)
    sql("UPDATE faktory_django_batch SET committed_at = now(), opens = 0")
    ack(*claim(2))

    assert fold_each(connection, ["b-1", "b-2"]) == []

    assert followed() == ["complete-b-2"]
    assert "batch b-1 cannot be folded" in caplog.text


def test_a_fold_that_the_database_has_cut_short_is_not_taken_for_broken(
    actor: Callable[[], Actor],
) -> None:
    make("complete")
    join("job-00001")
    batch.commit(connection, "b-1")
    ack(*claim(1))
    other = actor()
    other.begin()
    other.sql("SELECT FROM faktory_django_batchdelta FOR UPDATE")

    sql("SET statement_timeout = 50")
    with pytest.raises(OperationalError):
        fold_each(connection, ["b-1"])
    sql("RESET statement_timeout")

    other.commit()
    assert fold_each(connection, ["b-1"]) == []
    assert followed() == ["complete-b-1"]


def test_upkeep_folds_what_nobody_has_folded() -> None:
    make("complete")
    join("job-00001")
    batch.commit(connection, "b-1")
    ack(*claim(1))

    Maintenance().fold_batches(connection)

    assert followed() == ["complete-b-1"]


def test_upkeep_looks_for_batches_when_there_is_something_to_fold() -> None:
    sql("TRUNCATE faktory_django_batchdelta")
    upkeep = Maintenance()
    (chore,) = (chore for chore in upkeep.chores if chore.name == "batches")
    later = time.monotonic() + 10
    chore.begun_at, chore.next_at = later - 15, later

    upkeep.promote_due(connection)
    assert chore.next_at == later

    make("complete")
    join("job-00001")
    upkeep.promote_due(connection)
    assert chore.next_at <= time.monotonic()


# forgotten


def test_a_batch_that_nobody_commits_is_forgotten_and_its_parent_goes_on() -> None:
    make("success", bid="b-p")
    make("success", bid="b-c", parent="b-p")
    join("child-0001", bid="b-c")
    batch.commit(connection, "b-p")
    assert batch.forget(connection, minutes=30) == 0
    move_back("batch", "opened_at", 1_860)

    assert batch.forget(connection, minutes=30) == 1
    fold_all(connection)

    assert column("batch", "bid") == ["b-p"]
    assert followed() == ["success-b-p"]
    assert run() == ["child-0001"]
    fold_all(connection)
    assert count("batchdelta") == 0


def test_a_batch_that_was_opened_again_and_left_so_is_closed() -> None:
    make("complete", commit=False)
    join("job-00001")
    batch.commit(connection, "b-1")
    batch.reopen(connection, "b-1")
    run()
    move_back("batch", "opened_at", 1_860)

    assert batch.forget(connection, minutes=30) == 1
    fold_all(connection)

    assert followed() == ["complete-b-1"]


def ended() -> None:
    make("success", commit=True)
    run(queue="callbacks")


def of_nothing_left() -> None:
    make("complete")
    join("job-00001", retry=0)
    batch.commit(connection, "b-1")
    fail(connection, [failing(claim(1)[0])])
    settle()
    run(queue="callbacks")


def with_a_waiting_job() -> None:
    make()
    join("job-00001")
    batch.commit(connection, "b-1")


def with_a_dead_job() -> None:
    with_a_waiting_job()
    mutate.kill("waiting", column("job", "id"))


def with_a_retry() -> None:
    with_a_waiting_job()
    fail(connection, [failing(claim(1)[0])])


def with_a_child() -> None:
    make(commit=True)
    sql("UPDATE faktory_django_batch SET success_st = ''")
    make(bid="b-2", parent="b-1", commit=False)


@pytest.mark.parametrize(
    ("prepare", "left"),
    [(ended, 0), (of_nothing_left, 0), (with_a_waiting_job, 1), (with_a_dead_job, 1),
     (with_a_retry, 1), (with_a_child, 2)],
)  # fmt: skip
def test_a_batch_is_kept_as_long_as_something_may_come_of_it(
    prepare: Callable[[], None], left: int
) -> None:
    prepare()
    before = count("batch")
    assert batch.trim(connection, days=30) == 0
    move_back("batch", "created_at", 31 * 86_400)
    move_back("batch", "changed_at", 31 * 86_400)

    batch.trim(connection, days=30)

    assert (before > 0, count("batch")) == (True, left)
    if not left:
        assert counts("batchfailure", "batchresult") == (0, 0)


def test_flush_empties_what_belongs_to_batches() -> None:
    with_a_retry()

    flush(connection)

    assert counts("batch", "batchdelta", "batchfailure", "retryjob") == (0, 0, 0, 0)


def test_a_text_with_nul_is_stored() -> None:
    make(description="a\0b")

    assert status().description == "a\ufffdb"
