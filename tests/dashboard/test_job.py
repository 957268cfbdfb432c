"""The page of a job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.urls import reverse

from faktory_django import payload
from faktory_django.dashboard.converters import AnyText
from faktory_django.lifecycle import queues, track
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push
from faktory_django.lifecycle.reservation import release
from faktory_django.lifecycle.track import Report
from faktory_django.models import Job, RetryJob

from . import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from .world import World


def page(client: Client, jid: str, *, status: int = 200, headers: Any = None) -> str:
    response = client.get(reverse("faktory:job", args=[jid]), headers=headers)
    assert response.status_code == status
    return str(response.content.decode())


def shown(client: Client, jid: str) -> list[Any]:
    found: list[Any] = client.get(reverse("faktory:job", args=[jid])).context["jobs"]
    return found


def push_one(jid: str, *, queue: str = "default", args: str = "[1]", priority: int = 0) -> int:
    body = payload.canonical("FetchURL", jid, args, queue=queue)
    push([Push(queue, jid, "FetchURL", body, priority=priority)])
    return Job.objects.filter(jid=jid).latest("id").pk


@pytest.mark.parametrize(
    ("place", "state", "reason"),
    [
        ("waiting", "waiting", "before it in queue"),
        ("running", "running", "It has been running on web-1:4711 for"),
        ("scheduled", "scheduled", "It is due in"),
        ("retry", "retries", "Its next attempt is due in"),
        ("dead", "dead", "It is dead after "),
    ],
)
def test_a_job_is_found_wherever_it_is_and_says_why_it_is_there(
    chief: Client, busy: World, place: str, state: str, reason: str
) -> None:
    [job] = shown(chief, getattr(busy, place))

    assert job.state == state
    assert reason in " ".join(reason.text for reason in job.reasons)


def test_jobs_that_share_a_jid_are_all_shown(chief: Client, busy: World) -> None:
    push_one(busy.retry)
    push_one(busy.retry, queue="mail")

    found = shown(chief, busy.retry)

    assert [job.state for job in found] == ["waiting", "waiting", "retries"]
    assert "3 jobs share this jid" in page(chief, busy.retry)


def test_a_jid_that_no_job_has_says_what_that_means(chief: Client) -> None:
    assert "No job has the jid gone-0001 any more" in page(chief, "gone-0001", status=404)


def test_a_job_that_ends_while_somebody_looks_is_said_to_have_ended(chief: Client) -> None:
    fragment = page(chief, "gone-0001", headers={"HX-Request": "true"})

    assert "No job has the jid gone-0001 any more" in fragment


def test_how_far_it_says_it_is_is_shown_and_renewed(chief: Client, busy: World) -> None:
    for headers in (None, {"HX-Request": "true"}):
        text = page(chief, busy.running, headers=headers)

        assert '<progress max="100" value="62" aria-label="Progress">62 %</progress>' in text
        assert "page 310 of 500" in text


def test_a_job_that_says_nothing_has_no_bar(chief: Client, busy: World) -> None:
    assert "<progress" not in page(chief, busy.waiting)


@pytest.mark.parametrize(("end", "word"), [("", "Done"), ("failed", "Failed")])
def test_a_tracked_job_that_is_gone_has_its_end_and_nothing_else(
    chief: Client, end: str, word: str
) -> None:
    track.report(connection, [Report("gone-0001", 70, "secret of a queue", end)])

    text = page(chief, "gone-0001", status=404)

    assert f"<b>{word}</b>" in text
    assert "secret of a queue" not in text
    assert "<progress" not in text


def test_how_far_a_job_is_whose_queue_may_not_be_seen_is_not_shown(
    chief: Client, busy: World, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    text = page(chief, busy.running, status=404)

    assert "<progress" not in text
    assert "page 310 of 500" not in text


def test_how_many_jobs_come_before_it_is_counted_by_priority_and_place(chief: Client) -> None:
    for number, priority in enumerate((0, 0, 5, 0, -3)):
        push_one(f"number-{number}", priority=priority)

    ahead = [shown(chief, f"number-{number}")[0].row.ahead.number for number in range(5)]

    assert ahead == [1, 2, 0, 3, 4]


@pytest.mark.usefixtures("busy")
def test_a_job_that_came_back_is_next_in_line(chief: Client) -> None:
    push_one("came-back", queue="critical", priority=90)
    push_one("stayed-here", queue="critical", priority=90)
    [job] = Consumer("brief").turn(connection, ["critical"], 1).jobs
    release(connection, "brief")

    assert job.id == shown(chief, "came-back")[0].row.job.pk
    assert shown(chief, "came-back")[0].row.ahead.number == 0
    assert shown(chief, "stayed-here")[0].row.ahead.number == 1


@pytest.mark.usefixtures("busy")
def test_secrets_are_hidden_and_the_rule_is_named(chief: Client) -> None:
    jid = world.jid("retry", 4)

    text = page(chief, jid)

    assert "hunter2" not in text
    assert "&quot;password&quot;: &quot;•••&quot;" in text
    assert "Hidden by rule: password" in text


@pytest.mark.usefixtures("busy")
def test_arguments_are_for_those_who_may_see_them(person: Callable[..., Client]) -> None:
    text = page(person("view_job"), world.jid("retry", 4))

    assert "notexist.example" not in text
    assert "the permission to see the arguments of jobs is needed" in text


def test_an_error_is_shown_with_its_traceback_folded(chief: Client, busy: World) -> None:
    text = page(chief, busy.retry)

    assert "socket.gaierror: [Errno -2] Name or service not known" in text
    assert "<summary>6 lines</summary>" in text
    assert "gateway.charge(card, amount)" in text


def test_a_job_that_a_framework_wraps_is_called_by_its_own_name(chief: Client, busy: World) -> None:
    body = '{"args":[],"custom":{"wrapped":"WelcomeMailer"}}'
    RetryJob.objects.filter(jid=busy.retry).update(body=body, jobtype="Wrapper")

    response = chief.get(reverse("faktory:job", args=[busy.retry]))

    assert response.context["title"] == "WelcomeMailer"
    assert ">Wrapper</a>" in response.content.decode()


def test_jobs_with_the_same_error_are_one_click_away(chief: Client, busy: World) -> None:
    [job] = shown(chief, busy.retry)

    found = chief.get(job.same_error).context["rows"]

    assert busy.retry in {row.jid for row in found}
    assert {row.errtype for row in found} == {"socket.gaierror"}
    assert shown(chief, busy.scheduled)[0].same_error == ""


@pytest.mark.parametrize(
    ("came_from", "shown"),
    [
        ("/faktory/retries/?q=type:Mail", True),
        ("/faktory/", True),
        ("/admin/", False),
        ("//evil.example/faktory/", False),
        ("https://evil.example/faktory/retries/", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_the_way_back_keeps_the_filter_and_stays_on_the_dashboard(
    chief: Client, busy: World, came_from: str, shown: bool
) -> None:
    page = chief.get(reverse("faktory:job", args=[busy.retry]), {"next": came_from})

    assert page.context["came_from"] == (came_from if shown else "")
    assert ("Back to the list" in page.content.decode()) is shown


def test_each_button_of_a_job_does_what_it_says(chief: Client, busy: World) -> None:
    [job] = shown(chief, busy.retry)
    assert [act.name for act in job.acts] == ["requeue", "kill", "cancel", "discard"]

    here = reverse("faktory:job", args=[busy.retry])
    said = {"target": job.row.place, "row": f"requeue.{job.row.key}", "next": here}
    response = chief.post(reverse("faktory:act"), said)

    assert response.headers["Location"] == here
    assert [job.state for job in shown(chief, busy.retry)] == ["waiting"]


def test_who_may_only_look_sees_no_button(person: Callable[..., Client], busy: World) -> None:
    for granted in (("view_job",), ("view_job", "view_job_args")):
        page = person(*granted).get(reverse("faktory:job", args=[busy.retry]))

        assert not page.context["jobs"][0].acts
        assert not page.context["jobs"][0].may_copy
        assert reverse("faktory:act") not in page.content.decode()


def test_a_job_in_work_is_left_to_its_worker_but_can_be_copied(chief: Client, busy: World) -> None:
    [job] = shown(chief, busy.running)

    assert not job.acts
    assert job.may_copy


@pytest.mark.usefixtures("busy")
def test_long_arguments_are_folded(chief: Client) -> None:
    push_one("long-one1", args=json.dumps(list(range(100))))
    push_one("short-one")

    assert shown(chief, "long-one1")[0].folds
    assert not shown(chief, "short-one")[0].folds


@pytest.mark.usefixtures("busy")
def test_a_job_of_a_queue_that_is_hidden_from_a_person_is_not_there(
    chief: Client, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    assert "No job has the jid" in page(chief, world.jid("retry", 0), status=404)
    assert page(chief, world.jid("retry", 1))


@pytest.mark.parametrize(
    "failure", ["no json", "[]", '{"retry_count":"x","message":null,"failed_at":1}', "{}"]
)
def test_what_somebody_stored_badly_is_shown_all_the_same(
    chief: Client, busy: World, failure: str
) -> None:
    RetryJob.objects.filter(jid=busy.retry).update(body="no json", failure=failure)

    assert page(chief, busy.retry)


def test_a_page_costs_the_same_for_one_job_and_for_many(
    chief: Client, busy: World, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        push_one("shared-by-many")
    queues.pause("default")

    for jid in (busy.retry, busy.running, "shared-by-many"):
        with django_assert_max_num_queries(20) as counted:
            page(chief, jid)
        assert not any("OFFSET" in query["sql"] for query in counted)


@pytest.mark.parametrize("text", ["", "_", "_2F", "a/b", "..", "a\nb", "ü?#%&=+", "a b", "\x01"])
def test_any_text_can_stand_in_an_address(text: str) -> None:
    converter = AnyText()

    assert converter.to_python(converter.to_url(text)) == text
    assert converter.to_url(text).strip(".")
    assert "/" not in converter.to_url(text)


def test_a_nul_stands_in_no_address(chief: Client) -> None:
    assert chief.get(reverse("faktory:job", args=["x"]).replace("/x/", "/%00/")).status_code == 404
