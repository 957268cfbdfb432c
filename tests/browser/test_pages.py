"""Every page, as people see it: light and dark, English and Japanese, on a desk and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from django.db import connection

from tests.dashboard.addresses import FOR_PROGRAMS, names, readable

from .chromium import PHONE
from .pages import PAGES, QUERIES, address

if TYPE_CHECKING:
    from tests.dashboard.world import World

    from .chromium import Browser

pytestmark = pytest.mark.browser
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {},
    "dark": {"dark": True},
    "ja": {"language": "ja"},
    "phone": {"size": PHONE},
    "phone-dark-ja": {"size": PHONE, "dark": True, "language": "ja"},
}
# Chromium complains of every page that does not come with 200.
REFUSED: Final = {"job-gone": "404 (Not Found)", "retries-wrong": "400 (Bad Request)"}


def test_every_page_that_people_look_at_is_looked_at() -> None:
    seen = {name.partition("-")[0] for name in PAGES}

    assert seen == {name for name in names() if readable(name)} - FOR_PROGRAMS


@pytest.mark.parametrize("page", [*PAGES, *QUERIES])
def test_a_page_is_there_for_everybody(browser: Browser, busy: World, page: str) -> None:
    if page == "storage":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")

    found = {look: wrong(browser, address(page, busy), page, look) for look in LOOKS}

    assert {look: lines for look, lines in found.items() if lines} == {}


def wrong(browser: Browser, url: str, page: str, look: str) -> list[str]:
    """Open a page as somebody sees it, keep a picture, and return what is wrong with it."""
    browser.look(**LOOKS[look])
    browser.visit(url)
    browser.picture(f"{page}-{look}")
    found = [said for said in browser.complaints() if REFUSED.get(page, "\0") not in said]
    if not browser.one("h1").text:
        found.append("it has no heading")
    if wider := browser.overflow():
        found.append(f"it is {wider} pixels wider than the window")
    return [*found, *browser.violations()]
