"""Warnings: what is wrong, in words."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from faktory_django.dashboard import horizon, warnings
from faktory_django.lifecycle import queues
from faktory_django.lifecycle.beat import ProcessInfo, register, set_state
from faktory_django.lifecycle.presence import WireWorker, arrive
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import CounterDelta, Job, Lease, Process, RetryJob, ScheduledJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db


def said(client: Client) -> list[str]:
    """Return the warnings of the overview."""
    text = client.get("/faktory/").content.decode()
    found = re.findall(r'id="warning-\d+">(.*?)</a>', text)
    return [html.unescape(warning) for warning in found]


def worker(wid: str = "w1", *served: str, concurrency: int = 5) -> None:
    """Make a worker known."""
    register(connection, ProcessInfo(wid, "web-1", 4711, "1", concurrency, served or ("default",)))


def wait_in(queue: str) -> None:
    """Push a job, and let it wait for 41 minutes."""
    push([Push(queue, f"j-{queue}", "fetch", "{}")])
    queues.declare([queue])
    Job.objects.update(enqueued_at=timezone.now() - timedelta(minutes=41))


def test_nothing_is_wrong_while_all_is_served(viewer: Client) -> None:
    worker()
    wait_in("default")

    assert said(viewer) == []


def test_a_queue_that_no_worker_serves_is_named(viewer: Client) -> None:
    worker()
    wait_in("mail")

    assert said(viewer) == ['No worker serves queue "mail" (1 waiting, oldest 41 min).']


def test_a_worker_that_is_quiet_serves_nothing(viewer: Client) -> None:
    worker("w1", "mail")
    worker("w2", "other")
    set_state(connection, ["w1"], "quiet")
    wait_in("mail")

    assert said(viewer) == ['No worker serves queue "mail" (1 waiting, oldest 41 min).']


def test_a_queue_that_a_client_of_the_wire_works_on_is_served(viewer: Client) -> None:
    arrive(connection, WireWorker("node", "node-1", 1))
    wait_in("mail")
    minute = timezone.now().replace(second=0, microsecond=0)
    CounterDelta.objects.create(starts_at=minute, queue="mail", jobtype="t", done=1)

    assert said(viewer) == []


def test_a_paused_queue_is_named_with_what_waits(viewer: Client) -> None:
    worker("w1", "mail")
    wait_in("mail")
    queues.pause("mail")

    assert said(viewer) == ['Queue "mail" is paused (1 waiting, oldest 41 min).']


def test_many_queues_are_named_in_part(viewer: Client) -> None:
    worker()
    for i in range(12):
        wait_in(f"q{i:02}")

    found = said(viewer)

    assert len(found) == warnings.MAX_QUEUES + 1
    assert found[-1] == "More queues wait that nobody serves."


def test_a_queue_that_may_not_be_seen_is_not_named(
    viewer: Client, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")
    worker()
    wait_in("secret")

    assert said(viewer) == []


def test_no_worker_at_all_is_said_first(viewer: Client) -> None:
    wait_in("mail")

    assert said(viewer)[0] == "No worker runs."


def test_workers_that_are_all_busy_are_told(viewer: Client) -> None:
    worker(concurrency=1)
    wait_in("default")
    job = Job.objects.get()
    Lease.objects.create(wid="w1", claimed_at=timezone.now(), ids=[job.pk])

    assert said(viewer) == ["All workers are busy: 1 job at a time is all they can do."]


@pytest.mark.parametrize("model", [ScheduledJob, RetryJob])
def test_jobs_that_are_overdue_are_told(viewer: Client, model: Any) -> None:
    worker()
    due_at = timezone.now() - timedelta(minutes=5)
    model.objects.create(queue="q", jid="j", jobtype="t", reserve_for=60, body="{}", due_at=due_at)

    assert said(viewer) == ["Jobs that are due have not been moved into their queues for 5 min."]


def test_upkeep_that_nobody_does_is_told(viewer: Client) -> None:
    worker()
    at = timezone.now() - timedelta(hours=2)
    CounterDelta.objects.create(starts_at=at, queue="q", jobtype="t", done=1)

    assert said(viewer) == ["Nobody has done the upkeep for 2 h: no worker and no wire server."]


def test_a_process_that_is_silent_is_named(viewer: Client) -> None:
    worker()
    Process.objects.update(beat_at=timezone.now() - timedelta(seconds=20))

    assert said(viewer) == ["web-1:4711 has not been heard of for 20 s."]


def test_who_holds_back_vacuum_is_named(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "HORIZON_SECONDS", -1)
    monkeypatch.setattr(horizon, "GRAVE_SECONDS", -1)
    worker()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        pid = other.info.backend_pid

        assert any(re.match(rf"Pid {pid} .*has held back vacuum", text) for text in said(viewer))
