"""Deaths that no run brings about, and jobs that break the transaction of a test."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection

from faktory_django import job, signals
from faktory_django.lifecycle import mutate, reap
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.models import DeadJob, Job, RetryJob
from faktory_django.testing import drain
from tests.jobapp.jobs import noop

pytestmark = pytest.mark.django_db


@pytest.fixture
def deaths(django_capture_on_commit_callbacks: Any) -> Any:
    """Return what the dead signal said of whatever a function does."""
    heard: list[tuple[str, str]] = []

    def receive(sender: str, jid: str, **_: Any) -> None:
        heard.append((sender, jid))

    def deaths_of(act: Any) -> list[tuple[str, str]]:
        with django_capture_on_commit_callbacks(execute=True):
            act()
        return heard

    signals.dead.connect(receive)
    yield deaths_of
    signals.dead.disconnect(receive)


def test_the_dead_signal_is_sent_for_a_job_that_a_person_kills(deaths: Any) -> None:
    handle = noop.perform_async()

    heard = deaths(lambda: mutate.kill("waiting", [Job.objects.get().id]))

    assert heard == [(noop.jobtype, handle.jid)]


def test_the_dead_signal_is_sent_for_a_job_whose_process_died_too_often(deaths: Any) -> None:
    handle = noop.perform_async()
    lease = Consumer("gone").turn(connection, ["default"], 1).lease
    assert lease is not None

    heard = deaths(lambda: reap.reap(connection, [lease], max_crashes=1))

    assert heard == [(noop.jobtype, handle.jid)]


def test_the_dead_signal_is_sent_for_a_job_that_a_drain_buries(deaths: Any) -> None:
    @job(retry=-1)
    def hopeless() -> None:
        raise ValueError("no")

    handle = hopeless.perform_async()

    heard = deaths(lambda: drain(raise_errors=False))

    assert heard == [(hopeless.jobtype, handle.jid)]


def test_a_drained_job_that_breaks_the_transaction_raises_its_own_error() -> None:
    @job
    def twice() -> None:
        Group.objects.create(name="the same")
        Group.objects.create(name="the same")

    twice.perform_async()

    with pytest.raises(IntegrityError):
        drain()

    assert RetryJob.objects.count() == 1
    assert not Group.objects.exists()


def test_what_a_drained_job_wrote_before_it_failed_stays_as_in_a_worker() -> None:
    @job
    def half() -> None:
        Group.objects.create(name="written")
        raise ValueError("no")

    half.perform_async()

    drain(raise_errors=False)

    assert Group.objects.filter(name="written").exists()


def test_a_backtrace_is_as_long_as_the_job_asks() -> None:
    @job(retry=-1, backtrace=1)
    def short() -> None:
        raise ValueError("no")

    short.perform_async()

    drain(raise_errors=False)

    [line] = DeadJob.objects.get().failure_hash["backtrace"]
    assert line == '    raise ValueError("no")'


def test_a_backtrace_holds_places_and_code_and_no_carets() -> None:
    @job(retry=-1)
    def divide(by: int) -> float:
        return abs(5 / by) + 1

    divide.perform_async(0)

    drain(raise_errors=False)

    [place, code] = DeadJob.objects.get().failure_hash["backtrace"]
    assert __file__ in place
    assert place.endswith("in divide")
    assert code == "    return abs(5 / by) + 1"
