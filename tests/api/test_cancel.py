"""Cancel as an application calls it: by jid or handle, sync or async; and what a job hears."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

from faktory_django import InvalidOption, Job, JobCancelled, current_job, job
from faktory_django.models import Cancel, ScheduledJob
from faktory_django.models import Job as JobRow
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("how", ["jid", "handle", "async jid", "async handle"])
def test_a_job_that_waits_is_cancelled(how: str) -> None:
    @job(custom={"track": 1})
    def work() -> None: ...

    handle, later = work.perform_async(), work.perform_in(60)
    ways: dict[str, Callable[[], str]] = {
        "jid": lambda: Job.cancel(handle.jid),
        "handle": handle.cancel,
        "async jid": lambda: async_to_sync(work.acancel)(handle.jid, using="default"),
        "async handle": async_to_sync(handle.acancel),
    }

    assert ways[how]() == "cancelled"
    assert ways[how]() == "not found"

    assert not JobRow.objects.exists()
    assert ScheduledJob.objects.count() == 1
    status = Job.status(handle.jid)
    assert (status.state, status.is_over) == ("cancelled", True)
    assert later.cancel() == "cancelled"


@pytest.mark.parametrize("jid", ["", "a\0b", "x" * 256, "never-was"])
def test_a_jid_that_no_job_has_is_not_found(jid: str) -> None:
    assert Job.cancel(jid) == "not found"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kill_after": -1}, "kill_after must be 0 to 86400 seconds or a timedelta, got -1"),
        ({"kill_after": 86_401}, "got 86401"),
        ({"kill_after": True}, "got True"),
        ({"kill_after": "5"}, "got '5'"),
        ({"kill_after": float("nan")}, "got nan"),
        ({"by": 5}, "by must be a str of at most 255 characters, got 5"),
        ({"by": "x" * 256}, "by must be a str of at most 255 characters"),
        ({"by": "\0"}, "by must be a str"),
        ({"jid": 5}, "a jid is a str, got 5"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption) as raised:
        Job.cancel(**{"jid": "some-jid", **given})

    assert says in str(raised.value)


def test_a_job_that_runs_is_asked_and_ends_without_success() -> None:
    told = []

    @job(custom={"track": 1})
    def work() -> None:
        me = current_job()
        told.append((Job.cancel(me.jid, kill_after=timedelta(minutes=1), by="ada"), me.cancelled))
        raise ValueError("no")

    handle = work.perform_async()
    drain(raise_errors=False)

    assert told == [("asked", False)]
    assert Job.status(handle.jid).state == "cancelled"
    wish = Cancel.objects.get()
    assert (wish.asked_by, str(wish)) == ("ada", handle.jid)
    assert wish.kill_at is not None


def test_a_job_that_was_not_cancelled_goes_on() -> None:
    @job
    def work() -> None:
        current_job().check_cancelled()

    work.perform_async()

    assert drain().errors == []


def test_a_job_may_call_itself_off() -> None:
    @job(custom={"track": 1})
    def work() -> None:
        raise JobCancelled

    handle = work.perform_async()
    drain()

    assert Job.status(handle.jid).state == "cancelled"
