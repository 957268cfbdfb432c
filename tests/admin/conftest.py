"""People with permissions, and jobs in every place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from faktory_django.lifecycle import queues
from faktory_django.lifecycle.beat import ProcessInfo, Pulse, beat, register
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import Push, push
from faktory_django.models import DeadJob, FinishedJob, Job, RetryJob, ScheduledJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAILURE = {
    "failed_at": "2026-01-02T03:04:05.000000Z",
    "message": "name or service not known",
    "errtype": "socket.gaierror",
    "backtrace": ["File jobs.py, line 3", "in fetch"],
    "retry_count": 2,
}
MODELS = (
    *("job", "scheduledjob", "retryjob", "deadjob", "finishedjob"),
    *("queue", "process", "counter"),
)


@pytest.fixture
def person(db: None) -> Callable[..., Client]:
    """Return a function that signs somebody in who may do what is named."""
    del db

    def sign_in(*permissions: str, staff: bool = True, superuser: bool = False) -> Client:
        user = get_user_model().objects.create_user(
            f"person{get_user_model().objects.count()}", is_staff=staff, is_superuser=superuser
        )
        names = {"view_all": [f"view_{model}" for model in MODELS]}
        for name in permissions:
            found = Permission.objects.filter(
                content_type__app_label="faktory_django", codename__in=names.get(name, [name])
            )
            user.user_permissions.add(*found)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def operator(person: Callable[..., Client]) -> Client:
    """Return somebody who may look at everything and act on jobs."""
    return person("view_all", "act_on_job", "view_job_args")


@pytest.fixture
def chief(person: Callable[..., Client]) -> Client:
    """Return a superuser."""
    return person(superuser=True)


def list_url(model: str, query: str = "") -> str:
    """Return the address of a list."""
    return reverse(f"admin:faktory_django_{model}_changelist") + query


def page_url(model: str, key: object) -> str:
    """Return the address of a row."""
    return reverse(f"admin:faktory_django_{model}_change", args=[key])


def act(
    client: Client, model: str, name: str, keys: Sequence[object], *, query: str = "", **extra: str
) -> Any:
    """Post an action as the list's form does, and return the page that follows."""
    data = {"action": name, "_selected_action": [str(k) for k in keys], "index": "0", **extra}
    return client.post(list_url(model, query), data, follow=True)


def body(jid: str, jobtype: str = "fetch", args: str = "[1]", custom: str = "") -> str:
    """Return the body of a job."""
    customs = f'"custom":{custom},' if custom else ""
    return (
        f'{{"created_at":"2026-01-02T03:04:05.000000Z",{customs}"jid":{json.dumps(jid)},'
        f'"jobtype":{json.dumps(jobtype)},"retry":25,"args":{args}}}'
    )


def push_job(jid: str, **options: Any) -> Job:
    """Push a job and return its row."""
    columns = {k: options.pop(k) for k in ("queue", "priority") if k in options}
    jobtype = options.get("jobtype", "fetch")
    push([Push(columns.pop("queue", "default"), jid, jobtype, body(jid, **options), **columns)])
    return Job.objects.filter(jid=jid).latest("id")


def scheduled(jid: str, **columns: Any) -> ScheduledJob:
    """Store a scheduled job that is due now."""
    return ScheduledJob.objects.create(**_entry(jid, columns), due_at=timezone.now())


def retry(jid: str, **columns: Any) -> RetryJob:
    """Store a retry that is due now."""
    columns = {"failure": json.dumps(FAILURE)} | columns
    return RetryJob.objects.create(**_entry(jid, columns), due_at=timezone.now())


def finished(jid: str, **columns: Any) -> FinishedJob:
    """Put a job that has ended into the history."""
    facts: dict[str, Any] = {"jobtype": "fetch", "queue": "default", "outcome": "failed"}
    facts |= {"finished_at": timezone.now(), "attempts": 1, "failure": json.dumps(FAILURE)}
    return FinishedJob.objects.create(bucket=20991231, jid=jid, **(facts | columns))


def dead(jid: str, **columns: Any) -> DeadJob:
    """Store a dead job."""
    columns = {"failure": json.dumps(FAILURE)} | columns
    return DeadJob.objects.create(**_entry(jid, columns), died_at=timezone.now())


def _entry(jid: str, columns: dict[str, Any]) -> dict[str, Any]:
    found = {"queue": "default", "jobtype": "fetch", "reserve_for": 1800, "jid": jid}
    return {"body": body(jid), **found, **columns}


@dataclass
class Worker:
    """A process that is known, and what it has claimed."""

    wid: str = "w1"
    hostname: str = "box"
    pid: int = 4711

    def start(self, **info: Any) -> Worker:
        """Make it known."""
        given: dict[str, Any] = {"version": "1", "concurrency": 5, "queues": ("default",)} | info
        register(connection, ProcessInfo(self.wid, self.hostname, self.pid, **given))
        return self

    def claim(self, wanted: int = 1, *, each: bool = False) -> list[int]:
        """Claim jobs of the queue default."""
        consumer, queues = Consumer(self.wid), ["default"]
        if each:
            turn = consumer.turn_each(connection, queues, [self.wid] * wanted)
        else:
            turn = consumer.turn(connection, queues, wanted)
        return [job.id for job in turn.jobs]

    def run(self, *ids: int, since: float = 1_700_000_000) -> None:
        """Say that these jobs run."""
        text = json.dumps([[i, since] for i in ids])
        beat(connection, [Pulse(self.wid, 2048, text)])


@pytest.fixture
def worker(db: None) -> Worker:
    """Return a process that beats."""
    del db
    return Worker().start()


@pytest.fixture
def everywhere(worker: Worker) -> dict[str, Any]:
    """Put a row into every list; return the key of each."""
    worker.run()
    queues.declare(["default"])
    job = push_job("waits")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype, waits)"
            " VALUES (60, '2026-01-02 03:04Z', 'default', 'fetch', ARRAY[0, 3]) RETURNING id"
        )
        counter = cursor.fetchone()[0]
    return {
        "job": job.pk,
        "scheduledjob": scheduled("later").pk,
        "retryjob": retry("again").pk,
        "deadjob": dead("gone").pk,
        "finishedjob": finished("over").pk,
        "queue": "default",
        "process": worker.wid,
        "counter": counter,
    }
