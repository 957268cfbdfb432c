"""Busy: processes of all languages, what they run, and the wish that they stop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django.lifecycle.beat import ProcessInfo, register
from faktory_django.models import AuditEntry, Job, Process, Track

from . import workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from . import world

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("busy", "blank_record")]
PAGE = "/faktory/busy/"
STEER = ("view_job", "change_process")


def text_of(client: Client, query: str = "") -> str:
    """Return the page."""
    return client.get(PAGE + query).content.decode()


def state_of(wid: str) -> str:
    """Return what a process was asked."""
    return str(Process.objects.get(wid=wid).state)


def test_processes_of_all_languages_are_there(viewer: Client) -> None:
    text = text_of(viewer)

    for said in ("web-1:4711", "node-1:220", "ruby-1:305", "wire-1:811", "1.0.0", "blue"):
        assert said in text
    assert "6/10" in text


def test_what_runs_is_there_with_the_share_of_its_time(viewer: Client, busy: world.World) -> None:
    text = text_of(viewer)

    assert busy.running in text
    assert "FetchURL" in text
    assert text.count("<progress") == 9


def test_how_far_a_job_says_it_is_stands_beside_it(viewer: Client, busy: world.World) -> None:
    text = text_of(viewer)

    assert '<progress max="100" value="62" aria-label="Progress">62 %</progress>' in text
    assert "page 310 of 500" in text

    Track.objects.filter(jid=busy.running).update(percent=None, description="<b>only</b> words")
    text = text_of(viewer)

    assert "&lt;b&gt;only&lt;/b&gt; words" in text
    assert 'value="62"' not in text


def test_a_run_that_has_asked_for_more_time_has_that_time(
    viewer: Client, busy: world.World
) -> None:
    job = Job.objects.get(jid=busy.running)
    process = next(p for p in Process.objects.all() if f"[{job.pk}, " in p.running)
    slots = [
        [*slot[:2], 7_200] if slot[0] == job.pk else slot for slot in json.loads(process.running)
    ]
    Process.objects.filter(wid=process.wid).update(running=json.dumps(slots))

    assert "/ 2 h" in text_of(viewer)


def test_arguments_take_their_permission_and_hide_secrets(
    viewer: Client, person: Callable[..., Client]
) -> None:
    assert "4711, {" not in text_of(viewer)

    text = text_of(person("view_job", "view_job_args"))
    assert "19.90" in text
    assert "tok_live_4242" not in text


def test_jobs_of_a_queue_that_may_not_be_seen_are_not_there(
    viewer: Client, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    text = text_of(viewer)

    assert "<progress" not in text
    assert "web-1:4711" in text


def test_who_may_not_steer_sees_no_buttons_and_is_refused(viewer: Client) -> None:
    text = text_of(viewer)
    response = viewer.post(PAGE, {"quiet": workers.WID})

    assert 'name="quiet"' not in text
    assert response.status_code == 403
    assert state_of(workers.WID) == "running"


@pytest.mark.parametrize(("act", "state"), [("quiet", "quiet"), ("stop", "terminate")])
@pytest.mark.parametrize("wid", [workers.WID, workers.NODE])
def test_a_process_is_asked_and_it_is_on_the_record(
    person: Callable[..., Client], act: str, state: str, wid: str
) -> None:
    response = person(*STEER).post(PAGE, {act: wid}, follow=True)

    assert "1 process was asked" in response.content.decode()
    assert state_of(wid) == state
    entry = AuditEntry.objects.get()
    assert (entry.act, entry.target, entry.what, entry.count) == (act, "process", wid, 1)


@pytest.mark.parametrize("wid", [workers.RUBY, workers.SERVER, "nobody", ""])
def test_who_is_quiet_a_server_or_gone_is_not_asked(
    person: Callable[..., Client], wid: str
) -> None:
    response = person(*STEER).post(PAGE, {"quiet": wid}, follow=True)

    assert "asked already, or has ended" in response.content.decode()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(("act", "asked"), [("quiet", 3), ("stop", 4)])
def test_all_are_asked_after_a_question(
    person: Callable[..., Client], act: str, asked: int
) -> None:
    client = person(*STEER)

    question = client.post(PAGE, {act: "all"}).content.decode()
    assert "4 workers will be asked" in question
    assert state_of(workers.WID) == "running"

    client.post(PAGE, {act: "all", "confirmed": "yes"})
    assert state_of(workers.WID) != "running"
    assert state_of(workers.SERVER) == "running"
    assert AuditEntry.objects.get().count == asked


@pytest.mark.parametrize("data", [{}, {"kill": "x"}, {"quiet": "x" * 201}, {"stop": "a\0b"}])
def test_what_is_no_wish_is_refused(person: Callable[..., Client], data: dict[str, str]) -> None:
    assert person(*STEER).post(PAGE, data).status_code == 400


def test_a_page_is_bounded_and_the_next_one_begins_after_it(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faktory_django.dashboard import busy

    monkeypatch.setattr(busy, "PER_PAGE", 2)

    first = viewer.get(PAGE).content.decode()
    second = viewer.get(f"{PAGE}?after={workers.RUBY}").content.decode()

    assert f"?after={workers.RUBY}" in first
    assert "web-1:4711" not in first.partition("Running jobs")[0]
    assert "web-1:4711" in second.partition("Running jobs")[0]
    assert "node-1:220" not in second.partition("Running jobs")[0]


def test_a_page_costs_the_same_with_any_number_of_processes(
    viewer: Client, django_assert_max_num_queries: Any
) -> None:
    for i in range(60):
        register(connection, ProcessInfo(f"w{i}", f"host{i}", i, "1", 5, ("default",)))

    with django_assert_max_num_queries(16):
        viewer.get(PAGE)


def test_what_a_process_says_of_its_slots_may_be_nonsense(viewer: Client) -> None:
    for nonsense in ("{", "null", "[[1]]", json.dumps([[10**30, 1]]), json.dumps([["x", "y"]])):
        Process.objects.filter(wid=workers.SECOND).update(running=nonsense)

        assert viewer.get(PAGE).status_code == 200


def test_a_job_of_activejob_has_the_name_of_its_class(viewer: Client, busy: world.World) -> None:
    body = json.dumps({"jobtype": "Wrapper", "custom": {"wrapped": "SendInvoice"}, "args": []})
    Job.objects.filter(jid=busy.running).update(body=body)

    assert ">SendInvoice</a>" in text_of(viewer)


def test_arguments_that_are_too_long_are_not_read(
    person: Callable[..., Client], busy: world.World
) -> None:
    Job.objects.filter(jid=busy.running).update(body=json.dumps({"args": ["x" * 70_000]}))

    text = text_of(person("view_job", "view_job_args"))

    assert "too long for a list" in text
    assert "x" * 200 not in text
