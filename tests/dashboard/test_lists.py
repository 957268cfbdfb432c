"""Lists: scheduled, retries, dead and one queue: in order, page by page, searched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.db import connection

from faktory_django.lifecycle import matching, queues
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import DeadJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from . import world

pytestmark = pytest.mark.django_db

LISTS = ("scheduled", "retries", "dead")
TABLES = {"scheduled": "scheduledjob", "retries": "retryjob", "dead": "deadjob"}
ADDRESSES = [*(f"/faktory/{name}/" for name in LISTS), "/faktory/queues/default/"]
FILL = """
INSERT INTO faktory_django_{table} (queue, jid, jobtype, reserve_for, body, failure, {at})
SELECT 'default', 'jid-' || i, 'type' || i %% 3, 60, '{{"args":[{{"user_id":' || i || '}}]}}',
    '{{"errtype":"E","message":"no ' || i || '","retry_count":2}}',
    clock_timestamp() + interval '1 hour' + i * interval '1 s'
FROM generate_series(0, %s - 1) AS i
"""


def fill(name: str, size: int) -> None:
    at = "died_at" if name == "dead" else "due_at"
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(table=TABLES[name], at=at), [size])


def jids(response: Any) -> list[str]:
    assert response.status_code == 200
    return [row.jid for row in response.context["rows"]]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_its_jobs_in_order(chief: Client, name: str) -> None:
    fill(name, 3)

    response = chief.get(f"/faktory/{name}/")

    order = ["jid-0", "jid-1", "jid-2"]
    assert jids(response) == (order[::-1] if name == "dead" else order)
    text = response.content.decode()
    assert "type0" in text
    assert "user_id" in text
    assert f"/faktory/jobs/jid-0/?next={quote(f'/faktory/{name}/', safe='')}" in text


@pytest.mark.parametrize("name", LISTS)
def test_pages_lead_forth_and_back(chief: Client, name: str) -> None:
    fill(name, 120)
    seen = []

    response = chief.get(f"/faktory/{name}/")
    first = jids(response)
    while address := response.context["pages"].next:
        seen += jids(response)
        response = chief.get(f"/faktory/{name}/{address}")
    seen += jids(response)
    assert len(seen) == len(set(seen)) == 120

    for _page in range(2):
        response = chief.get(f"/faktory/{name}/{response.context['pages'].previous}")
    assert jids(response) == first
    assert response.context["pages"].previous == ""


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_empty_list_says_what_would_be_there(chief: Client, address: str) -> None:
    queues.declare(["default"])

    response = chief.get(address)

    assert str(response.context["list"].empty) in response.content.decode().replace("&#x27;", "'")


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("jid:jid-7", ["jid-7"]),
        ("jid-7", ["jid-7"]),
        ("args.user_id=7", ["jid-7"]),
        ("error:no*7 type:type1", ["jid-7"]),
        ("queue:other", []),
    ],
)
def test_a_list_is_searched(chief: Client, name: str, search: str, expected: list[str]) -> None:
    fill(name, 10)

    response = chief.get(f"/faktory/{name}/", {"q": search})

    assert jids(response) == expected
    assert f'value="{search}"' in response.content.decode()


def test_a_search_says_how_far_it_looked_and_goes_on(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "WINDOW", 20)
    fill("retries", 50)

    response = chief.get("/faktory/retries/", {"q": "args.user_id=45"})
    assert jids(response) == []
    assert "20 jobs were looked at for this page" in response.content.decode()

    for _look in range(2):
        response = chief.get(f"/faktory/retries/{response.context['pages'].further}")
    assert jids(response) == ["jid-45"]
    assert parse_qs(urlsplit(response.wsgi_request.get_full_path()).query)["q"] == [
        "args.user_id=45"
    ]


@pytest.mark.parametrize(
    ("search", "word"), [("typ:x", "typ"), ('error:"x', "error:&quot;x"), ("queue:", "queue:")]
)
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_search_that_is_not_understood_names_the_word(
    chief: Client, address: str, search: str, word: str
) -> None:
    queues.declare(["default"])

    response = chief.get(address, {"q": search})

    assert response.status_code == 400
    assert f"“{word}”" in response.content.decode()
    assert response.context["rows"] == []


@pytest.mark.parametrize("place", ["x", "1", "1.x", "9" * 40 + ".1", "9" * 18 + ".1", "-1.-1.1"])
@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_that_is_none_is_refused(chief: Client, address: str, name: str, place: str) -> None:
    queues.declare(["default"])

    assert chief.get(address, {name: place}).status_code == 400


def test_what_runs_next_comes_first(chief: Client) -> None:
    queues.declare(["default"])
    jobs = [("low", -5), ("a", 0), ("b", 0), ("high", 9)]
    push([Push("default", jid, "t", '{"args":[]}', priority=rank) for jid, rank in jobs])

    assert jids(chief.get("/faktory/queues/default/")) == ["high", "a", "b", "low"]


def test_an_unknown_queue_is_not_found(chief: Client) -> None:
    assert chief.get("/faktory/queues/nobody/").status_code == 404


def test_arguments_take_a_permission(person: Callable[..., Client]) -> None:
    fill("dead", 1)
    viewer = person("view_job")

    assert "user_id" not in re.sub(
        r"placeholder=\S+.*?>", "", viewer.get("/faktory/dead/").content.decode()
    )
    assert viewer.get("/faktory/dead/", {"q": "args.user_id=0"}).status_code == 403
    assert "user_id" in person("view_job", "view_job_args").get("/faktory/dead/").content.decode()


def test_secrets_are_hidden_in_lists(chief: Client, busy: world.World) -> None:
    del busy

    text = "".join(chief.get(f"/faktory/{name}/").content.decode() for name in LISTS)

    assert "•••" in text
    assert "hunter2" not in text
    assert "tok_live_4242" not in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"args":["' + "x" * 70_000 + '"]}', "too long for a list"),
        ('{"args":["' + "x" * 400 + '"]}', "x…"),
        ('{"args":["\\ud800"]}', "ud800"),
        # what Python can read of it, and what it can show, is not the same in each version
        ('{"args":' + "[" * 700 + "]" * 700 + "}", "<code"),
        ('{"args":' + "[" * 3_000 + "]" * 3_000 + "}", "<code"),
        ("{}", "<code"),
        ("[", "<code"),
        ('{"args":[],"custom":{"wrapped":"WelcomeMailer"}}', "WelcomeMailer"),
    ],
)
def test_whatever_a_job_carries_is_shown_on_one_line(chief: Client, body: str, said: str) -> None:
    fill("dead", 1)
    DeadJob.objects.update(body=body)

    response = chief.get("/faktory/dead/")

    assert jids(response) == ["jid-0"]
    assert said in response.content.decode()


def test_who_may_only_look_gets_no_buttons(viewer: Client) -> None:
    fill("dead", 1)

    text = viewer.get("/faktory/dead/").content.decode()

    assert "Retry now" not in text
    assert 'name="ids"' not in text


def test_who_may_not_flush_cannot_discard_everything(person: Callable[..., Client]) -> None:
    fill("dead", 1)

    text = person("view_job", "act_on_job").get("/faktory/dead/").content.decode()

    assert "Retry all" in text
    assert "Discard" in text
    assert "Discard all" not in text


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("search", ["", "type:nobody", "args:nobody", "word", "jid:x"])
def test_a_page_is_a_fixed_number_of_queries(
    chief: Client, busy: world.World, django_assert_max_num_queries: Any, address: str, search: str
) -> None:
    del busy
    chief.get(address)

    with django_assert_max_num_queries(16):
        chief.get(address, {"q": search})


def test_only_the_queues_of_a_person_are_listed(
    chief: Client, busy: world.World, override_faktory: Callable[..., None]
) -> None:
    del busy
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    for name in LISTS:
        response = chief.get(f"/faktory/{name}/")
        assert {row.queue for row in response.context["rows"]} == {"mail"}
        assert jids(chief.get(f"/faktory/{name}/", {"q": "queue:default"})) == []
    assert chief.get("/faktory/queues/default/").status_code == 403
    assert chief.get("/faktory/queues/mail/").status_code == 200
