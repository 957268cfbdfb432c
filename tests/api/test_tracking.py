"""What jobs say of their progress, and what those hear who ask for their status."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

from faktory_django import Discard, InvalidOption, Job, JobStatus, current_job, job
from faktory_django.api import context
from faktory_django.api.named import push_named
from faktory_django.models import Track
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db


def test_a_job_says_how_far_it_is_and_its_status_tells() -> None:
    @job
    def work() -> None:
        for n in range(3):
            current_job().progress(n * 50, f"step {n}")

    handle = work.perform_async()
    waiting = Job.status(handle.jid)
    assert waiting == JobStatus(handle.jid, "waiting", updated_at=waiting.updated_at)

    drain()

    status = Job.status(handle.jid)
    assert (status.state, status.percent, status.text) == ("done", 100, "step 2")
    assert status.updated_at is not None
    assert status.is_over


def test_an_async_job_says_it_too_without_awaiting() -> None:
    @job
    async def work() -> None:
        current_job().progress(10)
        await asyncio.gather(*(_say(n) for n in range(20)))

    async def _say(n: int) -> None:
        current_job().progress(text=f"part {n}")

    handle = work.perform_async()
    drain()

    status = work.status(handle.jid)
    assert (status.percent, status.text) == (10, "part 19")


def test_a_job_that_says_nothing_writes_nothing() -> None:
    @job
    def work() -> None:
        current_job().progress()

    handle = work.perform_async()
    drain()

    assert not Track.objects.exists()
    assert Job.status(handle.jid).state == "unknown"


def test_a_push_that_asks_for_tracking_is_known_to_succeed() -> None:
    @job(custom={"track": 1})
    def work(*_: Any) -> None:
        pass

    one = work.perform_async()
    later = work.perform_in(60)
    many = work.perform_bulk([[1], [timedelta(1)]])
    drain()

    states = [Job.status(handle.jid).state for handle in (one, later, *many)]
    assert states == ["done", "scheduled", "done", "done"]


def test_a_push_by_name_that_asks_for_tracking_is_known_to_succeed_too() -> None:
    @job
    def work() -> None:
        pass

    handle = push_named(work.jobtype, [], {}, options={"custom": {"track": 1}})
    drain()

    assert Job.status(handle.jid).state == "done"


def test_what_was_said_stays_when_the_job_fails_or_goes() -> None:
    @job
    def fails() -> None:
        current_job().progress(40)
        raise ValueError("no")

    @job(retry=0)
    def once() -> None:
        current_job().progress(40)
        raise ValueError("no")

    @job
    def discards() -> None:
        current_job().progress(40)
        raise Discard

    handles = [each.perform_async() for each in (fails, once, discards)]
    drain(raise_errors=False)

    found = [Job.status(handle.jid) for handle in handles]
    assert [s.state for s in found] == ["retries", "failed", "unknown"]
    assert found[0].percent == 40
    assert [s.is_over for s in found] == [False, True, True]


def test_a_status_is_one_query_and_one_more_when_it_is_nowhere(
    django_assert_num_queries: Callable[..., Any],
) -> None:
    @job
    def work() -> None: ...

    handle = work.perform_async()

    with django_assert_num_queries(1):
        assert Job.status(handle.jid).state == "waiting"
    with django_assert_num_queries(2):
        assert Job.status("nobody-there").state == "unknown"


@pytest.mark.parametrize("jid", ["", "a\0b", "x" * 300])
def test_a_jid_that_no_job_can_have_is_unknown(jid: str) -> None:
    assert Job.status(jid).state == "unknown"


def test_a_jid_is_a_text() -> None:
    with pytest.raises(InvalidOption, match="a jid is a str, got 5"):
        Job.status(5)  # type: ignore[arg-type]


def test_async_code_asks_too() -> None:
    assert async_to_sync(Job.astatus)("nobody-there").state == "unknown"


def test_a_wrong_value_is_an_error_of_the_job() -> None:
    errors: list[str] = []

    @job
    def work() -> None:
        with pytest.raises(InvalidOption, match="a number from 0 to 100, got 101") as wrong:
            current_job().progress(101)
        errors.append(str(wrong.value))
        for by in (0, 100_000):
            with pytest.raises(InvalidOption, match="at most 86400 seconds") as wrong:
                current_job().extend(by)
            errors.append(str(wrong.value))
        current_job().extend(60)

    work.perform_async()
    drain()

    assert len(errors) == 3


def test_where_no_worker_runs_nobody_takes_a_note() -> None:
    assert context._hosts == []
    with pytest.raises(RuntimeError, match="no worker runs here"):
        context._host()
