"""What every page has: a login, permissions, headers, an end after two seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import BadRequest
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from faktory_django.dashboard import page as pages
from faktory_django.dashboard.page import page
from faktory_django.lifecycle.connection import database, execute
from faktory_django.models import Queue
from tests.urls import urlpatterns as project

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.dashboard.test_page")]


@page()
def slow(request: HttpRequest) -> HttpResponse:
    """Ask for more than two seconds."""
    del request
    execute(database(None), "SELECT pg_sleep(60)")
    return HttpResponse("never")


@page()
def writing(request: HttpRequest) -> HttpResponse:
    """Write where a page only reads."""
    del request
    Queue.objects.create(name="written")
    return HttpResponse("never")


@page(methods=("POST",))
def acting(request: HttpRequest) -> HttpResponse:
    """Write where a page acts."""
    del request
    Queue.objects.create(name="written")
    return HttpResponse("done")


@page()
def bad(request: HttpRequest) -> HttpResponse:
    """Be asked for what nobody understands."""
    raise BadRequest(f"<b>{request.GET['q']}</b>")


@page()
def missing(request: HttpRequest) -> HttpResponse:
    """Be asked for what is not there."""
    del request
    raise Http404


urlpatterns = [
    *project,
    path("slow/", slow),
    path("writing/", writing),
    path("acting/", acting),
    path("bad/", bad),
    path("missing/", missing),
]


def test_who_has_not_signed_in_is_sent_to_the_login_of_the_admin(db: None) -> None:
    del db

    response = Client().get("/faktory/queues/?after=mail")

    assert response.status_code == 302
    login = "/admin/login/?next=/faktory/queues/%3Fafter%3Dmail"
    assert response.headers["Location"] == login


@pytest.mark.parametrize(
    ("permissions", "staff", "status"),
    [(["view_job"], True, 200), ([], True, 403), (["view_job"], False, 403)],
    ids=["may look", "is staff", "may look but is not staff"],
)
def test_a_page_takes_staff_with_the_permission(
    person: Callable[..., Client], permissions: list[str], staff: bool, status: int
) -> None:
    assert person(*permissions, staff=staff).get("/faktory/queues/").status_code == status


def test_nobody_keeps_a_page_or_frames_it_or_adds_to_it(viewer: Client) -> None:
    headers = viewer.get("/faktory/queues/").headers

    assert headers["Cache-Control"] == "no-store, private"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def test_static_files_of_another_host_are_allowed(viewer: Client, settings: Any) -> None:
    settings.STATIC_URL = "https://cdn.example/static/"

    policy = viewer.get("/faktory/queues/").headers["Content-Security-Policy"]

    assert "script-src 'self' https://cdn.example;" in policy
    assert "connect-src 'self';" in policy


def test_a_page_that_takes_too_long_is_given_up(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "TIMEOUT_MS", 50)

    response = viewer.get("/slow/")

    assert response.status_code == 503
    assert "longer than two seconds" in response.content.decode()
    assert response.headers["Cache-Control"] == "no-store, private"


def test_a_page_only_reads(viewer: Client) -> None:
    from django.db import InternalError

    with pytest.raises(InternalError, match="read-only transaction"):
        viewer.get("/writing/")


def test_what_is_read_leaves_no_setting_behind(viewer: Client) -> None:
    viewer.get("/faktory/queues/")

    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_an_act_may_write(viewer: Client) -> None:
    assert viewer.post("/acting/").content == b"done"


def test_an_act_takes_a_token(person: Callable[..., Client]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person("view_job").cookies

    assert strict.post("/acting/").status_code == 403
    assert not Queue.objects.filter(name="written").exists()


def test_a_method_that_a_page_does_not_have_is_refused(viewer: Client) -> None:
    response = viewer.get("/acting/")

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


def test_what_nobody_understands_is_said_on_a_page(viewer: Client) -> None:
    response = viewer.get("/bad/", {"q": "what"})

    assert response.status_code == 400
    assert "&lt;b&gt;what&lt;/b&gt;" in response.content.decode()


def test_what_is_not_there_is_said_on_a_page(viewer: Client) -> None:
    response = viewer.get("/missing/")

    assert response.status_code == 404
    assert "This is not there." in response.content.decode()


def test_to_htmx_only_the_live_part_is_sent(viewer: Client) -> None:
    response = viewer.get("/faktory/queues/", headers={"HX-Request": "true"})

    text = response.content.decode()
    assert 'id="live"' in text
    assert 'id="bar"' in text
    assert "<title>Queues | Jobs</title>" in text
    assert "<html" not in text
