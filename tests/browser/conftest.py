"""A site with a busy day, and a person in front of a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
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
    browser = chromium.Browser(driver, live_server.url)
    browser.sign_in(session_of(get_user_model().objects.create_superuser("operator")))
    browser.look()
    yield browser
    complaints = browser.complaints()
    # what a page still fetches would come back to a database that is being emptied
    driver.get("about:blank")
    assert complaints == []


@pytest.fixture
def onlooker(browser: chromium.Browser) -> chromium.Browser:
    """Sign somebody in who may look, but do nothing."""
    user = get_user_model().objects.create_user("onlooker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    browser.sign_in(session_of(user))
    return browser


def session_of(user: Any) -> str:
    """Return the key of a session in which a user has signed in."""
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value
