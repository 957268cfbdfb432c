"""What is pressed on the pages of jobs is done to these jobs, and is on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from faktory_django.models import AuditEntry, DeadJob, Job, RetryJob, ScheduledJob
from tests.dashboard import world
from tests.waiting import until

if TYPE_CHECKING:
    from tests.dashboard.world import World

    from .chromium import Browser

pytestmark = pytest.mark.browser


def visit(browser: Browser, name: str, query: str = "") -> None:
    """Open a list."""
    browser.visit(reverse(f"faktory:{name}") + query)


def recorded() -> tuple[str, str, str, int]:
    """Return what was done last: by whom, what, to which list, to how many."""
    last = AuditEntry.objects.latest("pk")
    return last.user, last.act, last.target, last.count


def test_one_row_is_retried_by_its_button(browser: Browser, busy: World) -> None:
    visit(browser, "retries")
    first = RetryJob.objects.get(jid=busy.retry)

    browser.press(f"#act-{first.pk}")

    assert not RetryJob.objects.filter(jid=busy.retry).exists()
    assert Job.objects.filter(jid=busy.retry).exists()
    assert recorded() == ("operator", "requeue", "retries", 1)
    browser.wait_for("1 job is in its queue now.")


def test_ticked_rows_are_killed_and_no_others(browser: Browser) -> None:
    visit(browser, "retries")
    ticked = list(RetryJob.objects.order_by("due_at", "pk").values_list("jid", flat=True)[:3])

    for box in browser.all("input[name=ids]")[:3]:
        box.click()
    browser.press("button[name=act][value=kill]")

    assert RetryJob.objects.count() == 27
    assert set(ticked) <= set(DeadJob.objects.values_list("jid", flat=True))
    assert recorded() == ("operator", "kill", "retries", 3)


def test_all_boxes_are_ticked_by_one(browser: Browser) -> None:
    visit(browser, "dead")

    browser.one("#check-all").click()

    assert all(box.is_selected() for box in browser.all("input[name=ids]"))


def test_discarding_asks_first_and_going_back_does_nothing(browser: Browser) -> None:
    visit(browser, "dead")
    browser.one("#check-all").click()

    browser.press("button[name=act][value=discard]")
    assert DeadJob.objects.count() == 24
    browser.press(".answers a")

    assert DeadJob.objects.count() == 24
    assert browser.driver.current_url == browser.site + reverse("faktory:dead")


def test_everything_that_matches_is_counted_first_and_then_done(browser: Browser) -> None:
    visit(browser, "retries", "?q=type:FetchURL")

    browser.press("button[name=all][value=requeue]")
    assert "6 jobs" in browser.one(".question").text
    assert RetryJob.objects.count() == 30
    browser.press("button[name=confirmed]")

    assert RetryJob.objects.count() == 24
    assert not RetryJob.objects.filter(jobtype="FetchURL").exists()
    assert recorded() == ("operator", "requeue", "retries", 6)
    assert browser.driver.current_url.endswith("?q=type:FetchURL")


def test_more_than_a_thousand_take_a_number_that_is_typed(browser: Browser) -> None:
    world.fill_set("scheduledjob", "more", 1_200, range(1_200))
    visit(browser, "scheduled")

    browser.press("button[name=all][value=discard]")
    assert "1,240" in browser.one(".question").text
    browser.picture("question-light")
    assert browser.violations() == []
    browser.one("#typed").send_keys("12")
    browser.press("button[name=confirmed]")
    assert ScheduledJob.objects.count() == 1_240
    assert len(browser.complaints()) == 1  # the question is asked again with 400

    browser.one("#typed").send_keys("1,240")
    browser.press("button[name=confirmed]")

    until(lambda: not ScheduledJob.objects.exists(), "all are gone")
    assert recorded() == ("operator", "discard", "scheduled", 1_240)


def test_a_long_act_shows_how_far_it_is_and_comes_to_its_end(browser: Browser, busy: World) -> None:
    browser.visit(reverse("faktory:operation", args=[busy.operation]))

    until(lambda: "done" in browser.read("#live").lower(), "the operation is done")

    assert not DeadJob.objects.filter(jobtype="FetchURL").exists()
    assert DeadJob.objects.exclude(jobtype="FetchURL").exists()


def test_a_scheduled_job_is_put_in_front_of_its_queue(browser: Browser, busy: World) -> None:
    browser.visit(reverse("faktory:job", args=[busy.scheduled]))

    browser.press("button[value^=run_next]")

    assert not ScheduledJob.objects.filter(jid=busy.scheduled).exists()
    browser.wait_for("in front of its queue")
    assert busy.scheduled in browser.text()


def test_the_filter_survives_going_into_a_job_and_back(browser: Browser) -> None:
    visit(browser, "retries", "?q=type:FetchURL")

    browser.press(".jobs tbody th a")
    browser.press(".came-from a")

    assert browser.driver.current_url.endswith("?q=type:FetchURL")


def test_a_copy_of_a_job_is_edited_and_pushed(browser: Browser, busy: World) -> None:
    browser.visit(reverse("faktory:job", args=[busy.retry]))
    browser.press("a[id^=copy]")

    args = browser.one("#id_args")
    args.clear()
    args.send_keys('[42, {"token": "•••"}]')
    browser.press(".edit .push-button")

    [copy] = Job.objects.filter(jobtype="shop.jobs.charge_card").order_by("-pk")[:1]
    assert copy.jid != busy.retry
    assert '"args":[42,{"token":"tok_live_4242"}]' in copy.body.replace(" ", "")
    assert RetryJob.objects.filter(jid=busy.retry).exists()
    assert copy.jid in browser.text()


def test_a_jid_is_copied_to_the_clipboard(browser: Browser, busy: World) -> None:
    browser.driver.set_permissions("clipboard-read", "granted")
    browser.visit(reverse("faktory:job", args=[busy.retry]))

    browser.one("[data-copy]").click()

    read = "navigator.clipboard.readText().then(arguments[0])"
    until(lambda: browser.driver.execute_async_script(read) == busy.retry, "it is copied")


def test_who_may_not_look_is_told_so_on_a_page(onlooker: Browser) -> None:
    Permission.objects.get(codename="view_job").user_set.clear()

    visit(onlooker, "retries")

    onlooker.picture("forbidden-light")
    assert onlooker.violations() == []
    assert len(onlooker.complaints()) == 1  # of the 403
    assert "You may not see or do this." in onlooker.text()


def test_nothing_can_be_done_by_who_may_only_look(onlooker: Browser) -> None:
    for name in ("retries", "scheduled", "dead", "queues", "busy"):
        visit(onlooker, name)
        assert onlooker.all("#live button") == []
        assert onlooker.all("input[type=checkbox]") == []
