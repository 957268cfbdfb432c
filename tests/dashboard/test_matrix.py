"""Every URL and method for every kind of person; every answer with its headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from django.db import connection
from django.test import Client

from faktory_django.models import (
    CronEntry,
    CronTick,
    DeadJob,
    Job,
    Process,
    Queue,
    RetryJob,
    ScheduledJob,
)

from .addresses import FOR_PROGRAMS, METHODS, address, names, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from .world import World

# What it takes: the permission of a right, "anybody", or None where the method is not allowed.
READ: Final = {"GET": "view", "HEAD": "view"}
NEEDS: Final[dict[str, dict[str, str]]] = {
    "overview": READ,
    "busy": READ | {"POST": "steer"},
    "queues": READ | {"POST": "act"},
    "queue": READ,
    "batches": READ,
    "batch": READ | {"POST": "act"},
    "cron": READ | {"POST": "act"},
    "locks": READ | {"POST": "act"},
    "throttles": READ | {"POST": "act"},
    "scheduled": READ,
    "retries": READ,
    "dead": READ,
    "finished": READ,
    "errors": READ,
    "act": {"POST": "act"},
    "cancel": {"POST": "act"},
    "operation": READ | {"POST": "act"},
    "audit": READ,
    "stats": READ,
    "health": {"GET": "anybody", "HEAD": "anybody"},
    "job": READ,
    "job_edit": {"GET": "copy", "HEAD": "copy", "POST": "copy"},
    "types": READ,
    "storage": READ,
    "type": READ,
    "language": {"POST": "view"},
}
RIGHTS: Final = {
    "view": ("view_job",),
    "args": ("view_job", "view_job_args"),
    "act": ("view_job", "act_on_job"),
    "copy": ("view_job", "view_job_args", "act_on_job"),
    "flush": ("view_job", "act_on_job", "delete_job"),
    "steer": ("view_job", "change_process"),
}
ALL: Final = ("view_job", "view_job_args", "act_on_job", "delete_job", "change_process")
# Each kind of person: whether they are staff, what was granted to them.
PEOPLE: Final[dict[str, tuple[bool, tuple[str, ...]]]] = {
    "nobody": (True, ()),
    "not staff": (False, ALL),
    "acts blindly": (True, ("act_on_job", "delete_job", "change_process", "view_job_args")),
    **{right: (True, granted) for right, granted in RIGHTS.items()},
    "all": (True, ALL),
}
HEADERS: Final = {
    "Cache-Control": "no-store, private",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
POLICY: Final = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def test_every_url_says_here_what_it_takes() -> None:
    assert set(NEEDS) == set(names())


@pytest.mark.parametrize("kind", PEOPLE)
def test_each_method_is_for_those_who_may(
    person: Callable[..., Client], busy: World, kind: str
) -> None:
    staff, granted = PEOPLE[kind]
    client = person(*granted, staff=staff)
    right = {}

    for name in names():
        for method in METHODS:
            status = client.generic(method, address(name, values(busy))).status_code
            right[name, method] = status in expected(name, method, staff, granted), status

    assert {at: status for at, (fits, status) in right.items() if not fits} == {}


def expected(name: str, method: str, staff: bool, granted: tuple[str, ...]) -> set[int]:
    """Return how a method may be answered to a person."""
    need = NEEDS[name].get(method)
    if need is None:
        return {405}
    if need == "anybody" or (staff and set(RIGHTS[need]) <= set(granted)):
        return {200, 302, 400}
    return {403}


@pytest.mark.parametrize("name", names())
def test_who_has_not_signed_in_is_sent_to_the_login(busy: World, name: str) -> None:
    url = address(name, values(busy))

    for method, need in NEEDS[name].items():
        response: Any = Client().generic(method, url)

        if need == "anybody":
            assert response.status_code == 200
        elif name in FOR_PROGRAMS:
            assert response.status_code == 403
        else:
            assert response.status_code == 302
            assert response["Location"].startswith("/admin/login/?next=/faktory/")


@pytest.mark.parametrize("name", names())
def test_every_answer_has_its_headers(
    person: Callable[..., Client], busy: World, name: str
) -> None:
    clients = [Client(), person(), person(*ALL)]
    url = address(name, values(busy))

    for client in clients:
        for method in METHODS:
            assert_secured(client.generic(method, url), method)


def assert_secured(response: Any, method: str) -> None:
    """Check the headers of one answer."""
    assert {name: response.get(name) for name in HEADERS} == HEADERS, method
    directives = response["Content-Security-Policy"].split(";")
    assert dict(d.strip().split(" ", 1) for d in directives) == POLICY, method


@pytest.mark.parametrize("name", [name for name in names() if "POST" in NEEDS.get(name, ())])
def test_a_post_without_the_token_changes_nothing(
    person: Callable[..., Client], busy: World, name: str
) -> None:
    client = person(*ALL)
    client.handler.enforce_csrf_checks = True
    before = everything()

    response = client.post(address(name, values(busy)), {"act": "discard", "confirmed": "yes"})

    assert response.status_code == 403
    assert everything() == before


@pytest.mark.parametrize("name", names())
def test_looking_changes_nothing(person: Callable[..., Client], busy: World, name: str) -> None:
    client = person(*ALL)
    before = everything()

    for query in ("", "?act=discard&confirmed=yes&ids=1&everything=1"):
        client.get(address(name, values(busy)) + query)

    assert everything() == before


def everything() -> list[Any]:
    """Return all rows that somebody could change, and whether a table of the dashboard grew."""
    models: Any = (Job, ScheduledJob, RetryJob, DeadJob, Queue, Process, CronEntry, CronTick)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM faktory_django_ready")
        ready = cursor.fetchone()
    return [*(list(model.objects.order_by("pk").values()) for model in models), ready]
