"""Actions: by the verbs of the life cycle, counted, on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import connection
from django.utils import timezone

from faktory_django.lifecycle import queues, stats
from faktory_django.lifecycle.beat import ProcessInfo, register
from faktory_django.lifecycle.reservation import release
from faktory_django.models import (
    Cancel,
    DeadJob,
    Job,
    Process,
    Queue,
    Ready,
    RetryJob,
    ScheduledJob,
)

from .conftest import Worker, act, dead, push_job, retry, scheduled

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client


def told(response: Any) -> list[str]:
    """Return the messages of a page."""
    return [str(message) for message in response.context["messages"]]


@pytest.mark.parametrize(
    ("model", "name", "store"),
    [
        ("scheduledjob", "add_to_queue", scheduled),
        ("retryjob", "retry_now", retry),
        ("deadjob", "retry_now", dead),
    ],
)
def test_an_entry_of_a_set_enters_its_queue(
    operator: Client, model: str, name: str, store: Callable[..., Any]
) -> None:
    entry, other = store("a"), store("b")

    response = act(operator, model, name, [entry.pk])

    assert told(response) == ["1 job is in its queue now."]
    assert [job.jid for job in Job.objects.all()] == ["a"]
    assert Ready.objects.count() == 1
    assert [left.pk for left in type(entry).objects.all()] == [other.pk]


@pytest.mark.parametrize(("model", "store"), [("scheduledjob", scheduled), ("retryjob", retry)])
def test_killed_entries_are_dead(operator: Client, model: str, store: Callable[..., Any]) -> None:
    entries = [store("a"), store("b")]

    response = act(operator, model, "kill", [entry.pk for entry in entries])

    assert told(response) == ["2 jobs are dead now."]
    assert sorted(job.jid for job in DeadJob.objects.all()) == ["a", "b"]


@pytest.mark.parametrize(
    ("model", "store"), [("scheduledjob", scheduled), ("retryjob", retry), ("deadjob", dead)]
)
def test_entries_are_discarded_after_a_person_has_said_yes(
    operator: Client, model: str, store: Callable[..., Any]
) -> None:
    entry = store("a")

    asked = act(operator, model, "discard", [entry.pk])
    assert "1 job will be thrown away." in asked.content.decode()
    assert type(entry).objects.count() == 1
    assert not LogEntry.objects.exists()

    response = act(operator, model, "discard", [entry.pk], confirmed="yes")
    assert told(response) == ["1 job was thrown away."]
    assert type(entry).objects.count() == Job.objects.count() == 0
    assert stats.totals()["discarded"] == 1


@pytest.mark.parametrize(("model", "store"), [("scheduledjob", scheduled), ("retryjob", retry)])
def test_entries_are_cancelled_after_a_person_has_said_yes(
    operator: Client, model: str, store: Callable[..., Any]
) -> None:
    entry = store("a")

    asked = act(operator, model, "cancel", [entry.pk])
    assert "1 job will be cancelled." in asked.content.decode()
    response = act(operator, model, "cancel", [entry.pk], confirmed="yes")

    assert told(response) == ["1 job was cancelled."]
    assert type(entry).objects.count() == 0


def test_jobs_are_cancelled_and_those_in_work_are_asked_to_stop(
    operator: Client, worker: Worker
) -> None:
    jobs = [push_job(jid) for jid in "abc"]
    [running] = worker.claim()

    response = act(operator, "job", "cancel", [job.pk for job in jobs], confirmed="yes")

    assert told(response) == ["3 jobs were cancelled, or asked to stop."]
    assert [job.pk for job in Job.objects.all()] == [running]
    assert Cancel.objects.get().job_id == running
    assert "cancelling" in operator.get("/admin/faktory_django/job/").content.decode()


def test_the_page_that_asks_sends_the_same_form_again(operator: Client) -> None:
    first, second = retry("a"), retry("b")

    asked = act(operator, "retryjob", "discard", [first.pk, second.pk])

    sent = asked.context["fields"]
    assert ("action", "discard") in sent
    assert [v for k, v in sent if k == "_selected_action"] == [str(first.pk), str(second.pk)]
    assert asked.context["objects"] == ["fetch a", "fetch b"]


def test_entries_that_have_moved_on_are_untouched_and_counted(operator: Client) -> None:
    here, gone = retry("here"), retry("gone")
    keys = [here.pk, gone.pk]
    gone.delete()

    response = act(operator, "retryjob", "retry_now", keys)

    assert told(response) == [
        "1 job is in its queue now.",
        "1 had moved on and is untouched.",
    ]
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["fetch here"]


@pytest.mark.parametrize(("name", "dead_jobs"), [("kill", 2), ("discard", 0)])
def test_acting_on_jobs_leaves_those_in_work_alone_and_says_so(
    operator: Client, worker: Worker, name: str, dead_jobs: int
) -> None:
    jobs = [push_job(jid) for jid in "abc"]
    [running] = worker.claim()

    response = act(operator, "job", name, [job.pk for job in jobs], confirmed="yes")

    skipped = "1 was not waiting: it is in work or has ended, and is untouched."
    assert told(response)[1] == skipped
    assert [job.pk for job in Job.objects.all()] == [running]
    assert DeadJob.objects.count() == dead_jobs
    assert Ready.objects.count() == 0
    assert LogEntry.objects.count() == 2


def test_a_job_that_came_back_can_be_killed(operator: Client, worker: Worker) -> None:
    job = push_job("a", priority=3)
    worker.claim()
    release(connection, worker.wid)

    assert told(act(operator, "job", "kill", [job.pk])) == ["1 job is dead now."]
    assert not Ready.objects.exists()


def test_queues_are_paused_and_resumed_and_those_that_were_so_are_counted(operator: Client) -> None:
    queues.declare(["a", "b"])
    queues.pause("b")

    paused = act(operator, "queue", "pause", ["a", "b"])
    assert told(paused) == ["1 queue is paused now.", "1 was so already."]
    assert Queue.objects.filter(paused=True).count() == 2

    resumed = act(operator, "queue", "resume", ["a", "b"])
    assert told(resumed) == ["2 queues go on now."]
    assert LogEntry.objects.filter(action_flag=CHANGE).count() == 3


def test_clearing_a_queue_throws_away_what_waits_after_asking(
    chief: Client, worker: Worker
) -> None:
    queues.declare(["default", "empty"])
    for jid in "abc":
        push_job(jid)
    worker.claim()

    asked = act(chief, "queue", "clear", ["default", "empty"])
    assert "All jobs that wait in 2 queues will be thrown away" in asked.content.decode()
    assert Job.objects.count() == 3

    response = act(chief, "queue", "clear", ["default", "empty"], confirmed="yes")
    assert told(response) == ["2 jobs were thrown away.", "1 queue was empty."]
    assert Job.objects.count() == 1
    messages = {entry.object_repr: entry.change_message for entry in LogEntry.objects.all()}
    assert messages == {"default": "Clear: 2 jobs", "empty": "Clear: 0 jobs"}


@pytest.mark.parametrize(("name", "state"), [("quiet", "quiet"), ("stop", "terminate")])
def test_a_process_is_asked_once(chief: Client, worker: Worker, name: str, state: str) -> None:
    first = act(chief, "process", name, [worker.wid])
    second = act(chief, "process", name, [worker.wid])

    assert Process.objects.get().state == state
    assert told(first)[0].startswith("1 process was asked to")
    assert told(second) == ["1 was asked already, or has ended."]
    assert LogEntry.objects.count() == 1


def test_a_process_that_is_stopping_is_not_made_quiet(chief: Client, worker: Worker) -> None:
    act(chief, "process", "stop", [worker.wid])
    act(chief, "process", "quiet", [worker.wid])

    assert Process.objects.get().state == "terminate"


def test_every_object_is_on_the_record_with_who_and_what(operator: Client) -> None:
    entries = [retry("a"), retry("b")]

    act(operator, "retryjob", "kill", [entry.pk for entry in entries])

    found = LogEntry.objects.order_by("object_repr")
    assert [entry.object_repr for entry in found] == ["fetch a", "fetch b"]
    assert {entry.change_message for entry in found} == {"Kill"}
    assert {entry.action_flag for entry in found} == {DELETION}
    assert {entry.user.pk for entry in found} == {int(operator.session["_auth_user_id"])}


def fill(count: int) -> None:
    """Store retries of two jobtypes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO faktory_django_retryjob (queue, priority, jid, jobtype, reserve_for, body,"
            " due_at) SELECT 'default', 0, 'j' || i, 'type' || i %% 2, 60, '{}', %s"
            " FROM generate_series(1, %s) i",
            [timezone.now(), count],
        )


def test_more_than_a_hundred_objects_are_one_entry_of_the_record(operator: Client) -> None:
    fill(1_201)

    response = act(operator, "retryjob", "kill", [1], select_across="1", query="?jobtype=type1")

    assert told(response) == ["601 jobs are dead now."]
    assert RetryJob.objects.count() == 600
    [entry] = LogEntry.objects.all()
    assert entry.object_repr == "601 retries"
    assert entry.change_message == "Kill: 601 of 601; filter: jobtype=type1"
    assert not entry.object_id


def test_acting_on_all_ends_where_the_list_ends(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("acts", "window"):
        monkeypatch.setattr(f"faktory_django.admin.{module}.WINDOW", 100)
    fill(150)

    response = act(operator, "retryjob", "discard", [1], select_across="1", confirmed="yes")

    assert told(response) == ["100 jobs were thrown away."]
    assert RetryJob.objects.count() == 50


def test_what_was_done_before_an_error_is_on_the_record(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faktory_django.admin.acts.AT_A_TIME", 100)
    fill(250)
    # the hundred-and-first to die breaks a rule of the database
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE faktory_django_deadjob ADD CHECK (jid <> 'j150') NOT VALID")
    operator.raise_request_exception = False

    response = act(operator, "retryjob", "kill", [1], select_across="1")

    assert response.status_code == 500
    assert DeadJob.objects.count() == 100
    assert LogEntry.objects.get().change_message == "Kill: 100 of 250; filter: -"


def test_nothing_selected_does_nothing(operator: Client) -> None:
    scheduled("a")

    act(operator, "scheduledjob", "kill", [])

    assert ScheduledJob.objects.count() == 1


def test_a_server_of_the_wire_is_not_asked_to_stop(operator: Client) -> None:
    register(connection, ProcessInfo("s", "box", 1, "1", 0, (), (), "server"))

    for name in ("quiet", "stop"):
        act(operator, "process", name, ["s"])

    assert Process.objects.get().state == "running"
