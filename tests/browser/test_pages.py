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


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("page", [*PAGES, *QUERIES])
def test_a_page_is_there_for_everybody(browser: Browser, busy: World, page: str, look: str) -> None:
    browser.look(**LOOKS[look])
    if page == "storage":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")

    browser.visit(address(page, busy))

    if page in REFUSED:
        assert [REFUSED[page] in said for said in browser.complaints()] == [True]
    browser.picture(f"{page}-{look}")
    assert browser.one("h1").text
    assert browser.overflow() == 0
    assert "\n".join(browser.violations()) == ""
