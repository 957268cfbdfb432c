"""What becomes of a job that runs, seen by drain() on the test's own connection."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from faktory_django import (
    CurrentJob,
    Discard,
    InvalidQueueName,
    JobTimeout,
    Kill,
    Retry,
    Snooze,
    current_job,
    job,
)
from faktory_django.models import Counter, CounterDelta, DeadJob, Lease, RetryJob, ScheduledJob
from faktory_django.models import Job as Stored
from faktory_django.testing import drain
from tests.jobapp.jobs import noop

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def counts() -> tuple[int, int, int, int]:
    """Return how many jobs wait, are scheduled, will be retried, are dead."""
    return tuple(m.objects.count() for m in (Stored, ScheduledJob, RetryJob, DeadJob))  # type: ignore[return-value]


def test_drain_runs_sync_async_and_class_jobs_and_what_they_push() -> None:
    @job
    def plain(what: str) -> None:
        seen.append(what)
        other.perform_async(what, mark="!")

    @job
    async def other(what: str, *, mark: str) -> None:
        seen.append(what + mark)
        await shout.aperform_async(what)

    class Shout:
        async def perform(self, what: str) -> None:
            seen.append(what.upper())

    shout: Any = job(Shout)

    plain.perform_async("a")

    drained = drain()

    assert seen == ["a", "a!", "A"]
    assert drained.ran == [plain.jobtype, other.jobtype, shout.jobtype]
    assert counts() == (0, 0, 0, 0)
    assert not Lease.objects.exists()


def test_drain_runs_only_the_queues_that_it_is_given() -> None:
    noop.perform_async()
    noop.set(queue="other").perform_async()

    drained = drain("other")

    assert drained.ran == [noop.jobtype]
    assert Stored.objects.get().queue == "default"


def test_drain_refuses_a_name_that_no_queue_can_have() -> None:
    with pytest.raises(InvalidQueueName, match="got 'a b'"):
        drain("default", "a b")


def test_drain_leaves_what_is_scheduled() -> None:
    noop.perform_in(1)

    assert drain().ran == []
    assert ScheduledJob.objects.count() == 1


def test_drain_raises_the_first_error_after_the_job_has_moved() -> None:
    @job
    def fails() -> None:
        raise ZeroDivisionError("no")

    fails.perform_async()

    with pytest.raises(ZeroDivisionError, match="no"):
        drain()

    assert counts() == (0, 0, 1, 0)


def test_drain_can_keep_the_errors_for_later() -> None:
    @job
    async def fails() -> None:
        raise ZeroDivisionError("no")

    fails.perform_async()
    noop.perform_async()

    drained = drain(raise_errors=False)

    assert drained.errors == ["ZeroDivisionError: no"]
    assert drained.ran == [fails.jobtype, noop.jobtype]


def test_drain_gives_up_on_a_job_that_pushes_itself_for_ever() -> None:
    @job
    def again() -> None:
        again.perform_async()

    again.perform_async()

    with pytest.raises(RuntimeError, match="drain has run 5 jobs and there are more"):
        drain(limit=5)


def test_jobs_of_higher_priority_run_first_and_equals_in_order() -> None:
    @job
    def note(what: str) -> None:
        seen.append(what)

    for what, priority in [("a", 0), ("b", 5), ("c", -5), ("d", 5), ("e", 100)]:
        note.set(priority=priority).perform_async(what)

    drain()

    assert seen == ["e", "b", "d", "a", "c"]


def test_arguments_of_all_kinds_arrive_as_they_were_pushed() -> None:
    @job
    def keep(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    given = (1, 10**30, 0.1, "\0é", None, [{"a/b": {date(2026, 1, 1)}}], timedelta(days=1))

    keep.perform_async(*given, when=datetime(2026, 1, 1, tzinfo=UTC), n=2)
    keep.perform_async({"a": 1})
    drain()

    assert seen == [
        (given, {"when": datetime(2026, 1, 1, tzinfo=UTC), "n": 2}),
        (({"a": 1},), {}),
    ]


def test_a_job_knows_itself() -> None:
    @job(custom={"k": 1}, retry=3, reserve_for=90)
    def look(a: int, *, b: int) -> None:
        seen.append((current_job(), a, b))

    before = timezone.now()
    handle = look.set(queue="q").perform_async(1, b=2)
    drain()

    [(me, a, b)] = seen
    assert (a, b) == (1, 2)
    assert isinstance(me, CurrentJob)
    assert handle is not None
    assert (me.jid, me.jobtype, me.queue, me.attempt) == (handle.jid, look.jobtype, "q", 1)
    assert (me.args, me.kwargs, me.retry, me.reserve_for) == ([1], {"b": 2}, 3, 90)
    assert me.custom["k"] == 1
    assert me.created_at is not None
    assert abs(me.created_at - before) < timedelta(seconds=5)
    assert abs(me.enqueued_at - before) < timedelta(seconds=5)


def test_a_drained_async_job_is_not_the_current_one_any_more() -> None:
    @job
    async def look() -> None:
        seen.append(current_job().jobtype)

    look.perform_async()
    drain()

    assert seen == [look.jobtype]
    with pytest.raises(RuntimeError, match="no job runs here"):
        current_job()


def run_again() -> None:
    """Make the only retry due and run it."""
    row = RetryJob.objects.get()
    fetch_due(row.pk)
    drain(raise_errors=False)


def fetch_due(pk: int) -> None:
    """Move a retry into its queue, as if its time had come."""
    from django.db import connection

    from faktory_django.lifecycle.due import Promoter

    RetryJob.objects.filter(pk=pk).update(due_at=timezone.now() - timedelta(hours=1))
    assert Promoter().promote_retries(connection, 10) == 1


def test_each_attempt_counts_and_after_the_last_the_job_is_dead() -> None:
    @job(retry=2)
    def fails() -> None:
        seen.append(current_job().attempt)
        raise ValueError("boom")

    fails.perform_async()
    drain(raise_errors=False)
    run_again()
    run_again()

    assert seen == [1, 2, 3]
    assert counts() == (0, 0, 0, 1)
    failure = DeadJob.objects.get().failure_hash
    assert (failure["errtype"], failure["message"]) == ("ValueError", "boom")
    assert (failure["retry_count"], failure["remaining"]) == (2, 0)
    assert any("fails" in line for line in failure["backtrace"])


def due_in(model: Any = RetryJob) -> float:
    """Return the seconds until the only job of a set is due."""
    seconds: float = (model.objects.get().due_at - timezone.now()).total_seconds()
    return seconds


@pytest.mark.parametrize("delay", [100, timedelta(seconds=100)])
def test_retry_fails_the_run_and_asks_for_a_delay(delay: Any) -> None:
    @job
    def later() -> None:
        raise Retry("busy", in_=delay)

    later.perform_async()
    drained = drain(raise_errors=False)

    assert drained.errors == ["faktory_django.errors.Retry: busy"]
    assert 90 < due_in() <= 100


def test_retry_without_a_delay_waits_as_usual() -> None:
    @job
    def later() -> None:
        raise Retry

    later.perform_async()
    drain(raise_errors=False)

    assert 10 < due_in() <= 45


def test_snooze_runs_the_job_later_and_counts_no_attempt() -> None:
    @job(retry=0)
    def tired() -> None:
        seen.append(current_job().attempt)
        raise Snooze(timedelta(minutes=5))

    tired.perform_async()
    drained = drain()

    assert drained.errors == []
    assert counts() == (0, 1, 0, 0)
    assert 290 < due_in(ScheduledJob) <= 300
    assert ScheduledJob.objects.get().failure is None


def discard() -> None:
    """Ask to be thrown away."""
    raise Discard("stale")


def kill() -> None:
    """Ask to die."""
    raise Kill("hopeless")


def test_discard_throws_the_job_away_and_is_no_failure() -> None:
    job(name="discards")(discard).perform_async()

    drained = drain()

    assert drained.errors == []
    assert counts() == (0, 0, 0, 0)
    assert sum(row.failed for row in CounterDelta.objects.all()) == 0
    assert sum(row.discarded for row in CounterDelta.objects.all()) == 1
    assert not Counter.objects.exists()


@pytest.mark.parametrize("retry", [-1, 0, 25])
def test_kill_sends_the_job_to_the_dead_whatever_retries_are_left(retry: int) -> None:
    job(name="kills", retry=retry)(kill).perform_async()

    drained = drain(raise_errors=False)

    assert drained.errors == ["faktory_django.errors.Kill: hopeless"]
    assert counts() == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("raised", "where"),
    [
        (ConnectionError, (0, 0, 1, 0)),
        (ConnectionResetError, (0, 0, 1, 0)),
        (ValueError, (0, 0, 0, 1)),
        (KeyError, (0, 0, 0, 0)),
        (Retry, (0, 0, 1, 0)),
        (JobTimeout, (0, 0, 1, 0)),
        (Discard, (0, 0, 0, 0)),
    ],
)
def test_an_exception_is_retried_discarded_or_final_as_the_job_says(
    raised: type[BaseException], where: tuple[int, ...]
) -> None:
    @job(retry_on=[ConnectionError], discard_on=[LookupError])
    def work() -> None:
        raise raised

    work.perform_async()
    drain(raise_errors=False)

    assert counts() == where


@pytest.mark.parametrize(
    ("retry", "where"), [(0, (0, 0, 0, 0)), (-1, (0, 0, 0, 1)), (1, (0, 0, 1, 0))]
)
def test_the_retry_option_says_where_a_failed_job_goes(retry: int, where: tuple[int, ...]) -> None:
    @job(retry=retry)
    def work() -> None:
        raise ValueError

    work.perform_async()
    drain(raise_errors=False)

    assert counts() == where


def test_a_backoff_of_the_jobs_own_sets_the_delay() -> None:
    @job(backoff=lambda n: timedelta(seconds=1_000 + n))
    def work() -> None:
        raise ValueError

    work.perform_async()
    drain(raise_errors=False)

    assert 990 < due_in() <= 1_000


def remember(dead: dict[str, Any]) -> None:
    """Be an on_dead hook."""
    seen.append(dead)


async def remember_async(dead: dict[str, Any]) -> None:
    """Be an async on_dead hook."""
    seen.append(dead)


@pytest.mark.parametrize("hook", [remember, remember_async])
def test_on_dead_is_called_with_the_job_that_died(hook: Callable[..., Any]) -> None:
    @job(retry=-1, on_dead=hook)
    def work(_n: int) -> None:
        raise ValueError("boom")

    handle = work.set(queue="q").perform_async(5)
    drained = drain(raise_errors=False)

    [dead] = seen
    assert handle is not None
    assert (dead["jid"], dead["args"], dead["queue"]) == (handle.jid, [5], "q")
    assert dead["failure"]["message"] == "boom"
    assert drained.ran == [work.jobtype, "faktory_django.on_dead"]


def test_an_on_dead_hook_that_fails_is_retried() -> None:
    def fails(_dead: dict[str, Any]) -> None:
        raise ZeroDivisionError

    @job(retry=-1, on_dead=fails)
    def work() -> None:
        raise ValueError

    work.perform_async()
    drain(raise_errors=False)

    assert RetryJob.objects.get().jobtype == "faktory_django.on_dead"
    assert DeadJob.objects.get().jobtype == work.jobtype


def test_an_atomic_job_leaves_all_of_its_effects_or_none() -> None:
    @job(atomic=True)
    def work(name: str, fail: bool) -> None:
        Group.objects.create(name=name)
        noop.set(queue=name).perform_async()
        if fail:
            raise ValueError

    work.perform_async("good", False)
    work.perform_async("bad", True)
    drained = drain("default", raise_errors=False)

    assert drained.errors == ["ValueError: unknown"]
    assert list(Group.objects.values_list("name", flat=True)) == ["good"]
    assert list(Stored.objects.values_list("queue", flat=True)) == ["good"]
    assert RetryJob.objects.get().jobtype == work.jobtype
    assert not Lease.objects.exists()


def test_an_atomic_job_that_asks_to_run_later_leaves_no_effects() -> None:
    @job(atomic=True)
    def work() -> None:
        Group.objects.create(name="x")
        raise Snooze(60)

    work.perform_async()
    drain()

    assert not Group.objects.exists()
    assert ScheduledJob.objects.count() == 1


class Unprintable(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit

    def __repr__(self) -> str:
        return "Unprintable()"


@pytest.mark.parametrize(
    ("raised", "errtype", "message"),
    [
        (Unprintable(), f"{__name__}.Unprintable", f"<{__name__}.Unprintable that cannot be"),
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "unknown"),
        (GeneratorExit(), "GeneratorExit", "unknown"),
        (MemoryError(), "MemoryError", "unknown"),
        (ExceptionGroup("many", [ValueError("a")]), "ExceptionGroup", "many (1 sub-exception)"),
        (ValueError("\0\ud800" + "x" * 20_000), "ValueError", "\ufffd?xxx"),
        (JobTimeout(), "ReservationExpired", "the job ran longer than its reserve_for (1800 s)"),
    ],
)
def test_whatever_a_job_raises_is_kept_as_its_failure(
    raised: BaseException, errtype: str, message: str
) -> None:
    @job
    def work() -> None:
        raise raised

    work.perform_async()
    drain(raise_errors=False)

    failure = RetryJob.objects.get().failure_hash
    assert failure["errtype"] == errtype
    assert failure["message"].startswith(message)


@pytest.mark.parametrize(
    ("change", "errtype"),
    [
        ({"jobtype": "nobody.knows"}, "faktory_django.errors.UnknownJobType"),
        ({"args": [1, 2, 3]}, "TypeError"),
        (
            {"custom": {"faktory_django": {"kinds": {"/0": "date"}}}},
            "faktory_django.errors.InvalidArguments",
        ),
        ({"custom": {"faktory_django": {"kinds": ["/0"]}}}, None),
        ({"custom": {"faktory_django": "x"}}, None),
        ({"args": {}}, "msgspec.ValidationError"),
    ],
)
def test_a_job_of_another_client_that_cannot_run_fails_and_is_retried(
    change: dict[str, Any], errtype: str | None
) -> None:
    @job
    def work(a: int) -> None:
        seen.append(a)

    work.perform_async(1)
    row = Stored.objects.get()
    row.body = json.dumps({**json.loads(row.body), **change})
    row.save(update_fields=["body"])
    drain(raise_errors=False)

    if errtype is not None:
        assert RetryJob.objects.get().failure_hash["errtype"] == errtype
        assert seen == []
    assert not Stored.objects.exists()


def test_an_unknown_jobtype_is_retried_and_the_message_says_where_it_is_expected() -> None:
    noop.perform_async()
    row = Stored.objects.get()
    row.body = row.body.replace("tests.jobapp.jobs.noop", "shop.jobs.send_mail")
    row.save(update_fields=["body"])

    drain(raise_errors=False)

    assert RetryJob.objects.get().failure_hash["message"] == (
        "no job is registered as 'shop.jobs.send_mail'; it is expected in shop.jobs "
        "(is its app in INSTALLED_APPS?)"
    )


# Middleware around a run


def note_run(handler: Any) -> Any:
    """Be a sync middleware around runs."""

    def run(running: CurrentJob) -> Any:
        seen.append(f"in {running.args}")
        try:
            return handler(running)
        finally:
            seen.append("out")

    return run


@pytest.mark.parametrize("is_async", [False, True])
def test_middleware_stands_around_each_run(override_faktory: Any, is_async: bool) -> None:
    override_faktory(PERFORM_MIDDLEWARE=[f"{__name__}.note_run"])

    async def run_async(n: int) -> None:
        seen.append(f"async {n}")

    def run_sync(n: int) -> None:
        seen.append(f"sync {n}")

    job(name="runs")(run_async if is_async else run_sync).perform_async(1)
    drain()

    assert seen == ["in [1]", f"{'async' if is_async else 'sync'} 1", "out"]
