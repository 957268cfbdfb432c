"""Errors: retries and dead jobs by what went wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django.dashboard import error_groups
from faktory_django.models import DeadJob, RetryJob

from .test_lists import fill, jids

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from . import world

pytestmark = pytest.mark.django_db


def fail_with(model: Any, *failures: str) -> None:
    fill({RetryJob: "retries", DeadJob: "dead"}[model], len(failures))
    for entry, failure in zip(model.objects.order_by("pk"), failures, strict=True):
        model.objects.filter(pk=entry.pk).update(failure=failure)


def failure(errtype: str, message: str, **spacing: Any) -> str:
    backtrace = ['"errtype":"Wrong"', '"message":"wrong"']
    found = {"failed_at": "x", "message": message, "errtype": errtype, "backtrace": backtrace}
    return json.dumps(found, **spacing)


@pytest.mark.parametrize(
    ("errtype", "message", "pattern"),
    [
        ("E", "order 4711 of 12", "E: order * of *"),
        ("E", "no 550e8400-e29b-41d4-a716-446655440000!", "E: no *!"),
        ("E", "<object at 0x7fca12451d10>", "E: <object at *>"),
        ("E", "jid 9f2c4be19f2c4be19f2c4be1", "E: jid *"),
        ("E", "deadbeefcafe", "E: deadbeefcafe"),
        ("E", "1 2 3", "E: *"),
        ("E", "two\nlines", "E: two*lines"),
        ("E", "x" * 300, "E: " + "x" * 177),
    ],
)
def test_what_varies_makes_no_difference(errtype: str, message: str, pattern: str) -> None:
    assert error_groups.pattern_of(errtype, message) == pattern


def test_jobs_are_grouped_and_counted(chief: Client) -> None:
    fail_with(RetryJob, failure("A", "no 1"), failure("A", "no 22"), failure("B", "other"))
    fail_with(DeadJob, failure("A", "no 3"), failure("C", "x", separators=(",", ":")))

    groups = chief.get("/faktory/errors/").context["groups"]

    found = [(group.errtype, group.retries, group.dead, group.number) for group in groups]
    assert found == [("A", 2, 1, 3), ("B", 1, 0, 1), ("C", 0, 1, 1)]
    assert groups[0].next_at is not None
    assert groups[0].last_at is not None


@pytest.mark.parametrize(
    ("errtype", "message"),
    [
        ("E", 'says "no" to 12'),
        ("E", "back\\slash 1"),
        ("日本", "ありません 12"),
        ("E", "two\nlines\tand 3"),
        ("E", '","errtype":"Trap'),
        ("E", "x" * 990),
        ("*", "* 100 %"),
        ("", "only a message"),
        ("E", "ab" + "é" * 80),
        ("E", "abc" + "é" * 80),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_link_of_a_group_finds_its_jobs(
    chief: Client, errtype: str, message: str, ascii_only: bool
) -> None:
    fail_with(DeadJob, failure(errtype, message, ensure_ascii=ascii_only), failure("Z", "z"))

    page = chief.get("/faktory/errors/")
    group = next(group for group in page.context["groups"] if group.errtype != "Z")

    assert jids(chief.get(f"/faktory/dead/?{group.search}")) == ["jid-0"]
    assert group.search.replace("&", "&amp;") in page.content.decode()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"message":"\\x"}', '{"errtype":1}', '{"message":"\\ud800"}']
)
def test_what_is_no_failure_does_no_harm(chief: Client, text: str) -> None:
    fail_with(DeadJob, text)

    response = chief.get("/faktory/errors/")

    assert response.status_code == 200
    assert [group.dead for group in response.context["groups"]] == [1]


def test_the_page_says_how_far_it_looked(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_groups, "WINDOW", 5)
    fail_with(DeadJob, *(failure("E", str(i)) for i in range(8)))

    response = chief.get("/faktory/errors/")

    assert response.context["groups"][0].dead == 5
    assert "there are more" in response.content.decode()


def test_only_the_queues_of_a_person_count(
    chief: Client, busy: world.World, override_faktory: Callable[..., None]
) -> None:
    del busy
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    groups = chief.get("/faktory/errors/").context["groups"]

    jobs = (
        RetryJob.objects.filter(queue="mail").count() + DeadJob.objects.filter(queue="mail").count()
    )
    assert sum(group.number for group in groups) == jobs


def test_a_page_is_a_fixed_number_of_queries(
    chief: Client, busy: world.World, django_assert_max_num_queries: Any
) -> None:
    del busy
    with django_assert_max_num_queries(9):
        chief.get("/faktory/errors/")
