"""Who may see and do what; nothing is written but by the life cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from faktory_django.models import Job, Process, Queue, RetryJob

from .conftest import MODELS, act, list_url, page_url, push_job, retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from .conftest import Worker


def test_what_an_operator_looks_at_is_registered_and_nothing_else() -> None:
    registered = {
        model._meta.model_name
        for model in admin.site._registry
        if model._meta.app_label == "faktory_django"
    }

    assert registered == {*MODELS, "batch", "cronentry", "dashboard", "throttle"}


@pytest.mark.parametrize("model", MODELS)
def test_staff_without_a_grant_sees_no_list_and_no_page(
    person: Callable[..., Client], everywhere: dict[str, Any], model: str
) -> None:
    client = person()

    assert client.get(list_url(model)).status_code == 403
    assert client.get(page_url(model, everywhere[model])).status_code == 403
    assert client.post(list_url(model), {"action": "kill"}).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_who_is_not_staff_is_sent_to_the_login_whatever_was_granted(
    person: Callable[..., Client], everywhere: dict[str, Any], model: str
) -> None:
    client = person("view_all", "act_on_job", staff=False)

    for url in (list_url(model), page_url(model, everywhere[model])):
        assert client.get(url)["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("model", MODELS)
def test_the_view_permission_shows_list_page_and_history_of_its_model(
    person: Callable[..., Client], everywhere: dict[str, Any], model: str
) -> None:
    client = person(f"view_{model}")
    history = reverse(f"admin:faktory_django_{model}_history", args=[everywhere[model]])

    for url in (list_url(model), page_url(model, everywhere[model]), history):
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_even_a_superuser_cannot_add_change_or_delete(
    chief: Client, everywhere: dict[str, Any], model: str
) -> None:
    key = everywhere[model]
    delete = reverse(f"admin:faktory_django_{model}_delete", args=[key])

    assert chief.get(reverse(f"admin:faktory_django_{model}_add")).status_code == 403
    assert chief.post(page_url(model, key), {"queue": "other"}).status_code == 403
    assert chief.post(delete, {"post": "yes"}).status_code == 403
    assert "delete_selected" not in chief.get(list_url(model)).content.decode()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        *(("job", name) for name in ("cancel", "kill", "discard")),
        *(("scheduledjob", name) for name in ("add_to_queue", "kill", "cancel", "discard")),
        *(("retryjob", name) for name in ("retry_now", "kill", "cancel", "discard")),
        *(("deadjob", name) for name in ("retry_now", "discard")),
        *(("queue", name) for name in ("pause", "resume", "clear")),
        *(("process", name) for name in ("quiet", "stop")),
    ],
)
def test_who_may_only_look_is_offered_no_action_and_cannot_post_one(
    person: Callable[..., Client], everywhere: dict[str, Any], model: str, name: str
) -> None:
    client = person("view_all")

    page = client.get(list_url(model)).content.decode()
    act(client, model, name, [everywhere[model]], confirmed="yes")

    assert f'value="{name}"' not in page
    assert not LogEntry.objects.exists()
    assert Job.objects.count() == RetryJob.objects.count() == 1
    assert Process.objects.get().state == "running"
    assert not Queue.objects.get().paused


def test_clearing_a_queue_needs_the_permission_to_delete_jobs_too(
    person: Callable[..., Client], everywhere: dict[str, Any]
) -> None:
    act(person("view_all", "act_on_job"), "queue", "clear", ["default"], confirmed="yes")
    assert Job.objects.count() == 1

    client = person("view_all", "act_on_job", "delete_job")
    act(client, "queue", "clear", [everywhere["queue"]], confirmed="yes")
    assert Job.objects.count() == 0


def test_processes_are_stopped_by_who_may_change_processes_only(
    person: Callable[..., Client], worker: Worker
) -> None:
    act(person("view_all", "act_on_job"), "process", "stop", [worker.wid])
    assert Process.objects.get().state == "running"

    act(person("view_all", "change_process"), "process", "stop", [worker.wid])
    assert Process.objects.get().state == "terminate"


def test_a_post_without_the_csrf_token_changes_nothing(person: Callable[..., Client]) -> None:
    client = person("view_all", "act_on_job")
    client.handler.enforce_csrf_checks = True
    entry = retry("again")

    response = act(client, "retryjob", "kill", [entry.pk])

    assert response.status_code == 403
    assert RetryJob.objects.count() == 1


def test_looking_at_every_page_changes_nothing(chief: Client, everywhere: dict[str, Any]) -> None:
    before = [list(model.objects.values()) for model in (Job, RetryJob, Queue, Process)]

    for model, key in everywhere.items():
        chief.get(list_url(model, "?action=discard&confirmed=yes"))
        chief.get(page_url(model, key))

    assert before == [list(model.objects.values()) for model in (Job, RetryJob, Queue, Process)]


@pytest.mark.parametrize(
    "query",
    [
        *("?body__contains=x", "?body__regex=.", "?failure__contains=x", "?reserve_for__gt=1"),
        *("?queue=a%00b", "?jobtype=a%00b", "?jid=a"),
    ],
)
def test_the_address_cannot_ask_for_other_columns_than_the_filters(
    chief: Client, query: str
) -> None:
    retry("again")

    assert chief.get(list_url("retryjob", query)).status_code == 400


QUERIES = [
    *("?q=%00", "?q=%22", "?q=" + "x" * 3000, "?p=0", "?p=-1", "?p=x", "?p=" + "9" * 30),
    *("?o=1", "?o=-2.3", "?o=x", "?all=", "?_facets=True", "?_popup=1", "?e=1"),
    *("?queue=none", "?queue=%27", "?jobtype=%C3%A9", "?queue=a&queue=b", "?_to_field=body"),
    *("?resolution=61", "?resolution=x", "?state=x", "?state__exact=x", "?paused__exact=x"),
]
KEYS = ["0", "-1", "x", "9" * 30, "9" * 5000, "_00", "a_00b", "é"]


@pytest.mark.parametrize("model", ["job", "deadjob", "queue", "process", "counter"])
def test_no_address_makes_a_list_fail(
    chief: Client, everywhere: dict[str, Any], model: str
) -> None:
    assert everywhere

    found = {q: chief.get(list_url(model, q), follow=True).status_code for q in QUERIES}

    assert {q: code for q, code in found.items() if code not in {200, 400}} == {}


@pytest.mark.parametrize("model", ["job", "queue", "counter"])
def test_no_key_makes_a_page_fail(chief: Client, db: None, model: str) -> None:
    del db

    urls = [f"{list_url(model)}{key}/change/" for key in KEYS]
    found = {url: chief.get(url, follow=True).status_code for url in urls}

    assert {url: code for url, code in found.items() if code not in {200, 400, 404}} == {}


@pytest.mark.parametrize("key", ["x", "\0", "9" * 30, "1.5"])
@pytest.mark.parametrize("model", ["job", "deadjob", "queue", "process"])
def test_no_selected_key_makes_an_action_fail(
    chief: Client, db: None, model: str, key: str
) -> None:
    del db
    name = {"queue": "pause", "process": "quiet"}.get(model, "discard")

    assert act(chief, model, name, [key], confirmed="yes").status_code in {200, 400}


def test_an_order_that_the_address_asks_for_is_not_used(chief: Client) -> None:
    push_job("b", queue="a")
    push_job("a", queue="b")

    for order in ("1", "-1", "3", "-3"):
        found = chief.get(list_url("job", f"?o={order}")).context["cl"].result_list
        assert [job.jid for job in found] == ["b", "a"]
