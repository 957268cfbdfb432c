"""Audit: who did what, page by page; nobody changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faktory_django.models import AuditEntry, Operation

from .test_acts import keys, post
from .test_lists import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db


def test_an_empty_audit_says_what_would_be_there(chief: Client) -> None:
    assert "Nothing has been done yet." in chief.get("/faktory/audit/").content.decode()


def test_an_act_is_listed_with_who_what_how_many_and_the_search(chief: Client) -> None:
    fill("dead", 3)
    post(chief, "dead", all="requeue", q="type:type0", confirmed="yes")

    text = chief.get("/faktory/audit/").content.decode()

    for said in ("person0", "Retry now", "Dead", "type:type0"):
        assert said in text
    assert AuditEntry.objects.get().count == 1


def test_pages_follow_each_other(chief: Client) -> None:
    AuditEntry.objects.bulk_create(
        AuditEntry(user="ada", act="pause", target="queue", what=f"q{i}") for i in range(120)
    )
    seen: list[str] = []
    address = "/faktory/audit/"
    while address:
        response = chief.get(address)
        seen += [line.what for line in response.context["lines"]]
        following = response.context["next"]
        address = f"/faktory/audit/?before={following}" if following else ""

    assert seen == [f"q{i}" for i in reversed(range(120))]


def test_a_page_is_a_fixed_number_of_queries(
    chief: Client, django_assert_max_num_queries: Callable[..., object]
) -> None:
    fill("dead", 3)
    for number in range(3):
        post(chief, "dead", act="requeue", ids=keys("dead", number))

    with django_assert_max_num_queries(9):  # type: ignore[attr-defined]
        chief.get("/faktory/audit/")


@pytest.mark.parametrize("before", ["x", "-1", "9" * 30, "\0"])
def test_a_page_that_is_none_is_refused(chief: Client, before: str) -> None:
    assert chief.get("/faktory/audit/", {"before": before}).status_code == 400


def test_what_was_searched_for_in_arguments_takes_the_permission(
    chief: Client, viewer: Client
) -> None:
    AuditEntry.objects.create(
        user="ada", act="kill", target="retries", filter="args.email=ada@example.org"
    )

    assert "ada@example.org" in chief.get("/faktory/audit/").content.decode()
    assert "ada@example.org" not in viewer.get("/faktory/audit/").content.decode()


@pytest.mark.parametrize("filter_", ['error:"', "typ:x"])
def test_what_no_search_can_say_is_shown_to_those_who_may_see_all(
    chief: Client, viewer: Client, filter_: str
) -> None:
    AuditEntry.objects.create(user="ada", act="dance", target="moon", filter=filter_)

    [line] = chief.get("/faktory/audit/").context["lines"]
    assert (line.act, line.target, line.search, line.done) == ("dance", "moon", filter_, None)
    assert viewer.get("/faktory/audit/").context["lines"][0].search == "•••"


def test_an_entry_and_its_operation_can_be_told() -> None:
    entry = AuditEntry.objects.create(user="ada", act="kill", target="dead", what="x")
    operation = Operation(audit=entry, last=0, total=0, state="done")

    assert str(entry) == "ada kill dead x"
    assert str(operation) == f"{entry.pk} done"


def test_where_queues_have_a_hook_people_see_what_they_did(
    person: Callable[..., Client], override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")
    AuditEntry.objects.create(user="ada", act="clear", target="queue", what="secret-queue")
    AuditEntry.objects.create(user="person0", act="pause", target="queue", what="mail")

    text = person("view_job").get("/faktory/audit/").content.decode()

    assert "mail" in text
    assert "secret-queue" not in text
    assert "Only what you did yourself is shown." in text
