"""A copy of a job, edited and pushed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from faktory_django import job, payload, registry
from faktory_django.models import AuditEntry, Job, RetryJob, ScheduledJob

from . import world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.test import Client

    from .world import World

# a FetchURL: https://notexist.example/, with a password
FETCH = world.jid("retry", 4)


@pytest.fixture(autouse=True)
def built(busy: World) -> World:
    return busy


@pytest.fixture
def own_jobs() -> Iterator[None]:
    """Forget the jobs that a test declares."""
    known = dict(registry._definitions)
    yield
    registry._definitions.clear()
    registry._definitions.update(known)


def url(jid: str = FETCH) -> str:
    return reverse("faktory:job_edit", args=[jid])


def form(client: Client, jid: str = FETCH) -> dict[str, Any]:
    """Return what the form holds when it is opened."""
    response = client.get(url(jid))
    assert response.status_code == 200
    found: dict[str, Any] = response.context["form"].initial
    return dict(found)


def send(client: Client, jid: str = FETCH, **changed: Any) -> Any:
    return client.post(url(jid), {**form(client, jid), **changed})


def errors(response: Any) -> str:
    assert response.status_code == 400
    return json.dumps(response.context["form"].errors)


def copy(response: Any) -> Job:
    assert response.status_code == 302, response.context["form"].errors
    return Job.objects.get(jid=response.url.rstrip("/").rpartition("/")[2])


def test_a_copy_is_a_job_of_its_own_with_its_secrets(chief: Client) -> None:
    before = RetryJob.objects.get(jid=FETCH)

    made = copy(send(chief, queue="fresh", priority=7, retry=3, reserve_for=90))

    assert made.jid != FETCH
    assert (made.queue, made.priority, made.reserve_for) == ("fresh", 7, 90)
    body = payload.parse(made.body)
    assert body.args == payload.parse(before.body).args
    assert body.retry == 3
    assert made.failure is None
    assert RetryJob.objects.get(jid=FETCH).body == before.body


def test_the_form_shows_no_secret(chief: Client) -> None:
    page = chief.get(url()).content.decode()

    assert "hunter2" not in page
    assert "•••" in page


def test_what_was_written_is_pushed(chief: Client) -> None:
    made = copy(send(chief, args='["https://other.example/"]', jobtype="FetchOther"))

    assert payload.parse(made.body).args == ["https://other.example/"]
    assert made.jobtype == "FetchOther"


def test_a_delay_makes_it_scheduled(chief: Client) -> None:
    response = send(chief, delay_seconds=3_600)

    assert response.status_code == 302
    assert ScheduledJob.objects.latest("id").jid in response.url


def test_a_push_is_on_the_record(chief: Client) -> None:
    made = copy(send(chief))

    entry = AuditEntry.objects.get(act="push")
    assert (entry.act, entry.target, entry.what, entry.count) == ("push", "waiting", made.jid, 1)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"args": "[1"}, "not JSON"),
        ({"args": "{}"}, "JSON array"),
        ({"args": ""}, "required"),
        ({"custom": "[]"}, "JSON object"),
        ({"queue": "no such name!"}, "a queue name is 1 to 100 characters"),
        ({"queue": ""}, "required"),
        ({"jobtype": "x" * 256}, "at most 255"),
        ({"jobtype": "a\tb", "args": "[]"}, "printable"),
        ({"priority": 101}, "less than or equal to 100"),
        ({"retry": -2}, "greater than or equal to -1"),
        ({"reserve_for": 59}, "greater than or equal to 60"),
        ({"delay_seconds": -1}, "greater than or equal to 0"),
        ({"delay_seconds": "nan"}, "Enter a number"),
        ({"delay_seconds": 10**12}, "MAX_DELAY_DAYS"),
        ({"args": '["\\ud800"]'}, "lone surrogate"),
        ({"args": "[1e400]"}, "not JSON"),
        ({"custom": '{"priority": 5}'}, "priority"),
        ({"custom": '{"faktory_django": {}}'}, "which is ours"),
        ({"args": json.dumps(["x" * 1_100_000])}, "MAX_PAYLOAD_BYTES"),
    ],
)
def test_what_is_wrong_is_said_in_the_form_and_nothing_is_pushed(
    chief: Client, changed: dict[str, Any], words: str
) -> None:
    before = Job.objects.count()

    response = send(chief, **changed)

    assert words in errors(response)
    assert Job.objects.count() == before
    assert not AuditEntry.objects.filter(act="push").exists()


@pytest.mark.usefixtures("own_jobs")
def test_arguments_that_do_not_fit_the_function_are_refused(chief: Client) -> None:
    @job(name="FetchURL")
    def fetch(url: str) -> None:
        raise AssertionError(url)

    assert "the arguments do not fit FetchURL: too many" in errors(send(chief))
    assert send(chief, args='["https://other.example/"]').status_code == 302


def test_a_middleware_may_stop_it(chief: Client, override_faktory: Callable[..., None]) -> None:
    override_faktory(PUSH_MIDDLEWARE=["tests.dashboard.middleware.stop"])

    assert "A middleware stopped the push" in errors(send(chief))


@pytest.mark.parametrize(
    "granted", [("view_job",), ("view_job", "act_on_job"), ("view_job", "view_job_args")]
)
def test_it_takes_the_permissions_to_see_arguments_and_to_act(
    person: Callable[..., Client], granted: tuple[str, ...]
) -> None:
    client = person(*granted)

    assert client.get(url()).status_code == 403
    assert client.post(url(), {}).status_code == 403


def test_nobody_pushes_into_a_queue_that_is_closed_to_them(
    chief: Client, override_faktory: Callable[..., None]
) -> None:
    filled = form(chief)
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.look_only")

    response = chief.post(url(), {**filled, "queue": "mail"})

    assert "You may not push into this queue" in errors(response)


def test_a_job_of_a_closed_queue_is_not_copied(
    chief: Client, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.look_only")

    assert chief.get(url(world.jid("retry", 1))).status_code == 403


def test_the_job_that_is_meant_is_copied_of_those_that_share_a_jid(chief: Client) -> None:
    shared = RetryJob.objects.get(jid=FETCH)
    RetryJob.objects.filter(jid=world.jid("retry", 0)).update(jid=FETCH)

    pages = [
        chief.get(url(), {"place": "retries", "key": str(key)}).context["form"].initial["jobtype"]
        for key in (shared.pk, RetryJob.objects.exclude(pk=shared.pk).get(jid=FETCH).pk)
    ]

    assert pages == ["FetchURL", "shop.jobs.charge_card"]


def test_a_job_that_is_gone_says_so(chief: Client) -> None:
    assert chief.get(url("gone-0001")).status_code == 404


def test_a_job_that_cannot_be_read_says_so(chief: Client) -> None:
    RetryJob.objects.filter(jid=FETCH).update(body="no json")

    page = chief.get(url())

    assert "The job is not readable" in page.content.decode()
    assert chief.post(url(), {}).status_code == 200


def test_a_copy_of_a_unique_job_says_who_holds_its_lock(chief: Client) -> None:
    first = copy(send(chief, custom='{"unique_for": 60}'))

    refused = send(chief, custom='{"unique_for": 60}')

    assert f"Another job holds the unique lock, {first.jid}" in errors(refused)
