"""What jobs return: kept when that is asked for, given back as it was, to whoever waits for it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

from faktory_django import Discard, InvalidOption, Job, JobHandle, Kill, NoResult, current_job, job
from faktory_django.api.cron import entry
from faktory_django.api.named import push_named
from faktory_django.errors import UnreadableArguments
from faktory_django.lifecycle import attempts, log_lines
from faktory_django.models import FinishedJob, LogLine
from faktory_django.models import Job as Row
from faktory_django.testing import drain
from tests.jobapp import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db
KEY = "Zm9yIHRlc3RzIG9ubHksIDMyIGJ5dGVzIG9mIGEga2U="


def ended(handle: JobHandle) -> FinishedJob:
    return FinishedJob.objects.get(jid=handle.jid)


@pytest.mark.parametrize("work", [jobs.add, jobs.add_async, jobs.add_atomic])
def test_a_result_is_kept_and_given_back(work: Job[..., int]) -> None:
    handle = work.perform_async(2, 3)
    drain()

    assert handle.result() == Job.result(handle.jid) == 5
    assert async_to_sync(handle.aresult)() == async_to_sync(Job.aresult)(handle.jid) == 5
    assert handle.status().state == async_to_sync(handle.astatus)().state == "done"


@pytest.mark.parametrize(
    "value",
    [None, "ü", [1, {"a": None}], Decimal("1.10"), {"at": date(2027, 1, 31)}, timedelta(1), {1}],
)
def test_a_result_has_the_kinds_that_it_had(value: Any) -> None:
    @job(keep_result=True)
    def work() -> Any:
        return value

    handle = work.perform_async()
    drain()

    found = handle.result()
    assert (found, type(found)) == (value, type(value))


def test_a_row_tells_how_a_job_ended() -> None:
    before = datetime.now(UTC)
    handle = jobs.add.set(queue="sums", history=7).perform_async(2, 3)
    drain()

    row = ended(handle)
    assert (row.outcome, row.jobtype, row.queue) == ("done", jobs.add.jobtype, "sums")
    assert (row.attempts, row.body, row.failure, row.remark) == (1, None, None, "")
    assert row.wid.startswith("drain-")
    assert row.enqueued_at is not None
    assert row.started_at is not None
    assert row.run_seconds is not None
    assert 0 <= row.run_seconds < 10
    assert row.enqueued_at <= row.started_at <= row.finished_at
    assert row.pushed is not None
    assert abs(datetime.fromisoformat(row.pushed) - before) < timedelta(minutes=1)
    week = datetime.now(UTC) + timedelta(days=7)
    assert row.bucket in {int((week - timedelta(n)).strftime("%Y%m%d")) for n in range(2)}


@pytest.mark.parametrize(
    ("value", "remark"),
    [
        (object(), "not JSON: the result is a object, which is not JSON"),
        ("x" * 70_000, "too large: 70002 bytes, RESULT_BYTES is 65536"),
    ],
)
def test_a_result_that_cannot_be_kept_does_not_fail_the_job(value: Any, remark: str) -> None:
    @job(keep_result=True)
    def work() -> Any:
        return value

    handle = work.perform_async()
    assert drain().errors == []

    with pytest.raises(NoResult) as told:
        handle.result()
    assert str(told.value) == f"the result of job {handle.jid} was not kept: {remark}"
    assert told.value.state == "done"


def test_nothing_is_kept_of_a_job_that_does_not_ask() -> None:
    @job
    def work() -> int:
        return 1

    handle = work.perform_async()
    assert Row.objects.get().traits is None
    drain()

    assert not FinishedJob.objects.exists()
    assert handle.status().state == "unknown"
    with pytest.raises(NoResult, match="its state is unknown"):
        handle.result()


def test_a_job_of_the_history_without_a_result_says_so() -> None:
    @job(history=1)
    def work() -> int:
        return 1

    handle = work.perform_async()
    drain()

    assert handle.status().is_over
    with pytest.raises(NoResult, match="was not kept: keep_result was not asked for"):
        handle.result()


@pytest.mark.parametrize(
    ("error", "retry", "state", "said"),
    [
        (ValueError("no"), 0, "failed", "its state is failed (ValueError: no)"),
        (ValueError("no"), -1, "dead", "its state is dead (ValueError: no)"),
        (Kill("enough"), 3, "dead", "its state is dead (faktory_django.errors.Kill: enough)"),
        (Discard("old"), 3, "discarded", "discarded (faktory_django.errors.Discard: old)"),
    ],
)
def test_a_job_that_did_not_succeed_has_no_result_and_says_why(
    error: Exception, retry: int, state: str, said: str
) -> None:
    @job(keep_result=True, retry=retry)
    def work() -> None:
        raise error

    handle = work.perform_async()
    drain(raise_errors=False)

    with pytest.raises(NoResult) as told:
        handle.result()
    assert said in str(told.value)
    assert told.value.state == state == handle.status().state
    assert ended(handle).outcome == state


def test_who_waits_too_short_is_told() -> None:
    handle = jobs.add.perform_in(60, 1, 2)

    for timeout in (0, 0.1):
        with pytest.raises(TimeoutError, match=f"was not over after {timeout} s: it is scheduled"):
            handle.result(timeout)
        with pytest.raises(TimeoutError):
            async_to_sync(handle.aresult)(timeout)
    with pytest.raises(NoResult, match="its state is scheduled"):
        Job.result(handle.jid)


@pytest.mark.parametrize("timeout", [-1, 86_401, "1", None, True])
def test_a_timeout_that_cannot_be_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidOption, match="timeout must be 0 to 86400 seconds"):
        JobHandle("some-jid").result(timeout)


def test_a_job_that_failed_and_then_succeeds_has_its_attempts(tmp_path: Any) -> None:
    handle = jobs.stumble.set(history=3).perform_async(str(tmp_path / "ledger"), 1)
    drain(raise_errors=False)
    from faktory_django.lifecycle import mutate
    from faktory_django.models import RetryJob

    mutate.requeue("retries", [RetryJob.objects.get().pk])
    drain()

    [failed] = attempts.of(handle.jid, limit=10)
    assert (failed.number, failed.fate, failed.errtype) == (1, "retry", "ValueError")
    assert failed.message == "stumbled 1"
    assert "raise ValueError" in failed.backtrace
    assert failed.wid.startswith("drain-")
    assert failed.started_at is not None
    assert failed.run_seconds is not None
    row = ended(handle)
    assert (row.outcome, row.attempts, row.failure) == ("done", 2, None)
    lines = log_lines.of(handle.jid, limit=10)
    assert [(line.number, line.text) for line in lines] == [(2, "attempt 2"), (1, "attempt 1")]


@pytest.mark.parametrize("history", [0, 367, True, "7", timedelta(0)])
def test_a_wrong_option_is_refused_where_it_is_written(history: Any) -> None:
    with pytest.raises(InvalidOption, match="history must be False, or 1 to 366 days"):
        job(history=history)(lambda: None)


def test_options_that_exclude_each_other_are_refused_at_the_push() -> None:
    with pytest.raises(InvalidOption, match="keep_result and history=False"):
        jobs.add.set(history=False).perform_async(1, 2)


def test_a_setting_keeps_all_jobs_but_those_of_hot_queues(
    override_faktory: Callable[..., None],
) -> None:
    @job
    def work(n: int) -> int:
        return n

    override_faktory(HISTORY_DAYS=3, HISTORY_OFF_QUEUES=["hot"], HISTORY_ARGS=True)
    kept = [
        work.perform_async(1),
        *work.perform_bulk([[2], [3]]),
        push_named(work.jobtype, [4], {}, options={}),
        jobs.add.set(queue="hot").perform_async(2, 3),
    ]
    work.set(queue="hot").perform_async(5)
    work.set(history=False).perform_async(6)
    drain()

    rows = {row.jid: row for row in FinishedJob.objects.all()}
    assert set(rows) == {handle.jid for handle in kept}
    assert '"args":[2]' in str(rows[kept[1].jid].body)
    assert rows[kept[0].jid].result is None


def test_what_a_push_says_in_custom_is_what_the_options_say() -> None:
    handle = push_named(
        jobs.record.jobtype, ["x", "y"], {}, options={"custom": {"history_days": 2}}
    )

    assert Row.objects.get(jid=handle.jid).traits == {"keep": {"days": 2}}


def test_an_entry_of_cron_says_it_too() -> None:
    declared = entry("sums", "sums", "@daily", history=timedelta(days=2), keep_result=True)

    assert declared.custom == '{"history_days": 2, "keep_result": true}'


def test_the_result_of_an_encrypted_job_is_encrypted_and_its_log_is_not_kept(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(ENCRYPTION_KEYS=[KEY], HISTORY_ARGS=True)

    @job(encrypt=True, keep_result=True)
    def work(secret: str) -> dict[str, Any]:
        current_job().log(f"I know {secret}")
        return {"secret": secret, "at": date(2027, 1, 31)}

    handle = work.perform_async("hunter2")
    drain()

    row = ended(handle)
    assert "hunter2" not in f"{row.result}{row.body}{row.mark}"
    assert row.result is not None
    assert row.result.startswith('["gAAAA')
    assert handle.result() == {"secret": "hunter2", "at": date(2027, 1, 31)}
    assert not LogLine.objects.exists()
    override_faktory(ENCRYPTION_KEYS=[])
    with pytest.raises(UnreadableArguments, match="the result of job"):
        handle.result()


def test_logs_and_attempts_can_be_turned_off(override_faktory: Callable[..., None]) -> None:
    override_faktory(LOG_DAYS=0, ATTEMPT_DAYS=0)

    @job
    def work() -> None:
        current_job().log("said")
        raise ValueError

    handle = work.perform_async()
    drain(raise_errors=False)

    assert attempts.of(handle.jid, limit=1) == []
    assert log_lines.of(handle.jid, limit=1) == []


def test_a_line_of_a_log_is_text() -> None:
    @job
    def work() -> None:
        current_job().log(5)  # type: ignore[arg-type]

    work.perform_async()

    with pytest.raises(InvalidOption, match="a line of a log must be str, got 5"):
        drain()
