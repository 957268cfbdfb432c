"""Throttles: the page of throttled queues and of the busiest keys; change and release them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django.features.limits import traits
from faktory_django.features.traits import Pushed
from faktory_django.lifecycle import limits, queues, throttles
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.models import AuditEntry, Job, LimitedJob, LimitSlot
from faktory_django.throttling import Limits
from tests.integration.lifecycle.stock import a_push

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
PAGE = "/faktory/throttles/"
ACT = ("view_job", "act_on_job")
ARGS = (*ACT, "view_job_args")


def limited(count: int, **said: Any) -> list[str]:
    """Push jobs with a limit, let in what has room; return their jids."""
    found = json.dumps(traits({"limit": said}, Pushed("noop", "default", "[]")))
    pushes = [a_push(traits=found) for _ in range(count)]
    push(pushes)
    queues.declare(["default"])
    limits.admit_missed(connection)
    return [one.jid for one in pushes]


def text_of(client: Client, page: str = PAGE) -> str:
    """Return a page, its white space folded."""
    return " ".join(client.get(page).content.decode().split())


def test_a_throttled_queue_is_shown_with_its_permits(viewer: Client) -> None:
    throttles.throttle("default", concurrency=2, worker=1, timeout=90)
    push([a_push() for _ in range(3)])
    for wid in "abc":
        Consumer(wid).turn(connection, ["default"], 5)

    text = text_of(viewer)

    assert 'href="/faktory/queues/default/"' in text
    assert ">full</span>" in text
    for label, value in (
        ("Taken", "2"),
        ("At a time", "2"),
        ("In each process", "1"),
        ("Timeout in seconds", "90"),
    ):
        assert f'data-label="{label}">{value}</td>' in text
    assert "<input" not in text.partition("<main")[2].partition("</main>")[0] or "Save" not in text


def test_one_of_the_settings_says_so(viewer: Client) -> None:
    throttles.declare(connection, {"default": Limits(2, None, None)})

    assert ">settings</span>" in text_of(viewer)


def test_without_any_the_page_says_how_they_come(viewer: Client) -> None:
    text = text_of(viewer)

    assert "No queue is throttled." in text
    assert "No job holds or waits for a limit." in text


@pytest.mark.parametrize("queue", ["default", ""])
def test_a_throttle_is_set_on_the_record(person: Callable[..., Client], queue: str) -> None:
    client = person(*ACT)
    form = {"concurrency": "3", "worker": "", "timeout": "1.5"}

    answer = client.post(PAGE, {"set": queue, "queue": "" if queue else "default", **form})

    assert answer["Location"] == PAGE
    [found] = throttles.listed()
    assert tuple(found)[:5] == ("default", 3, None, 1.5, "person")
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.what) == ("throttle", "default: concurrency=3, timeout=1.5")
    assert 'value="1.5"' in text_of(client)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"concurrency": "x"}, "must be a number, got &#x27;x&#x27;"),
        ({"concurrency": "0"}, "an int from 1 to 100000, got 0"),
        ({"worker": "", "timeout": "5"}, "needs concurrency or worker"),
        ({"concurrency": "1", "timeout": "nan"}, "at most 604800 seconds, got nan"),
        ({"concurrency": "1", "queue": "a b"}, "queue name is 1 to 100 characters"),
    ],
)
def test_what_is_wrong_is_said(
    person: Callable[..., Client], form: dict[str, str], message: str
) -> None:
    answer = person(*ACT).post(PAGE, {"set": "", "queue": "default", **form}, follow=True)

    assert message in answer.content.decode()
    assert not throttles.listed()
    assert not AuditEntry.objects.exists()


def test_a_throttle_is_removed_once(person: Callable[..., Client]) -> None:
    throttles.throttle("default", concurrency=2)
    client = person(*ACT)

    said = [client.post(PAGE, {"remove": "default"}, follow=True) for _ in range(2)]

    assert "is not throttled any more" in said[0].content.decode()
    assert "was not throttled" in said[1].content.decode()
    assert AuditEntry.objects.get().act == "unthrottle"


def test_permits_are_released_though_their_jobs_go_on(person: Callable[..., Client]) -> None:
    throttles.throttle("default", concurrency=2)
    push([a_push() for _ in range(3)])
    Consumer("w").turn(connection, ["default"], 5)

    answer = person(*ACT).post(PAGE, {"release": "default"}, follow=True)

    assert "2 permits are free." in answer.content.decode()
    assert throttles.listed()[0].taken == 0
    assert (AuditEntry.objects.get().act, AuditEntry.objects.get().count) == ("release", 2)


def test_the_busiest_keys_are_shown_and_released(person: Callable[..., Client]) -> None:
    limited(4, key="bill account=42", concurrency=2)
    client = person(*ARGS)
    text = text_of(client)

    answer = client.post(PAGE, {"free": "bill account=42"}, follow=True)

    assert "bill account=42" in text
    assert 'data-label="Taken">2</td> <td class="num" data-label="Waiting">2</td>' in text
    assert "2 slots are free." in answer.content.decode()
    assert LimitSlot.objects.count() == 2
    assert not LimitedJob.objects.exists()
    assert AuditEntry.objects.get().what == "bill"


def test_what_a_key_tells_of_arguments_is_for_those_who_may_see_them(
    person: Callable[..., Client],
) -> None:
    limited(1, key="bill account=42", concurrency=2)
    client = person(*ACT)

    text = text_of(client)

    assert "bill •••" in text
    assert "account=42" not in text
    assert client.post(PAGE, {"free": "bill account=42"}).status_code == 403


def test_where_queues_have_a_hook_only_its_queues_are_shown_and_no_keys(
    person: Callable[..., Client], override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")
    for queue in ("mail", "secret"):
        throttles.throttle(queue, concurrency=2)
    limited(1, key="bill", concurrency=2)
    client = person(*ARGS)

    text = text_of(client)

    assert "/faktory/queues/mail/" in text
    assert "/faktory/queues/secret/" not in text
    assert "bill" not in text
    assert client.post(PAGE, {"release": "secret"}).status_code == 403
    assert client.post(PAGE, {"free": "bill"}).status_code == 400


def test_a_post_says_what_to_do(person: Callable[..., Client]) -> None:
    assert person(*ACT).post(PAGE).status_code == 400


def test_more_than_can_be_counted_is_said_so(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(5, key="bill", concurrency=1)
    monkeypatch.setattr(limits, "COUNTED", 3)

    assert "&gt; 2</td>" in text_of(viewer)


def test_a_job_that_waits_for_a_limit_says_so(person: Callable[..., Client]) -> None:
    jids = limited(4, key="bill account=42", concurrency=2)
    page = f"/faktory/jobs/{jids[3]}/"

    text, blind = text_of(person(*ARGS), page), text_of(person("view_job"), page)

    assert "waits for the limit &quot;bill account=42&quot;: 2 of 2 slots are taken." in text
    assert "1 job waits for it before this one." in text
    assert "waits for the limit &quot;bill •••&quot;" in blind


def test_a_job_that_waits_for_a_rate_says_so(viewer: Client) -> None:
    jids = limited(3, key="mail", rate=1, per=3_600)

    text = text_of(viewer, f"/faktory/jobs/{jids[1]}/")

    assert "1 of 1 jobs have begun in the last 1 h" in text


def test_a_job_in_a_throttled_queue_says_so(viewer: Client) -> None:
    throttles.throttle("default", concurrency=1, worker=1)
    push([a_push("throttled-1"), a_push("throttled-2")])
    Consumer("w").turn(connection, ["default"], 1)

    text = text_of(viewer, "/faktory/jobs/throttled-2/")

    assert "is throttled: 1 of 1 permits are taken." in text
    assert "each process runs 1 of its jobs at a time." in text


def test_the_list_of_a_queue_shows_jobs_that_wait_for_limits_last(viewer: Client) -> None:
    jids = limited(3, key="bill", concurrency=1)
    push([a_push("plain-0001")])
    order = [jids[0], "plain-0001", jids[1], jids[2]]

    text = text_of(viewer, "/faktory/queues/default/")

    assert sorted(order, key=text.index) == order
    for jid in order:
        assert jid in text_of(viewer, f"/faktory/queues/default/?q=jid:{jid}")


def test_all_that_wait_for_limits_are_discarded_with_their_queue(
    person: Callable[..., Client],
) -> None:
    limited(3, key="bill", concurrency=1)
    client = person(*ACT, "delete_job")

    client.post("/faktory/queues/", {"clear": "default", "confirmed": "1"})

    assert not Job.objects.exists()
    assert not LimitedJob.objects.exists()
    assert not LimitSlot.objects.exists()
