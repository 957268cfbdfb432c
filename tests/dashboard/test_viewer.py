"""What a person chooses: language, time zone, how often a page is renewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db
PAGE = "/faktory/queues/"


def test_a_page_is_renewed_every_five_seconds(viewer: Client) -> None:
    assert 'hx-trigger="every 5s, renew"' in viewer.get(PAGE).content.decode()


def test_the_interval_that_was_chosen_is_kept(viewer: Client) -> None:
    viewer.get(f"{PAGE}?every=30")

    assert 'hx-trigger="every 30s, renew"' in viewer.get(PAGE).content.decode()


def test_a_page_can_be_paused(viewer: Client) -> None:
    text = viewer.get(f"{PAGE}?every=0").content.decode()

    assert 'hx-trigger="renew"' in text
    assert "data-pause" not in text


@pytest.mark.parametrize("said", ["", "x", "1", "-1", "5\0", "\u0665"])
def test_an_interval_that_is_none_is_not_taken(viewer: Client, said: str) -> None:
    response = viewer.get(PAGE, {"every": said})

    assert 'hx-trigger="every 5s, renew"' in response.content.decode()
    assert "faktory_every" not in response.cookies


def test_choosing_an_interval_keeps_the_rest_of_the_address(viewer: Client) -> None:
    text = viewer.get("/faktory/?days=90&every=10").content.decode()

    assert '<input type="hidden" name="days" value="90">' in text
    assert '<input type="hidden" name="every"' not in text


def test_without_htmx_in_the_project_nothing_asks_for_it(viewer: Client, settings: Any) -> None:
    settings.INSTALLED_APPS = [a for a in settings.INSTALLED_APPS if a != "django_htmx"]

    text = viewer.get(PAGE).content.decode()

    assert "htmx" not in text
    assert "hx-get" not in text


def test_times_are_told_in_the_zone_of_the_browser(viewer: Client) -> None:
    viewer.cookies["faktory_zone"] = "Asia/Tokyo"

    assert " JST" in viewer.get(PAGE).content.decode()


@pytest.mark.parametrize("said", ["Nowhere/Land", "../../etc/passwd", "x" * 5_000, "\0", "/"])
def test_a_zone_that_is_none_is_not_taken(viewer: Client, settings: Any, said: str) -> None:
    settings.TIME_ZONE = "UTC"
    viewer.cookies["faktory_zone"] = said

    response = viewer.get(PAGE)

    assert response.status_code == 200
    assert " UTC" in response.content.decode()


def test_the_language_is_kept_and_the_page_comes_back(viewer: Client) -> None:
    data = {"language": "en", "next": "/faktory/queues/?after=mail"}

    response = viewer.post("/faktory/language/", data)

    assert response.headers["Location"] == "/faktory/queues/?after=mail"
    assert response.cookies["django_language"].value == "en"


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "", "\\\\evil"]
)
def test_the_language_leads_to_no_other_site(viewer: Client, back: str) -> None:
    response = viewer.post("/faktory/language/", {"language": "xx", "next": back})

    assert response.headers["Location"] == "/faktory/"
    assert "django_language" not in response.cookies


def test_without_javascript_a_page_is_loaded_anew_for_who_has_asked(viewer: Client) -> None:
    tag = '<noscript><meta http-equiv="refresh"'

    assert tag not in viewer.get(PAGE).content.decode()
    assert f'{tag} content="10">' in viewer.get(f"{PAGE}?every=10").content.decode()
    assert tag not in viewer.get(f"{PAGE}?every=0").content.decode()
