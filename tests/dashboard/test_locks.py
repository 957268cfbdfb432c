"""Unique locks and expiry on the pages: who holds what, until when, and freeing it by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from faktory_django.api.named import push_named
from faktory_django.dashboard import locks
from faktory_django.lifecycle import mutate
from faktory_django.models import AuditEntry, DeadJob, Job, UniqueLock
from faktory_django.testing import drain
from tests.jobapp.jobs import noop

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
PAGE = "/faktory/locks/"
ACT = ("view_job", "act_on_job")


def held(*args: Any, queue: str = "default", **options: Any) -> str:
    """Push a unique job; return its jid."""
    return push_named(
        "shop.Report", list(args), {}, options={"unique_for": 3_600, "queue": queue, **options}
    ).jid


def text_of(client: Client, url: str = PAGE) -> str:
    """Return a page, its white space folded."""
    return " ".join(client.get(url).content.decode().split())


def test_a_lock_is_listed_with_its_job_and_its_time(viewer: Client) -> None:
    jid = held(1, queue="reports")
    held(2, unique_until="start")

    text = text_of(viewer)

    assert f'href="/faktory/jobs/{jid}/"' in text
    assert 'href="/faktory/types/shop.Report/"' in text
    assert ">reports</td>" in text
    assert "until it succeeds" in text
    assert "until it starts" in text


def test_a_lock_whose_time_is_over_is_told_apart(viewer: Client) -> None:
    held(1)
    UniqueLock.objects.update(expires_at=timezone.now() - timedelta(minutes=1))

    assert '<span class="badge">over</span>' in text_of(viewer)


def test_without_locks_the_page_says_so(viewer: Client) -> None:
    assert "No job holds a unique lock." in text_of(viewer)


def test_who_may_not_act_sees_no_button_and_is_refused(viewer: Client) -> None:
    jid = held(1)
    key = UniqueLock.objects.get().key

    assert 'name="release"' not in text_of(viewer)
    assert viewer.post(PAGE, {"release": f"{key}.{jid}"}).status_code == 403

    assert UniqueLock.objects.exists()


def test_a_lock_is_released_on_the_record_and_the_job_stays(person: Callable[..., Client]) -> None:
    jid = held(1)
    key = UniqueLock.objects.get().key
    client = person(*ACT)
    assert f'value="{key}.{jid}"' in text_of(client)

    response = client.post(PAGE, {"release": f"{key}.{jid}"}, follow=True)

    assert f"The lock of {jid} is free" in response.content.decode()
    assert not UniqueLock.objects.exists()
    assert Job.objects.get().jid == jid
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.target, entry.what) == ("release", "lock", jid)
    assert "Release" in text_of(client, "/faktory/audit/")
    assert "Unique lock" in text_of(client, "/faktory/audit/")


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "another's"])
def test_a_lock_that_has_changed_hands_is_left_alone(
    person: Callable[..., Client], gone: bool
) -> None:
    jid = held(1)
    key = UniqueLock.objects.get().key
    if gone:
        UniqueLock.objects.all().delete()
    else:
        UniqueLock.objects.update(jid="another-jid")

    response = person(*ACT).post(PAGE, {"release": f"{key}.{jid}"}, follow=True)

    assert "does not hold the lock any more" in response.content.decode()
    assert UniqueLock.objects.exists() is not gone
    assert not AuditEntry.objects.exists()


def test_what_is_not_said_is_refused(person: Callable[..., Client]) -> None:
    assert person(*ACT).post(PAGE, {}).status_code == 400
    assert person(*ACT).post(PAGE, {"release": "x"}).status_code == 400


def only_mail(_request: Any, queue: str, _action: str) -> bool:
    """Let people see and act on one queue."""
    return queue == "mail"


def test_a_hook_hides_queues_here_too(
    person: Callable[..., Client], override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.test_locks.only_mail")
    hidden, seen = held(1, queue="secret"), held(2, queue="mail")
    client = person(*ACT)

    text = text_of(client)

    assert seen in text
    assert hidden not in text
    key = UniqueLock.objects.get(jid=hidden).key
    assert client.post(PAGE, {"release": f"{key}.{hidden}"}).status_code == 403
    assert UniqueLock.objects.filter(jid=hidden).exists()


def test_many_locks_are_listed_page_by_page(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PER_PAGE", 4)
    jids = {held(n) for n in range(10)}
    UniqueLock.objects.filter(jid__in=list(jids)[:5]).update(
        expires_at=timezone.now() + timedelta(days=1)
    )

    seen: list[str] = []
    url = PAGE
    for _ in range(3):
        text = text_of(viewer, url)
        seen += [jid for jid in jids if f"/faktory/jobs/{jid}/" in text]
        if 'rel="next"' in text:
            url = PAGE + text.split('" rel="next"')[0].rpartition('href="')[2]

    assert sorted(seen) == sorted(jids)
    assert text_of(viewer, f"{PAGE}?before=gone").count("No job holds") == 1


def test_the_queues_page_leads_there(viewer: Client) -> None:
    assert f'href="{PAGE}"' in text_of(viewer, "/faktory/queues/")


# the page of a job


def test_the_page_of_a_job_says_that_it_holds_its_lock(viewer: Client) -> None:
    jid = held(1)

    text = text_of(viewer, f"/faktory/jobs/{jid}/")

    assert "It holds a unique lock, for" in text
    assert "<dt>Unique lock</dt><dd>until it succeeds, at the latest until" in text


def test_the_page_of_a_job_names_the_job_that_has_its_lock(viewer: Client) -> None:
    first = held(1)
    UniqueLock.objects.update(expires_at=F("taken_at"))
    second = held(1)

    text = text_of(viewer, f"/faktory/jobs/{first}/")

    assert f"Its unique lock is held by another job, {second}" in text
    assert f'<dt>Unique lock</dt><dd><a href="/faktory/jobs/{second}/">' in text


def test_the_page_of_a_dead_job_says_that_it_keeps_its_lock(viewer: Client) -> None:
    jid = held(1)
    mutate.kill("waiting", [Job.objects.get().pk])

    assert DeadJob.objects.get().jid == jid
    assert "It holds a unique lock, for" in text_of(viewer, f"/faktory/jobs/{jid}/")


def test_the_page_of_a_job_says_when_it_expires(viewer: Client) -> None:
    jid = push_named("T", [], {}, options={"expires_in": 7_200}).jid

    text = text_of(viewer, f"/faktory/jobs/{jid}/")

    assert "If it has not started in" in text
    assert "it expires and is thrown away." in text
    assert "<dt>Expires</dt>" in text


def test_the_page_of_a_job_says_that_it_has_expired(viewer: Client) -> None:
    past = timezone.now() - timedelta(minutes=5)
    jid = push_named("T", [], {}, options={"expires_at": past}).jid

    text = text_of(viewer, f"/faktory/jobs/{jid}/")

    assert "It expired 5" in text
    assert "whoever fetches it throws it away." in text


def test_the_page_of_a_tracked_job_remembers_that_it_has_expired(viewer: Client) -> None:
    past = timezone.now() - timedelta(minutes=5)
    jid = noop.set(expires_at=past, custom={"track": 1}).perform_async().jid
    assert drain().ran == []

    assert "Expired: it was thrown away unrun" in text_of(viewer, f"/faktory/jobs/{jid}/")


def test_a_plain_job_costs_no_query_more(viewer: Client) -> None:
    plain = push_named("T", [], {}, options={}).jid

    with connection.execute_wrapper(_no_locks):
        assert plain in text_of(viewer, f"/faktory/jobs/{plain}/")


def _no_locks(execute: Any, sql: str, *rest: Any) -> Any:
    assert "uniquelock" not in sql
    return execute(sql, *rest)
