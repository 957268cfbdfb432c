"""Cancelling on the dashboard: a job that runs is asked, one that waits is gone, all on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django.lifecycle.cursors import Owner, Saved, save
from faktory_django.models import AuditEntry, Cancel, Job, Lease, RetryJob, Track

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from .world import World

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("busy", "blank_record")]
ACT = ("view_job", "act_on_job")


def press(client: Client, jid: str, button: str = "cancel", back: str = "/faktory/busy/") -> Any:
    """Press a button and return the page that comes then."""
    said = {button: "", "next": back}
    return client.post(f"/faktory/jobs/{jid}/cancel/", said, follow=True)


def page_of(client: Client, jid: str) -> str:
    return client.get(f"/faktory/jobs/{jid}/").content.decode()


def recorded() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.values_list("act", "target", "what"))


def test_a_job_that_runs_is_asked_to_stop_and_says_so(
    person: Callable[..., Client], busy: World
) -> None:
    client = person(*ACT)
    assert f'id="cancel-{busy.running}"' in client.get("/faktory/busy/").content.decode()

    text = press(client, busy.running).content.decode()

    assert "The job runs, and was asked to stop." in text
    assert "cancelling</span>" in text
    assert f'id="cancel-{busy.running}"' not in text
    wish = Cancel.objects.get()
    assert (wish.jid, wish.asked_by, wish.kill_at) == (busy.running, "person0", None)
    assert recorded() == [("cancel", "job", busy.running)]
    page = page_of(client, busy.running)
    assert "It was cancelled: it stops when it next looks whether it was." in page
    assert "cancelled by person0" in page
    assert 'class="badge in-cancelling">cancelling' in page
    assert 'name="force"' in page


def test_what_does_not_stop_is_ended_by_force(chief: Client, busy: World) -> None:
    press(chief, busy.running)

    press(chief, busy.running, "force")

    assert Cancel.objects.get().kill_at is not None
    assert sorted(act for act, _, _ in recorded()) == ["cancel", "force"]
    page = page_of(chief, busy.running)
    assert "ended by force when it does not stop in time" in page
    assert "ended by force</span>" in page
    assert 'name="force"' not in page
    assert "End by force" in chief.get("/faktory/audit/").content.decode()


def test_a_job_of_the_wire_cannot_be_told(chief: Client) -> None:
    lease = Lease.objects.exclude(expires_at=None).order_by("id")[0]

    press(chief, str(lease.jid))

    assert "workers on the wire cannot be told" in page_of(chief, str(lease.jid))


def test_code_that_does_not_say_who_it_is_is_not_named(chief: Client, busy: World) -> None:
    press(chief, busy.running)
    Cancel.objects.update(asked_by="")

    assert '<span class="event">cancelled</span>' in page_of(chief, busy.running)


def test_a_job_that_will_be_retried_is_gone(chief: Client, busy: World) -> None:
    Track.objects.create(jid=busy.retry, updated_at="2026-01-01T00:00Z")

    text = press(chief, busy.retry, back=f"/faktory/jobs/{busy.retry}/").content.decode()

    assert "The job was cancelled." in text
    assert "<b>Cancelled</b>" in text
    assert not RetryJob.objects.filter(jid=busy.retry).exists()
    assert recorded() == [("cancel", "job", busy.retry)]


@pytest.mark.parametrize("jid", ["never-was", "dead"])
def test_a_job_that_has_ended_is_left_alone(chief: Client, busy: World, jid: str) -> None:
    text = press(chief, busy.dead if jid == "dead" else jid).content.decode()

    assert "The job has ended, so nothing was done." in text
    assert recorded() == []


def test_who_may_not_act_on_its_queue_may_not_cancel(
    person: Callable[..., Client], busy: World, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS=f"{__name__}.look_only")
    client = person(*ACT)

    assert f'id="cancel-{busy.running}"' not in client.get("/faktory/busy/").content.decode()
    assert press(client, busy.running).status_code == 403

    assert not Cancel.objects.exists()


def look_only(_request: Any, _queue: str, action: str) -> bool:
    return action == "view"


def test_ticked_jobs_of_a_list_are_cancelled_after_a_question(chief: Client, busy: World) -> None:
    key = RetryJob.objects.get(jid=busy.retry).pk
    said = {"target": "retries", "act": "cancel", "ids": [key]}

    question = chief.post("/faktory/act/", said).content.decode()
    assert "1 job will be cancelled." in question
    text = chief.post("/faktory/act/", {**said, "confirmed": "yes"}, follow=True).content.decode()

    assert "1 job was cancelled." in text
    assert not RetryJob.objects.filter(jid=busy.retry).exists()


@pytest.mark.parametrize("sealed", [False, True])
def test_the_checkpoint_of_a_job_is_on_its_page(
    person: Callable[..., Client], busy: World, sealed: bool
) -> None:
    job = Job.objects.get(jid=busy.running)
    lease = _lease_of(job.pk)
    owner = Owner(job.jid, job.jobtype, "")
    save(connection, owner, Saved('[{"page":4711}]', None, sealed, 93), job=job.pk, lease=lease)

    seen = page_of(person("view_job", "view_job_args"), busy.running)
    unseen = page_of(person("view_job"), busy.running)

    assert ("4711}</code>" in seen) is not sealed
    assert "<dd>93</dd>" in seen
    assert "<dd>93</dd>" in unseen
    assert "4711}</code>" not in unseen


def _lease_of(job: int) -> int:
    return next(lease.pk for lease in Lease.objects.all() if job in (lease.ids or ()))
