"""/stats for monitoring, /health for load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from faktory_django.lifecycle.push import Push, push

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import world

pytestmark = pytest.mark.django_db
INTEGERS = ("total_failures", "total_processed", "total_enqueued", "total_queues")


def test_stats_have_the_shape_of_info(viewer: Client, busy: world.World) -> None:
    del busy

    response = viewer.get("/faktory/stats")

    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store, private"
    found = response.json()
    assert set(found) == {"now", "server_utc_time", "faktory", "server"}
    assert found["faktory"]["queues"]["reports"] == 24
    assert found["faktory"]["sets"] == {"dead": 24, "retries": 30, "scheduled": 40, "working": 8}
    assert set(found["faktory"]["tasks"]) == {"Busy", "Dead", "Retries", "Scheduled", "Workers"}
    assert all(isinstance(found["faktory"][name], int) for name in INTEGERS)
    assert found["faktory"]["total_enqueued"] == sum(found["faktory"]["queues"].values())
    assert found["server"]["faktory_version"] == "1.10.0"


def test_a_stranger_is_refused_the_stats_and_not_sent_to_a_form(db: None) -> None:
    del db

    assert Client().get("/faktory/stats").status_code == 403


def test_stats_leave_out_the_queues_that_a_person_may_not_see(
    viewer: Client, busy: world.World, override_faktory: Callable[..., None]
) -> None:
    del busy
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    found = viewer.get("/faktory/stats").json()["faktory"]

    assert found["queues"] == {"mail": 24}
    assert found["total_enqueued"] == 24


def test_anybody_may_ask_whether_it_is_healthy(db: None) -> None:
    del db

    response = Client().get("/faktory/health")

    assert response.status_code == 200
    assert set(response.json()) == {"now", "server"}


def test_health_asks_the_database_once_a_second_at_most(
    db: None, django_assert_num_queries: Any
) -> None:
    del db
    Client().get("/faktory/health")

    with django_assert_num_queries(0):
        Client().get("/faktory/health")


def test_stats_ask_the_database_for_the_numbers_once_a_second_at_most(viewer: Client) -> None:
    before = viewer.get("/faktory/stats").json()["faktory"]["total_enqueued"]
    push([Push("default", "j1", "fetch", "{}")])

    kept = viewer.get("/faktory/stats").json()["faktory"]["total_enqueued"]

    assert kept == before


def test_who_does_not_read_is_told_what_can_be_asked(db: None) -> None:
    del db

    response = Client().post("/faktory/health")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
