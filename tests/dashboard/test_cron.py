"""Cron: the entries, their next tick and last runs; pause, resume and run now."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.utils import timezone

from faktory_django.dashboard import cron
from faktory_django.lifecycle import cron_entries
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.models import AuditEntry, CronEntry, CronTick, DeadJob, Job, RetryJob

from .world import fill_set, jid

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = pytest.mark.django_db
PAGE = "/faktory/cron/"
ACT = ("view_job", "act_on_job")


def make(name: str = "Monday report", **options: Any) -> CronEntry:
    """Make an entry of a person."""
    said = {"jobtype": "shop.jobs.report", "schedule": "30 4 * * 1", "zone": "Asia/Tokyo"}
    entry = CronEntry(name=name, **said | options)
    cron_entries.save(entry)
    return entry


def text_of(client: Client, query: str = "") -> str:
    """Return the page, its white space folded."""
    return " ".join(client.get(PAGE + query).content.decode().split())


def ran(entry: CronEntry, name: str, minutes: int, **options: Any) -> None:
    """Let an entry have pushed a job so many minutes ago."""
    tick_at = timezone.now() - timedelta(minutes=minutes)
    CronTick.objects.create(entry=entry, tick_at=tick_at, jid=name, **options)


def test_an_entry_is_shown_with_job_schedule_zone_and_next_tick(viewer: Client) -> None:
    make(queue="reports")

    text = text_of(viewer)

    assert "Monday report" in text
    assert 'href="/faktory/types/shop.jobs.report/"' in text
    assert "<code>30 4 * * 1</code>" in text
    assert "Asia/Tokyo" in text
    assert ">reports</span>" in text


def test_the_next_tick_is_told_in_the_zone_of_the_viewer(viewer: Client) -> None:
    make()
    viewer.cookies["faktory_zone"] = "Asia/Tokyo"

    tokyo = text_of(viewer)
    viewer.cookies["faktory_zone"] = "UTC"
    utc = text_of(viewer)

    assert re.search(r"\d{4}-\d\d-\d\d 04:30:00 JST", tokyo)
    assert re.search(r"\d{4}-\d\d-\d\d 19:30:00 UTC", utc)


def test_where_it_comes_from_and_what_ails_it_is_said(viewer: Client) -> None:
    make("mine"), make("of code", source="code"), make("old code", source="code")
    CronEntry.objects.filter(name="old code").update(gone_at=timezone.now())
    CronEntry.objects.filter(name="of code").update(problem="a zone must be one of IANA's")
    CronEntry.objects.filter(name="mine").update(paused=True)

    text = text_of(viewer)

    assert text.count('">code</span>') == 2
    assert text.count("no longer in the code</span>") == 1
    assert '<span class="badge">paused</span>' in text
    assert "IANA&#x27;s" in text


def test_the_last_ten_runs_are_shown_with_what_became_of_them(viewer: Client) -> None:
    entry = make()
    for minutes in range(20, 60):
        ran(entry, f"old-{minutes}", minutes)
    fill_set("retryjob", "retry", 1, [60], failed=True)
    fill_set("deadjob", "dead", 1, [-60], failed=True)
    fill_set("scheduledjob", "scheduled", 1, [60])
    jids = [cron_entries.run_now(entry.pk) for _n in range(2)]
    Consumer("w").turn(connection, ["default"], 1)
    for minutes, name in enumerate(("retry", "dead", "scheduled"), 1):
        ran(entry, jid(name, 0), minutes)
    ran(entry, "refused-1", 9, problem="job not unique")

    text = text_of(viewer)

    runs = re.findall(r'class="run (\w+)"', text)
    assert runs == [*["ended"] * 4, "refused", "scheduled", "dead", "retries", "running", "waiting"]
    assert f'href="/faktory/jobs/{jids[1]}/"' in text
    assert "by hand: waiting" in text
    assert "by its schedule: refused at the push: job not unique" in text
    assert "old-30" not in text
    assert (RetryJob.objects.count(), DeadJob.objects.count()) == (1, 1)


def test_without_entries_the_page_says_how_they_come(viewer: Client) -> None:
    assert "There is no cron entry yet." in text_of(viewer)


def test_who_may_not_act_sees_no_buttons_and_is_refused(viewer: Client) -> None:
    entry = make()

    text = text_of(viewer)
    codes = [viewer.post(PAGE, {act: entry.pk}).status_code for act in ("pause", "resume", "run")]

    assert 'name="pause"' not in text
    assert "Add an entry" not in text
    assert codes == [403, 403, 403]
    assert Job.objects.count() == 0


def test_an_entry_is_paused_resumed_and_run_on_the_record(person: Callable[..., Client]) -> None:
    client, entry = person(*ACT), make()

    for act, said in (("pause", "is paused"), ("resume", "goes on"), ("run", "was pushed")):
        response = client.post(PAGE, {act: entry.pk}, follow=True)
        assert said in response.content.decode()

    entry.refresh_from_db()
    assert not entry.paused
    assert Job.objects.get().jobtype == "shop.jobs.report"
    acts = AuditEntry.objects.order_by("pk").values_list("act", "target", "what")
    assert list(acts) == [(act, "cron", "Monday report") for act in ("pause", "resume", "run")]
    page = client.get("/faktory/audit/").content.decode()
    assert "Cron entry" in page
    assert "Run now" in page


def test_what_cannot_be_done_is_said(person: Callable[..., Client], override_faktory: Any) -> None:
    client, entry = person(*ACT), make(args='["' + "x" * 2_000 + '"]')
    CronEntry.objects.update(zone="Mars/Olympus", paused=True)
    override_faktory(MAX_PAYLOAD_BYTES=1_024)

    resumed = client.post(PAGE, {"resume": entry.pk}, follow=True).content.decode()
    run = client.post(PAGE, {"run": entry.pk}, follow=True).content.decode()

    assert "Mars/Olympus" in resumed
    assert "No job of Monday report was pushed." in run
    assert not AuditEntry.objects.exists()
    assert CronEntry.objects.get().paused


@pytest.mark.parametrize(
    ("data", "status"),
    [({}, 400), ({"burn": 1}, 400), ({"pause": "x"}, 400), ({"pause": "9" * 30}, 400)],
)
def test_what_is_no_act_is_refused(
    person: Callable[..., Client], data: dict[str, Any], status: int
) -> None:
    assert person(*ACT).post(PAGE, data).status_code == status


def test_an_entry_that_is_gone_is_not_found(person: Callable[..., Client]) -> None:
    assert person(*ACT).post(PAGE, {"pause": 1}).status_code == 404


def test_an_entry_of_a_queue_that_the_project_closes_is_not_there(
    person: Callable[..., Client], override_faktory: Any
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")
    client = person(*ACT)
    mail, other = make("letters", queue="mail"), make("others")

    text = text_of(client)

    assert "letters" in text
    assert "others" not in text
    assert client.post(PAGE, {"run": other.pk}).status_code == 403
    assert client.post(PAGE, {"run": mail.pk}).status_code == 302


def test_who_may_edit_gets_links_into_the_admin(chief: Client, viewer: Client) -> None:
    entry = make()

    text = text_of(chief)

    assert f'href="/admin/faktory_django/cronentry/{entry.pk}/change/"' in text
    assert 'href="/admin/faktory_django/cronentry/add/"' in text
    assert "/admin/faktory_django/cronentry/" not in text_of(viewer)


def test_a_page_is_bounded_and_the_next_one_begins_after_it(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cron, "PER_PAGE", 2)
    keys = [make(name).pk for name in ("a entry", "b entry", "c entry")]

    first, second = text_of(viewer), text_of(viewer, f"?after={keys[1]}")

    assert f"?after={keys[1]}" in first
    assert "c entry" not in first
    assert "c entry" in second
    assert "b entry" not in second
    assert "There is no cron entry yet." in text_of(viewer, "?after=999999999")
    assert viewer.get(f"{PAGE}?after=x").status_code == 400


def test_a_page_costs_the_same_with_any_number_of_entries(
    viewer: Client, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        cron_entries.run_now(make(f"entry {n}").pk)

    with django_assert_max_num_queries(16):
        viewer.get(PAGE)


def test_the_page_speaks_japanese(chief: Client) -> None:
    make()
    chief.cookies["django_language"] = "ja"

    text = text_of(chief)

    assert "今すぐ実行" in text
    assert "次回の実行" in text
