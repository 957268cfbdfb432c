"""Acts: on ticked rows, on one row, on all that matches; counted, asked, on the record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.utils import translation

from faktory_django.dashboard import everything, figures
from faktory_django.dashboard.lists import LISTS
from faktory_django.dashboard.outcome import say
from faktory_django.lifecycle import matching, operations, queues
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push
from faktory_django.maintenance import Maintenance
from faktory_django.models import AuditEntry, DeadJob, Job, Operation, RetryJob, ScheduledJob

from .test_lists import fill

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

MODELS: dict[str, Any] = {"scheduled": ScheduledJob, "retries": RetryJob, "dead": DeadJob}


def post(client: Client, target: str, **data: Any) -> Any:
    return client.post("/faktory/act/", {"target": target, **data})


def told(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def keys(name: str, *numbers: int) -> list[int]:
    wanted = [f"jid-{number}" for number in numbers]
    return list(MODELS[name].objects.filter(jid__in=wanted).values_list("pk", flat=True))


def wait(*jids: str) -> list[int]:
    """Push jobs; return their keys."""
    queues.declare(["default"])
    push([Push("default", jid, "t", '{"args":[]}') for jid in jids])
    return list(Job.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("name", "act", "said"),
    [
        ("scheduled", "requeue", "2 jobs are in their queues now."),
        ("scheduled", "run_next", "2 jobs are in front of their queues now."),
        ("scheduled", "kill", "2 jobs are dead now."),
        ("retries", "requeue", "2 jobs are in their queues now."),
        ("retries", "kill", "2 jobs are dead now."),
        ("dead", "requeue", "2 jobs are in their queues now."),
    ],
)
def test_ticked_rows_are_acted_on(chief: Client, name: str, act: str, said: str) -> None:
    fill(name, 4)
    ids = keys(name, 1, 2)

    response = post(chief, name, act=act, ids=ids, next=f"/faktory/{name}/?q=type:x")

    assert (response.status_code, response["Location"]) == (302, f"/faktory/{name}/?q=type:x")
    assert told(response) == [said]
    moved: Any = DeadJob if act == "kill" else Job
    assert {job.jid for job in moved.objects.all()} == {"jid-1", "jid-2"}
    assert not MODELS[name].objects.filter(pk__in=ids).exists()
    [entry] = AuditEntry.objects.all()
    assert (entry.act, entry.target, entry.count, entry.user) == (act, name, 2, "person0")


def test_the_button_of_a_row_acts_on_it_alone(chief: Client) -> None:
    fill("dead", 3)

    response = post(chief, "dead", row=f"requeue.{keys('dead', 1)[0]}", ids=keys("dead", 0, 2))

    assert told(response) == ["1 job is in its queue now."]
    assert [job.jid for job in Job.objects.all()] == ["jid-1"]
    assert AuditEntry.objects.get().what == "jid-1"


@pytest.mark.parametrize("name", MODELS)
def test_discarding_asks_first(chief: Client, name: str) -> None:
    fill(name, 3)
    ids = keys(name, 0, 1)

    asked = post(chief, name, act="discard", ids=ids)
    assert "2 jobs will be thrown away." in asked.content.decode()
    assert MODELS[name].objects.count() == 3
    assert not AuditEntry.objects.exists()

    fields = asked.context["fields"]
    data: dict[str, Any] = {**dict(fields), "ids": [v for k, v in fields if k == "ids"]}
    response = chief.post("/faktory/act/", {**data, "confirmed": "yes"})
    assert told(response) == ["2 jobs were thrown away."]
    assert MODELS[name].objects.count() == 1


@pytest.mark.parametrize("act", ["run_next", "kill", "discard"])
def test_a_job_that_runs_is_not_touched(chief: Client, act: str) -> None:
    ids = wait("runs", "waits")
    Consumer("w").turn(connection, ["default"], 1)

    response = post(chief, "waiting", queue="default", act=act, ids=ids, confirmed="yes")

    assert told(response)[1:] == ["1 job had moved on and is untouched."]
    assert Job.objects.filter(jid="runs").exists()
    assert not DeadJob.objects.filter(jid="runs").exists()
    assert AuditEntry.objects.get().count == 1


def test_a_retry_that_has_just_run_is_not_touched(chief: Client) -> None:
    fill("retries", 2)
    ids = keys("retries", 0, 1)
    RetryJob.objects.filter(jid="jid-0").delete()

    response = post(chief, "retries", act="requeue", ids=ids)

    assert told(response) == [
        "1 job is in its queue now.",
        "1 job had moved on and is untouched.",
    ]
    assert [job.jid for job in Job.objects.all()] == ["jid-1"]


@pytest.mark.parametrize("number", [1, 2, 5_000])
@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("name", LISTS)
def test_every_text_with_a_number_can_be_said(name: str, language: str, number: int) -> None:
    with translation.override(language):
        for act in LISTS[name].acts.values():
            for text in (act.question, act.done):
                assert figures.exact(number) in say(text, number)


def test_jobs_that_are_all_gone_are_counted(chief: Client) -> None:
    fill("retries", 2)
    ids = keys("retries", 0, 1)
    RetryJob.objects.all().delete()

    response = post(chief, "retries", act="requeue", ids=ids)

    assert told(response) == ["2 jobs had moved on and are untouched."]
    assert AuditEntry.objects.get().count == 0


def test_nothing_ticked_does_nothing(chief: Client) -> None:
    fill("retries", 2)

    assert told(post(chief, "retries", act="kill")) == ["Nothing was ticked, so nothing was done."]
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    "data",
    [
        {"target": "nowhere", "act": "kill"},
        {"target": "dead", "act": "kill"},
        {"target": "dead", "act": ""},
        {"target": "dead"},
        {"target": "dead", "act": "requeue", "ids": ["x"]},
        {"target": "dead", "act": "requeue", "ids": ["-1"]},
        {"target": "dead", "act": "requeue", "ids": ["9" * 30]},
        {"target": "dead", "act": "requeue", "ids": list(range(201))},
        {"target": "dead", "row": "requeue."},
        {"target": "dead", "all": "requeue", "queue": "default"},
        {"target": "waiting", "all": "kill"},
        {"target": "waiting", "all": "kill", "queue": "no queue"},
        {"target": "dead", "all": "requeue", "q": "typ:x"},
    ],
)
def test_what_makes_no_sense_is_refused(chief: Client, data: dict[str, Any]) -> None:
    assert chief.post("/faktory/act/", data).status_code == 400
    assert not AuditEntry.objects.exists()


def test_nothing_is_done_by_get_or_without_a_token(chief: Client) -> None:
    fill("dead", 1)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = chief.cookies

    assert chief.get("/faktory/act/").status_code == 405
    assert post(strict, "dead", all="requeue").status_code == 403
    assert DeadJob.objects.count() == 1


@pytest.mark.parametrize(
    ("rights", "data", "status"),
    [
        (["view_job"], {"act": "requeue"}, 403),
        (["view_job", "act_on_job"], {"act": "requeue"}, 302),
        (["act_on_job"], {"act": "requeue"}, 403),
        (["view_job", "act_on_job"], {"act": "discard", "confirmed": "yes"}, 302),
        (["view_job", "act_on_job"], {"all": "requeue"}, 200),
        (["view_job", "act_on_job"], {"all": "discard"}, 403),
        (["view_job", "act_on_job", "delete_job"], {"all": "discard"}, 200),
        (["view_job", "act_on_job"], {"all": "requeue", "q": "args.user_id=1"}, 403),
        (["view_job", "act_on_job", "view_job_args"], {"all": "requeue", "q": "args:1"}, 200),
    ],
)
def test_each_act_takes_its_permissions(
    person: Callable[..., Client], rights: list[str], data: dict[str, str], status: int
) -> None:
    fill("dead", 2)

    response = post(person(*rights), "dead", ids=keys("dead", 0), **data)

    assert response.status_code == status
    assert DeadJob.objects.count() == (1 if status == 302 else 2)


def test_everything_is_counted_before_anything_is_done(chief: Client) -> None:
    fill("retries", 30)

    asked = post(
        chief, "retries", all="kill", q="type:type1", next="/faktory/retries/?q=type:type1"
    )

    assert "10 jobs will be moved to the dead." in asked.content.decode()
    assert not asked.context["typed"]
    assert (RetryJob.objects.count(), Operation.objects.count()) == (30, 0)

    response = chief.post("/faktory/act/", {**dict(asked.context["fields"]), "confirmed": "yes"})
    assert response["Location"] == "/faktory/retries/?q=type:type1"
    assert told(response) == ["10 jobs are dead now."]
    assert DeadJob.objects.count() == 10
    [entry] = AuditEntry.objects.all()
    assert (entry.act, entry.target, entry.filter, entry.count) == (
        *("kill", "retries", "type:type1"),
        10,
    )


def test_more_than_a_thousand_take_a_typed_number(chief: Client) -> None:
    fill("retries", 1_001)
    asked = post(chief, "retries", all="requeue")
    assert asked.context["typed"] in {"1,001", "1001"}
    fields = {**dict(asked.context["fields"]), "confirmed": "yes"}

    for typed in ("", "1000", "x"):
        again = chief.post("/faktory/act/", {**fields, "typed": typed})
        assert again.status_code == 400
        assert RetryJob.objects.count() == 1_001

    response = chief.post("/faktory/act/", {**fields, "typed": "1,001"})
    assert told(response) == ["1,001 jobs are in their queues now."] or "1001" in told(response)[0]
    assert Job.objects.count() == 1_001


def test_what_could_not_be_counted_says_so_and_takes_a_typed_number(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "COUNTED", 20)
    fill("retries", 50)

    asked = post(chief, "retries", all="requeue", q="type:type1")

    text = asked.content.decode()
    assert re.search(r"≥ \d jobs will be put at the end of their queues", text)
    assert "20 jobs were looked at to count them" in text
    fields = {**dict(asked.context["fields"]), "confirmed": "yes"}
    chief.post("/faktory/act/", {**fields, "typed": asked.context["typed"]})
    assert Job.objects.count() == 17


def test_all_of_a_large_list_is_estimated(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "COUNTED", 20)
    fill("retries", 123)
    wait(*map(str, range(45)))

    assert "≈ 120 jobs" in post(chief, "retries", all="requeue").content.decode()
    assert "≈ 45 jobs" in post(chief, "waiting", queue="default", all="kill").content.decode()


def test_what_is_far_from_the_head_of_a_list_is_found_all_the_same(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "CANDIDATES", 10)
    fill("retries", 50)

    asked = post(chief, "retries", all="requeue", q="args.user_id=*5 -args.user_id=5")
    fields = {**dict(asked.context["fields"]), "confirmed": "yes"}
    chief.post("/faktory/act/", {**fields, "typed": asked.context["typed"]})

    assert sorted(job.jid for job in Job.objects.all()) == [f"jid-{i}5" for i in range(1, 5)]


def test_a_lone_word_is_kept_as_the_jid_it_is(chief: Client) -> None:
    fill("retries", 3)

    post(chief, "retries", all="requeue", q="jid-1", confirmed="yes")

    assert AuditEntry.objects.get().filter == "jid:jid-1"
    assert [job.jid for job in Job.objects.all()] == ["jid-1"]


def test_a_long_act_goes_on_on_its_page_and_without_it(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "SECONDS", 0)
    monkeypatch.setattr("faktory_django.dashboard.operation.SECONDS", 0)
    monkeypatch.setattr(operations, "PART", 10)
    fill("dead", 45)

    response = post(chief, "dead", all="requeue", confirmed="yes", next="/faktory/dead/?q=")
    address = response["Location"]
    assert address.startswith("/faktory/operations/")
    assert Job.objects.count() == 10

    page = chief.get(address)
    assert page.context["percent"] == 22
    assert "10 jobs are in their queues now." in page.content.decode()
    assert 'href="/faktory/dead/?q="' in page.content.decode()
    assert Job.objects.count() == 10

    assert chief.post(address, {"go": "on"}).status_code == 302
    assert Job.objects.count() == 20
    fragment = chief.post(address, {"go": "on"}, headers={"HX-Request": "true"})
    assert "30 jobs are in their queues now." in fragment.content.decode()

    Maintenance().operate(connection)
    assert Job.objects.count() == 45
    page = chief.get(address)
    assert "45 jobs are in their queues now." in page.content.decode()
    assert 'name="go"' not in page.content.decode()
    assert AuditEntry.objects.get().count == 45


def test_a_long_act_is_stopped(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "SECONDS", 0)
    monkeypatch.setattr(operations, "PART", 10)
    fill("dead", 45)
    address = post(chief, "dead", all="requeue", confirmed="yes")["Location"]

    chief.post(address, {"stop": "yes"})
    Maintenance().operate(connection)

    assert Job.objects.count() == 10
    assert "stopped" in chief.get(address).content.decode()


def test_only_who_may_act_goes_on_or_stops(
    chief: Client, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "SECONDS", 0)
    monkeypatch.setattr(operations, "PART", 10)
    fill("dead", 45)
    address = post(chief, "dead", all="requeue", confirmed="yes")["Location"]

    assert viewer.get(address).status_code == 200
    assert viewer.post(address, {"stop": "yes"}).status_code == 403
    assert viewer.get("/faktory/operations/999999/").status_code == 404


def test_a_queue_is_cleared(chief: Client) -> None:
    wait(*"abcde")
    Consumer("w").turn(connection, ["default"], 2)

    asked = post(chief, "waiting", queue="default", all="discard")
    assert "3 jobs will be thrown away." in asked.content.decode()
    fields = {**dict(asked.context["fields"]), "confirmed": "yes"}

    assert told(chief.post("/faktory/act/", fields)) == ["3 jobs were thrown away."]
    assert Job.objects.count() == 2


def test_nothing_that_matches_is_said(chief: Client) -> None:
    fill("dead", 1)

    response = post(chief, "dead", all="requeue", q="type:nobody")

    assert told(response) == ["No job matches, so nothing was done."]
    assert not Operation.objects.exists()


@pytest.mark.parametrize("address", ["//evil.example/", "https://evil.example/", "javascript:x()"])
def test_nobody_is_sent_elsewhere(chief: Client, address: str) -> None:
    fill("dead", 1)

    response = post(chief, "dead", act="requeue", ids=keys("dead", 0), next=address)

    assert response["Location"] == "/faktory/dead/"


def test_only_the_queues_of_a_person_are_acted_on(
    chief: Client, override_faktory: Callable[..., None]
) -> None:
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")
    queues.declare(["mail", "default"])
    fill("dead", 10)
    DeadJob.objects.filter(jid__in=["jid-1", "jid-2"]).update(queue="mail")

    assert post(chief, "dead", act="requeue", ids=keys("dead", 1, 3)).status_code == 403
    asked = post(chief, "dead", all="requeue")
    assert "2 jobs will be put" in asked.content.decode()
    post(chief, "dead", all="requeue", confirmed="yes")
    assert sorted(job.jid for job in Job.objects.all()) == ["jid-1", "jid-2"]
    assert post(chief, "waiting", queue="default", all="kill").status_code == 403
