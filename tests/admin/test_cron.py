"""Cron entries in the admin: who may, what is wrong with a form, what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.urls import reverse

from faktory_django.lifecycle import cron_entries
from faktory_django.models import CronEntry

from .conftest import act, list_url, page_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
ADD = "/admin/faktory_django/cronentry/add/"
FORM = {
    "name": "report",
    "jobtype": "shop.report",
    "schedule": "30 4 * * 1",
    "zone": "Asia/Tokyo",
    "args": '["all", {"token": "hunter2"}]',
    "custom": "",
    "queue": "reports",
    "priority": "",
    "retry": "2",
    "reserve_for": "",
    "missed": "last",
    "within_seconds": "",
}
EDIT = tuple(f"{what}_cronentry" for what in ("view", "add", "change", "delete"))
ALL = (*EDIT, "act_on_job", "view_job_args")


def make(**options: Any) -> CronEntry:
    """Make an entry."""
    said = {"name": "report", "jobtype": "shop.report", "schedule": "@daily", "zone": "UTC"}
    entry = CronEntry(**said | options)
    cron_entries.save(entry)
    return entry


def test_an_entry_is_made_and_has_a_next_tick(person: Callable[..., Client]) -> None:
    client = person(*ALL)
    assert 'value="America/Chicago"' in client.get(ADD).content.decode()

    assert client.post(ADD, FORM).status_code == 302

    entry = CronEntry.objects.get()
    assert (entry.source, entry.args, entry.custom) == ("person", '["all",{"token":"hunter2"}]', "")
    assert (entry.retry, entry.priority, entry.within_seconds) == (2, None, None)
    assert entry.next_at is not None


def test_an_edit_sets_the_next_tick_anew(person: Callable[..., Client]) -> None:
    client, entry = person(*ALL), make(schedule="0 0 1 1 *")

    page = client.get(page_url("cronentry", entry.pk)).content.decode()
    client.post(page_url("cronentry", entry.pk), FORM | {"schedule": "* * * * *"})

    edited = CronEntry.objects.get()
    assert 'name="args"' in page
    assert edited.schedule == "* * * * *"
    assert edited.next_at
    assert entry.next_at
    assert edited.next_at < entry.next_at


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "required"),
        ("name", "taken", "already"),
        ("name", "x" * 201, "1 to 200 printable"),
        ("name", "a\x1bb", "printable"),
        ("jobtype", "", "required"),
        ("jobtype", "x" * 256, "1 to 255 printable"),
        ("schedule", "", "required"),
        ("schedule", "every day", "wrong number of fields"),
        ("schedule", "61 * * * *", "bad minute"),
        ("schedule", "@reboot", "five fields"),
        ("zone", "Mars/Olympus", "IANA"),
        ("args", "", "required"),
        ("args", "{}", "Arguments are a JSON list"),
        ("args", "[1", "It is not JSON"),
        ("args", "[" * 200 + "]" * 200, "nested deeper than"),
        ("args", "[NaN]", ""),
        ("args", "[" * 103 + "]" * 103, ""),
        ("custom", "[]", "custom must be a dict"),
        ("custom", "{", "It is not JSON"),
        ("custom", '{"priority": 1}', "priority"),
        ("queue", "a b", "a queue name is"),
        ("priority", "101", "-100 to 100"),
        ("retry", "-2", "-1 to 1000"),
        ("retry", "many", "whole number"),
        ("reserve_for", "59", "60 to 86400"),
        ("missed", "never", "valid choice"),
        ("within_seconds", "59", "60 to"),
        ("within_seconds", "99999999", "60 to"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_and_nothing_is_written(
    person: Callable[..., Client], field: str, value: str, message: str
) -> None:
    make(name="taken")

    response = person(*ALL).post(ADD, FORM | {field: value})

    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert message in response.content.decode()
    assert CronEntry.objects.count() == 1


def test_pushing_each_missed_tick_needs_a_window(person: Callable[..., Client]) -> None:
    client = person(*ALL)

    refused = client.post(ADD, FORM | {"missed": "all"})
    client.post(ADD, FORM | {"missed": "all", "within_seconds": "3600"})

    assert "within_seconds" in refused.context["adminform"].form.errors
    assert CronEntry.objects.get().within_seconds == 3_600


def test_arguments_have_to_fit_a_job_that_is_known_here(person: Callable[..., Client]) -> None:
    known = FORM | {"jobtype": "tests.jobapp.jobs.record"}

    refused = person(*ALL).post(ADD, known | {"args": "[1]"})

    assert "do not fit" in refused.content.decode()
    assert person(*ALL).post(ADD, known | {"args": '["a", "b"]'}).status_code == 302


@pytest.mark.parametrize("missing", ["add_cronentry", "act_on_job"])
def test_making_an_entry_takes_both_permissions(
    person: Callable[..., Client], missing: str
) -> None:
    client = person(*(name for name in ALL if name != missing))

    assert client.get(ADD).status_code == 403
    assert client.post(ADD, FORM).status_code == 403


@pytest.mark.parametrize("missing", ["change_cronentry", "act_on_job", "view_job_args"])
def test_an_edit_takes_all_permissions(person: Callable[..., Client], missing: str) -> None:
    client = person(*(name for name in ALL if name != missing))
    entry = make(args='["secret sauce", {"token": "hunter2"}]', custom='{"token": "hunter3"}')

    page = client.get(page_url("cronentry", entry.pk)).content.decode()

    assert 'name="args"' not in page
    assert "hunter" not in page
    assert ("secret sauce" in page) == (missing != "view_job_args")
    assert client.post(page_url("cronentry", entry.pk), FORM).status_code == 403


def test_an_entry_of_code_is_looked_at_only(chief: Client) -> None:
    entry = make(source="code")
    delete = reverse("admin:faktory_django_cronentry_delete", args=[entry.pk])

    page = chief.get(page_url("cronentry", entry.pk)).content.decode()

    assert "shop.report" in page
    assert 'name="schedule"' not in page
    assert chief.post(page_url("cronentry", entry.pk), FORM).status_code == 403
    assert chief.post(delete, {"post": "yes"}).status_code == 403


def test_entries_are_deleted_one_by_one_or_together(chief: Client) -> None:
    first, second, code = make(), make(name="b"), make(name="c", source="code")
    delete = reverse("admin:faktory_django_cronentry_delete", args=[first.pk])

    assert "report" in chief.get(delete).content.decode()
    chief.post(delete, {"post": "yes"})
    act(chief, "cronentry", "delete_selected", [second.pk, code.pk], post="yes")

    assert [entry.name for entry in CronEntry.objects.all()] == ["c"]


def test_entries_are_paused_and_resumed_from_the_list(person: Callable[..., Client]) -> None:
    client, entry = person(*ALL), make()

    act(client, "cronentry", "pause", [entry.pk])
    entry.refresh_from_db()
    assert entry.paused
    act(client, "cronentry", "resume", [entry.pk])
    entry.refresh_from_db()
    assert not entry.paused


def test_an_entry_is_found_by_how_its_name_begins(chief: Client) -> None:
    make(name="alpha"), make(name="beta")

    text = chief.get(list_url("cronentry", "?q=al")).content.decode()

    assert "alpha" in text
    assert "beta" not in text
