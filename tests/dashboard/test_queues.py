"""Queues: size, oldest wait and rates; pause, resume and clear."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django.dashboard import counts, queues
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import AuditEntry, Queue, Ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("busy", "blank_record")]
PAGE = "/faktory/queues/"
ACT = ("view_job", "act_on_job")
FLUSH = (*ACT, "delete_job")


def text_of(client: Client, query: str = "") -> str:
    """Return the page."""
    return client.get(PAGE + query).content.decode()


def waiting(queue: str) -> int:
    """Return how many jobs wait in a queue."""
    return Ready.objects.filter(queue=queue).count()


def fill(queue: str, count: int) -> None:
    """Push jobs into a queue."""
    push([Push(queue, f"{queue}-{i}", "fetch", "{}") for i in range(count)])


def test_each_queue_has_its_size_its_oldest_wait_and_its_rates(viewer: Client) -> None:
    text = text_of(viewer)

    row = text.partition('id="queue-reports"')[2].partition("</tr>")[0]
    assert ">24</data>" in row
    assert " min</td>" in row
    assert "<svg" in row


def test_a_large_queue_is_not_counted_and_says_so(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MANY_CAP", 20)

    row = text_of(viewer).partition('id="queue-reports"')[2].partition("</tr>")[0]

    assert re.search(r">(&gt; 20|≈ \d+)</data>", row)


@pytest.mark.django_db(transaction=True)
def test_a_large_queue_is_estimated_as_the_planner_does(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MANY_CAP", 20)
    fill("reports", 600)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE faktory_django_ready")

    row = text_of(viewer).partition('id="queue-reports"')[2].partition("</tr>")[0]

    assert ">≈ 620</data>" in row


def test_who_may_not_act_sees_no_buttons_and_is_refused(viewer: Client) -> None:
    text = text_of(viewer)
    responses = [viewer.post(PAGE, {act: "reports"}) for act in ("pause", "resume", "clear")]

    assert 'name="pause"' not in text
    assert [response.status_code for response in responses] == [403, 403, 403]
    assert not Queue.objects.get(name="reports").paused
    assert waiting("reports") == 24


def test_a_queue_is_paused_and_resumed_on_the_record(person: Callable[..., Client]) -> None:
    client = person(*ACT)

    client.post(PAGE, {"pause": "reports"})
    assert Queue.objects.get(name="reports").paused

    response = client.post(PAGE, {"resume": "reports"}, follow=True)
    assert not Queue.objects.get(name="reports").paused
    assert "goes on" in response.content.decode()
    acts = AuditEntry.objects.order_by("id").values_list("act", "target", "what")
    assert list(acts) == [("pause", "queue", "reports"), ("resume", "queue", "reports")]


def test_the_form_leads_back_to_where_it_was(person: Callable[..., Client]) -> None:
    client = person(*ACT)

    there = client.post(PAGE, {"pause": "mail", "next": "/faktory/?days=7"})
    elsewhere = client.post(PAGE, {"pause": "mail", "next": "https://evil.example/"})

    assert there.headers["Location"] == "/faktory/?days=7"
    assert elsewhere.headers["Location"] == PAGE


def test_clearing_takes_more_than_acting(person: Callable[..., Client]) -> None:
    response = person(*ACT).post(PAGE, {"clear": "reports", "confirmed": "yes"})

    assert response.status_code == 403
    assert waiting("reports") == 24


def test_a_queue_is_cleared_after_a_question(person: Callable[..., Client]) -> None:
    client = person(*FLUSH)

    question = client.post(PAGE, {"clear": "reports"}).content.decode()
    assert "24 jobs that wait in queue &quot;reports&quot; will be discarded." in question
    assert waiting("reports") == 24

    response = client.post(PAGE, {"clear": "reports", "confirmed": "yes"}, follow=True)
    assert "24 jobs were discarded." in response.content.decode()
    assert waiting("reports") == 0
    assert AuditEntry.objects.get().count == 24


def test_a_large_queue_is_cleared_when_its_name_is_typed(person: Callable[..., Client]) -> None:
    fill("reports", queues.TYPED_ABOVE)
    client = person(*FLUSH)
    data = {"clear": "reports", "confirmed": "yes"}

    for typed in ({}, {"typed": "mail"}):
        response = client.post(PAGE, data | typed)
        assert response.status_code == 400
        assert waiting("reports") == queues.TYPED_ABOVE + 24

    client.post(PAGE, data | {"typed": "reports"})
    assert waiting("reports") == 0


def test_what_takes_long_goes_on_where_its_progress_is_shown(
    person: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "CLEAR_SECONDS", 0)
    fill("reports", 1_200)
    data = {"clear": "reports", "confirmed": "yes", "typed": "reports"}

    response = person(*FLUSH).post(PAGE, data)

    assert "/operations/" in response.headers["Location"]
    assert 0 < waiting("reports") < 1_224


def test_a_queue_that_the_project_closes_is_not_there(
    person: Callable[..., Client], override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")
    client = person(*FLUSH)

    text = text_of(client)
    responses = [client.post(PAGE, {act: "reports"}) for act in ("pause", "clear")]

    assert 'id="queue-mail"' in text
    assert 'id="queue-reports"' not in text
    assert [response.status_code for response in responses] == [403, 403]
    assert client.post(PAGE, {"resume": "mail"}).status_code == 302


def test_a_queue_that_may_only_be_seen_has_no_buttons(
    person: Callable[..., Client], override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.look_only")

    text = text_of(person(*FLUSH))

    assert 'id="queue-mail"' in text
    assert 'id="resume-mail"' not in text
    assert 'id="pause-reports"' in text


@pytest.mark.parametrize("data", [{}, {"burn": "reports"}, {"pause": ""}, {"clear": "a b"}])
def test_what_is_no_act_is_refused(person: Callable[..., Client], data: dict[str, str]) -> None:
    assert person(*FLUSH).post(PAGE, data).status_code == 400


def test_a_page_is_bounded_and_the_next_one_begins_after_it(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "PER_PAGE", 2)

    first, second = text_of(viewer), text_of(viewer, "?after=default")

    assert "?after=default" in first
    assert 'id="queue-mail"' not in first
    assert 'id="queue-mail"' in second
    assert 'id="queue-default"' not in second
    assert viewer.get(f"{PAGE}?after=a b").status_code == 400


def test_a_page_costs_the_same_with_any_number_of_queues(
    viewer: Client, django_assert_max_num_queries: Any
) -> None:
    for i in range(90):
        Queue.objects.create(name=f"q{i}")

    with django_assert_max_num_queries(14):
        viewer.get(PAGE)
