"""Batches: how far each is, its jobs and children, and the button to cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django.dashboard import batches
from faktory_django.lifecycle import batch, mutate
from faktory_django.lifecycle.fail import fail
from faktory_django.models import AuditEntry, Job
from tests.integration.lifecycle.batches import join, make, run, settle, status
from tests.integration.lifecycle.stock import claim, column, failing

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
PAGE = "/faktory/batches/"
ACT = ("view_job", "act_on_job")


def text_of(client: Client, url: str = PAGE) -> str:
    """Return a page, its white space folded."""
    response = client.get(url)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_batches_are_listed_with_what_they_have_come_to(viewer: Client) -> None:
    make("complete", "success", bid="b-1", description="Import of orders")
    join("job-00001", "job-00002", "job-00003")
    batch.commit(connection, "b-1")
    run("b-1", wanted=2)
    make(bid="b-2")

    text = text_of(viewer)

    assert 'href="/faktory/batches/b-1/"' in text
    assert "Import of orders" in text
    assert '<progress max="100" value="66"' in text
    assert "complete: not yet, success: not yet" in text
    assert '<td data-label="Jobs" class="num">3</td>' in text
    assert '<td data-label="Pending" class="num">1</td>' in text
    assert "complete: -, success: -" in text
    assert text.index("b-2") < text.index("b-1")


def test_there_may_be_none(viewer: Client) -> None:
    assert "There is no batch." in text_of(viewer)


def test_what_is_not_folded_is_counted_too(viewer: Client) -> None:
    make()
    join("job-00001", "job-00002")

    assert '<td data-label="Jobs" class="num">2</td>' in text_of(viewer)


def test_a_long_list_has_pages(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PER_PAGE", 2)
    for nr in range(5):
        make(bid=f"b-{nr}")
    keys = column("batch", "id")

    first, second = text_of(viewer), text_of(viewer, f"{PAGE}?before={keys[3]}")

    assert f'href="?before={keys[3]}"' in first
    assert [f"batch-b-{nr}" in second for nr in range(5)] == [False, True, True, False, False]
    assert 'rel="next"' not in text_of(viewer, f"{PAGE}?before={keys[1]}")
    assert viewer.get(f"{PAGE}?before=x").status_code == 400


def test_a_batch_shows_where_its_jobs_are(viewer: Client) -> None:
    make("complete", "success", "dead", description="Import")
    join("retry-0001", "dead-00001", "runs-00001")
    first, second, _ = claim(3)
    fail(connection, [failing(first), failing(second, kill=True)])
    join("later-0001", delay_seconds=1_000.0)
    join("waits-0001", "waits-0002")
    make(bid="b-2", parent="b-1", description="A child")
    settle()

    text = text_of(viewer, f"{PAGE}b-1/")

    for name, jid in (
        ("running", "runs-00001"),
        ("in retries", "retry-0001"),
        ("scheduled", "later-0001"),
        ("dead", "dead-00001"),
    ):
        assert f'<h3>{name} <span class="remark">1</span></h3>' in text
        assert f'href="/faktory/jobs/{jid}/"' in text
    assert '<h3>waiting <span class="remark">2</span></h3>' in text
    assert "A child" in text
    assert "At the first death" in text
    assert 'href="/faktory/jobs/complete-b-1/"' in text
    assert 'href="/faktory/batches/b-1/"' in text_of(viewer, f"{PAGE}b-2/")


def test_more_jobs_than_are_listed_are_counted(viewer: Client) -> None:
    make()
    join(*[f"job-{nr:05}" for nr in range(30)])

    text = text_of(viewer, f"{PAGE}b-1/")

    assert '<h3>waiting <span class="remark">30</span></h3>' in text
    assert text.count("/faktory/jobs/job-") == batches.SHOWN


def test_a_chain_shows_what_is_to_come(viewer: Client) -> None:
    make(steps=[{"jobs": [{}, {}]}])
    join("job-00001", retry=0)
    fail(connection, [failing(claim(1)[0])])
    mutate.discard("waiting", column("job", "id"))

    text = text_of(viewer, f"{PAGE}b-1/")

    assert "<dt>Of later steps</dt><dd>2</dd>" in text
    assert "<dt>Gone without success</dt><dd>1</dd>" in text


@pytest.mark.parametrize("bid", ["b-none", "x", "%27"])
def test_a_batch_that_there_is_not_is_not_found(viewer: Client, bid: str) -> None:
    assert viewer.get(f"{PAGE}{bid}/").status_code == 404


def test_a_job_names_its_batch(viewer: Client) -> None:
    make("complete", commit=True)
    make(bid="b-2")
    join("job-00001", bid="b-2")

    assert 'href="/faktory/batches/b-2/"' in text_of(viewer, "/faktory/jobs/job-00001/")
    assert 'href="/faktory/batches/b-1/"' in text_of(viewer, "/faktory/jobs/complete-b-1/")


def test_the_button_cancels_and_is_recorded(person: Callable[..., Client]) -> None:
    client = person(*ACT)
    make("complete")
    join("job-00001", "job-00002")
    batch.commit(connection, "b-1")
    assert 'name="cancel"' in text_of(client, f"{PAGE}b-1/")

    response = client.post(f"{PAGE}b-1/", {"cancel": "1"}, follow=True)

    assert "The batch is cancelled, and 2 jobs were discarded." in response.content.decode()
    assert (status().state, Job.objects.count()) == ("cancelled", 0)
    found = AuditEntry.objects.get()
    assert (found.act, found.target, found.what, found.count) == ("cancel", "batch", "b-1", 2)
    text = text_of(client, "/faktory/audit/")
    assert "Cancel" in text
    assert 'name="cancel"' not in text_of(client, f"{PAGE}b-1/")


def test_who_may_only_look_does_not_cancel(viewer: Client) -> None:
    make()

    assert 'name="cancel"' not in text_of(viewer, f"{PAGE}b-1/")
    assert viewer.post(f"{PAGE}b-1/", {"cancel": "1"}).status_code == 403
    assert status().state == "open"


def test_a_post_says_what_it_wants(person: Callable[..., Client]) -> None:
    make()

    assert person(*ACT).post(f"{PAGE}b-1/").status_code == 400


def only_mail(_request: Any, queue: str, _action: str) -> bool:
    return queue == "mail"


def test_jobs_of_queues_that_are_closed_are_neither_shown_nor_cancelled(
    person: Callable[..., Client], override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.test_batches.only_mail")
    client = person(*ACT)
    make()
    join("job-secret")
    join("job-mailed", queue="mail")

    text = text_of(client, f"{PAGE}b-1/")

    assert "job-mailed" in text
    assert "job-secret" not in text
    assert client.post(f"{PAGE}b-1/", {"cancel": "1"}).status_code == 403
    assert Job.objects.count() == 2


def test_the_number_of_queries_does_not_grow(
    viewer: Client, django_assert_max_num_queries: Any
) -> None:
    for nr in range(20):
        make(bid=f"b-{nr}")
        join(f"job-{nr:05}", bid=f"b-{nr}")

    with django_assert_max_num_queries(12):
        viewer.get(PAGE)
    with django_assert_max_num_queries(14):
        viewer.get(f"{PAGE}b-1/")
