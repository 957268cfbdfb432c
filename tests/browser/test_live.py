"""A page renews itself, and stops when it is told to, or when somebody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faktory_django.lifecycle import mutate
from faktory_django.models import DeadJob
from tests.waiting import until

if TYPE_CHECKING:
    from .chromium import Browser

pytestmark = pytest.mark.browser
# How many renewals were sent, and how many were held back.
COUNT = """
window.renewals = {true: 0, false: 0};
window.addEventListener("htmx:beforeRequest", event => {
    window.renewals[!event.defaultPrevented] += 1;
});
"""
SELECT = """
const range = document.createRange();
range.selectNodeContents(document.querySelector("#live td"));
window.getSelection().addRange(range);
"""


@pytest.fixture
def watched(browser: Browser) -> Browser:
    """Open the dashboard, renewed every two seconds."""
    browser.visit("/faktory/?every=2")
    browser.script(COUNT)
    return browser


def discard_one() -> None:
    """Change a number on the page."""
    mutate.discard("dead", [DeadJob.objects.values_list("id", flat=True)[0]])


def dead(browser: Browser) -> str:
    """Return what the tile of the dead says."""
    return browser.read("#tile-dead .tile-number")


def renewals(browser: Browser, *, sent: bool) -> int:
    """Return how many renewals were sent, or held back."""
    return int(browser.script("return window.renewals[arguments[0]]", sent))


def test_numbers_change_without_the_page_being_loaded_again(watched: Browser) -> None:
    assert dead(watched) == "24"

    discard_one()

    until(lambda: dead(watched) == "23", "the tile shows one less")
    assert renewals(watched, sent=True) >= 1


def test_the_pause_holds_until_it_is_ended(watched: Browser) -> None:
    watched.one("[data-pause]").click()
    discard_one()

    until(lambda: renewals(watched, sent=False) >= 2, "two renewals are held back")
    assert dead(watched) == "24"

    watched.one("[data-pause]").click()
    until(lambda: dead(watched) == "23", "the tile shows one less")


def test_a_renewal_waits_for_somebody_who_selects_text(watched: Browser) -> None:
    watched.script(SELECT)
    discard_one()

    until(lambda: renewals(watched, sent=False) >= 2, "two renewals are held back")
    assert dead(watched) == "24"

    watched.script("window.getSelection().removeAllRanges()")
    until(lambda: dead(watched) == "23", "the tile shows one less")


def test_a_renewal_moves_nothing_that_stays(watched: Browser) -> None:
    places = "return [...document.querySelectorAll('#live h2, #live tr')].map(e => e.offsetTop)"
    before = watched.script(places)

    discard_one()

    until(lambda: dead(watched) == "23", "the tile shows one less")
    assert watched.script(places) == before


def test_the_interval_that_was_chosen_is_kept(watched: Browser) -> None:
    watched.visit("/faktory/busy/")

    assert watched.one("#live").get_attribute("hx-trigger") == "every 2s, renew"


def test_paused_is_a_choice_that_holds_on_every_page(browser: Browser) -> None:
    browser.visit("/faktory/?every=0")

    for path in ("/faktory/", "/faktory/busy/"):
        browser.visit(path)
        assert browser.one("#live").get_attribute("hx-trigger") == "renew"
