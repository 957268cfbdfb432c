"""A site with a busy day, and a person in front of a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.dashboard import world

from . import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """Start one Chromium for all tests."""
    driver = chromium.start()
    yield driver
    driver.quit()


@pytest.fixture
def busy(transactional_db: None) -> world.World:
    """Fill the database that the site and the test share."""
    del transactional_db
    return world.build()


@pytest.fixture
def browser(driver: Chrome, live_server: Any, busy: world.World) -> Iterator[chromium.Browser]:
    """Open a browser in which a superuser is signed in; it must not complain of any page."""
    del busy
    user = get_user_model().objects.create_superuser("operator")
    client = Client()
    client.force_login(user)
    browser = chromium.Browser(driver, live_server.url)
    browser.sign_in(client.cookies["sessionid"].value)
    browser.look()
    yield browser
    complaints = browser.complaints()
    # what a page still fetches would come back to a database that is being emptied
    driver.get("about:blank")
    assert complaints == []
