"""Throttles in the admin: who may, what is wrong with a form, what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import throttles
from faktory_django.models import Throttle
from faktory_django.throttling import Limits

from .conftest import act, list_url, page_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
ADD = "/admin/faktory_django/throttle/add/"
FORM = {"queue": "scrape", "concurrency": "3", "per_worker": "", "timeout_seconds": "90"}
EDIT = tuple(f"{what}_throttle" for what in ("view", "add", "change", "delete"))
ALL = (*EDIT, "act_on_job")


def said() -> list[tuple[object, ...]]:
    """Return what the throttles say."""
    return [tuple(one)[:5] for one in throttles.listed()]


def test_a_throttle_is_made(person: Callable[..., Client]) -> None:
    assert person(*ALL).post(ADD, FORM).status_code == 302

    assert said() == [("scrape", 3, None, 90.0, "person")]


def test_one_of_the_settings_that_a_person_changes_is_that_persons(
    person: Callable[..., Client],
) -> None:
    throttles.declare(connection, {"scrape": Limits(3, None, None)})
    client = person(*ALL)
    page = client.get(page_url("throttle", "scrape")).content.decode()

    client.post(page_url("throttle", "scrape"), FORM | {"concurrency": "5"})

    assert 'name="concurrency" value="3"' in page
    assert said() == [("scrape", 5, None, 90.0, "person")]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("queue", "", "required"),
        ("queue", "a b", "a queue name is 1 to 100 characters"),
        ("concurrency", "", "needs concurrency or worker"),
        ("concurrency", "0", "an int from 1 to 100000, got 0"),
        ("concurrency", "x", "whole number"),
        ("per_worker", "-1", "an int from 1 to 100000, got -1"),
        ("timeout_seconds", "0", "at most 604800 seconds, got 0.0"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(
    person: Callable[..., Client], field: str, value: str, message: str
) -> None:
    answer = person(*ALL).post(ADD, FORM | {field: value})

    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not Throttle.objects.exists()


def test_the_list_says_how_many_permits_are_taken(person: Callable[..., Client]) -> None:
    throttles.throttle("scrape", concurrency=3)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO faktory_django_lease (wid, claimed_at, ids, queue)"
            " SELECT 'w', now(), ARRAY[n::bigint], 'scrape' FROM generate_series(1, 2) n"
        )

    page = person("view_throttle").get(list_url("throttle")).content.decode()

    assert '<td class="field-taken">2</td>' in page


def test_throttles_are_removed(person: Callable[..., Client]) -> None:
    throttles.throttle("scrape", concurrency=3)
    throttles.throttle("imports", worker=3)
    client = person(*ALL)

    client.post(page_url("throttle", "scrape").replace("change", "delete"), {"post": "yes"})
    act(client, "throttle", "delete_selected", ["imports"], post="yes")

    assert said() == []


@pytest.mark.parametrize("missing", ALL[1:])
def test_each_change_takes_its_permission(person: Callable[..., Client], missing: str) -> None:
    throttles.throttle("scrape", concurrency=3)
    client = person(*(name for name in ALL if name != missing))

    answers = {
        "add_throttle": client.post(ADD, FORM | {"queue": "new"}).status_code,
        "change_throttle": client.post(page_url("throttle", "scrape"), FORM).status_code,
        "delete_throttle": client.post(
            page_url("throttle", "scrape").replace("change", "delete"), {"post": "yes"}
        ).status_code,
    }

    refused = {name for name, status in answers.items() if status == 403}
    assert refused == ({*answers} if missing == "act_on_job" else {missing})
