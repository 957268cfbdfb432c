"""What is pressed on the pages of queues and processes is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faktory_django.models import Process, Queue, Ready
from tests.dashboard import workers

if TYPE_CHECKING:
    from .chromium import Browser

pytestmark = pytest.mark.browser


def is_paused(name: str) -> bool:
    """Return whether a queue is paused."""
    return Queue.objects.get(name=name).paused


@pytest.mark.parametrize("path", ["/faktory/", "/faktory/queues/"])
def test_a_queue_is_paused_and_resumed(browser: Browser, path: str) -> None:
    browser.visit(path)

    browser.press("#pause-default")

    assert is_paused("default")
    assert browser.driver.current_url == browser.site + path

    browser.press("#resume-default")

    assert not is_paused("default")


def test_a_queue_is_cleared_after_a_question_only(browser: Browser) -> None:
    browser.visit("/faktory/queues/")
    waiting = Ready.objects.filter(queue="reports")
    assert waiting.exists()

    browser.press("#clear-reports")
    assert "24" in browser.one(".question").text
    assert waiting.exists()

    browser.press("button[name=confirmed]")

    assert not waiting.exists()
    assert Ready.objects.filter(queue="default").exists()


def test_who_goes_back_from_the_question_has_done_nothing(browser: Browser) -> None:
    browser.visit("/faktory/queues/")
    browser.press("#clear-reports")

    browser.press(".answers a")

    assert browser.driver.current_url == browser.site + "/faktory/queues/"
    assert Ready.objects.filter(queue="reports").exists()


@pytest.mark.parametrize(("act", "state"), [("quiet", "quiet"), ("stop", "terminate")])
def test_a_process_is_quieted_and_stopped(browser: Browser, act: str, state: str) -> None:
    browser.visit("/faktory/busy/")

    browser.press(f"#{act}-{workers.SECOND}")

    assert Process.objects.get(wid=workers.SECOND).state == state
    assert Process.objects.get(wid=workers.WID).state == "running"
    assert not browser.all(f"#{act}-{workers.SECOND}")


def test_all_processes_are_stopped_after_a_question(browser: Browser) -> None:
    browser.visit("/faktory/busy/")

    browser.press("#stop-all")
    assert Process.objects.filter(state="terminate").count() == 0
    browser.press("button[name=confirmed]")

    states = Process.objects.exclude(kind="server").values_list("state", flat=True)
    assert set(states) == {"terminate"}


def test_the_language_is_switched_at_the_foot_of_the_page(browser: Browser) -> None:
    browser.visit("/faktory/busy/")

    browser.press("#language option[value=ja]")

    browser.wait_for("実行中")
    browser.visit("/faktory/")
    assert "キュー" in browser.text()
    assert browser.one("html").get_attribute("lang") == "ja"


def test_without_javascript_everything_is_there_and_works(browser: Browser) -> None:
    with browser.without_javascript():
        browser.visit("/faktory/queues/")
        browser.press("#pause-default")
        assert is_paused("default")

        browser.one("#language option[value=ja]").click()
        browser.press("#language + button")

        browser.wait_for("キュー")
