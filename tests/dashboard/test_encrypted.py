"""What pages show of arguments that are encrypted: that they are, to everybody, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.urls import reverse
from django.utils import translation

from faktory_django import encryption, job, payload, registry
from faktory_django.contents import Contents
from faktory_django.lifecycle import mutate, queues
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.models import DeadJob, Job, RetryJob, ScheduledJob
from faktory_django.redaction import ENCRYPTED, shown_args
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.test import Client

pytestmark = pytest.mark.django_db

SECRET = "4111-1111"
KEY = Fernet.generate_key().decode()


@pytest.fixture(autouse=True)
def charge(override_faktory: Any) -> Iterator[Any]:
    """Return an encrypted job that fails; it is forgotten after the test."""
    override_faktory(ENCRYPTION_KEYS=[KEY])
    queues.declare(["default"])

    @job(name="shop.charge", encrypt=True, on_dead=lambda dead: dead)
    def charge(card: str) -> None:
        raise ValueError(len(card))

    yield charge
    for name in ("shop.charge", "shop.plain"):
        registry._definitions.pop(name, None)


def put(charge: Any, place: str) -> str:
    """Push a job to a place; return its jid."""
    if place == "scheduled":
        return str(charge.perform_in(60, SECRET).jid)
    pushed = charge.set(retry=-1 if place == "dead" else 3).perform_async(SECRET)
    if place in {"retries", "dead"}:
        drain(raise_errors=False)
    return str(pushed.jid)


def text(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    page = str(response.content.decode())
    assert SECRET not in page
    assert "gAAA" not in page
    return page


ADDRESSES = {
    "waiting": "/faktory/queues/default/",
    **{name: f"/faktory/{name}/" for name in ("scheduled", "retries", "dead")},
}


@pytest.mark.parametrize("place", ADDRESSES)
def test_a_list_says_that_it_is_encrypted(chief: Client, charge: Any, place: str) -> None:
    jid = put(charge, place)

    page = text(chief, ADDRESSES[place])

    assert jid in page
    assert 'title="encrypted"' in page


@pytest.mark.parametrize("place", ADDRESSES)
def test_the_page_of_a_job_says_that_it_is_encrypted(
    chief: Client, charge: Any, place: str
) -> None:
    page = text(chief, reverse("faktory:job", args=[put(charge, place)]))

    assert "Encrypted: only a worker that has the key reads them" in page
    assert "Edit a copy" not in page


def test_it_takes_the_permission_to_see_that_much(
    person: Callable[..., Client], charge: Any
) -> None:
    jid = put(charge, "retries")
    url = reverse("faktory:job", args=[jid])

    assert "Encrypted: only" in text(person("view_job", "view_job_args"), url)
    assert "Hidden: the permission" in text(person("view_job"), url)


def test_the_page_of_what_runs_says_that_it_is_encrypted(chief: Client, charge: Any) -> None:
    from faktory_django.lifecycle.beat import ProcessInfo, Pulse, beat, register

    put(charge, "waiting")
    register(connection, ProcessInfo("w", "web-1", 1, "1", 10, ("default",)))
    turn = Consumer("w").turn(connection, ["default"], 1)
    running = f"[[{turn.jobs[0].id},{turn.moment}]]"
    beat(connection, [Pulse("w", 1, running)])

    assert "encrypted" in text(chief, "/faktory/busy/")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("args:encrypted", True),
        ("custom.faktory_django.encrypted:fernet", True),
        (f"args:{SECRET}", False),
        ("args:gAAA*", False),
        ("args.0:gAAA*", False),
        ("type:shop.charge", True),
    ],
)
@pytest.mark.parametrize("place", ADDRESSES)
def test_a_search_finds_that_it_is_encrypted_and_nothing_in_it(
    chief: Client, charge: Any, place: str, search: str, found: bool
) -> None:
    jid = put(charge, place)

    response = chief.get(ADDRESSES[place], {"q": search})

    assert [row.jid for row in response.context["rows"]] == ([jid] if found else [])
    assert all(row.args == "encrypted" for row in response.context["rows"])


def test_no_copy_of_it_is_edited(chief: Client, charge: Any) -> None:
    jid = put(charge, "retries")
    url = reverse("faktory:job_edit", args=[jid])

    page = text(chief, url)
    posted = chief.post(url, {"jobtype": "Other", "args": "[1]", "queue": "default"})

    assert "The arguments are encrypted: no copy of it can be edited." in page
    assert "encrypted: no copy" in posted.content.decode()
    assert not Job.objects.exists()


def test_a_copy_that_becomes_such_a_job_is_encrypted(chief: Client) -> None:
    plain: Any = job(name="shop.plain")(lambda card: card)
    jid = plain.perform_async("x").jid
    url = reverse("faktory:job_edit", args=[jid])
    form = chief.get(url).context["form"].initial

    done = chief.post(url, {**form, "jobtype": "shop.charge", "args": f'["{SECRET}"]'})

    assert done.status_code == 302
    made = Job.objects.get(jobtype="shop.charge")
    assert SECRET not in made.body
    [token] = payload.parse(made.body).args
    assert Fernet(KEY).decrypt(token) == f'{{"args":["{SECRET}"]}}'.encode()


def test_the_job_of_an_on_dead_hook_shows_no_token(chief: Client, charge: Any) -> None:
    put(charge, "waiting")
    mutate.kill("waiting", [Job.objects.get().pk])
    hook = Job.objects.get(jobtype=registry.ON_DEAD)

    assert "gAAA" in hook.body
    assert "&quot;args&quot;: &quot;encrypted&quot;" in text(
        chief, reverse("faktory:job", args=[hook.jid])
    )


@pytest.mark.parametrize(
    ("model", "place"),
    [(Job, "waiting"), (ScheduledJob, "scheduled"), (RetryJob, "retries"), (DeadJob, "dead")],
)
def test_the_admin_says_that_it_is_encrypted(
    chief: Client, charge: Any, model: Any, place: str
) -> None:
    put(charge, place)
    kind = model._meta.model_name
    one = model.objects.get(jobtype="shop.charge")

    text(chief, reverse(f"admin:faktory_django_{kind}_changelist"))
    page = text(chief, reverse(f"admin:faktory_django_{kind}_change", args=[one.pk]))

    assert '<pre class="faktory-text">encrypted</pre>' in page


def test_it_is_said_in_the_language_of_the_page() -> None:
    custom = {payload.MARK: encryption.MARK}

    with translation.override("ja"):
        found = Contents.read("T", f'{{"args":["gAAA"],"custom":{_json(custom)}}}', None)

    assert (found.args, found.encrypted) == ("暗号化済み", True)


@pytest.mark.parametrize("mark", [{}, {"encrypted": ""}, [], "encrypted", None])
def test_a_mark_that_does_not_say_so_hides_nothing(mark: Any) -> None:
    assert shown_args("T", {"args": [1], "custom": {payload.MARK: mark}}).value == [1]
    assert shown_args("T", {"args": [1], "custom": mark}).value == [1]


def test_whatever_the_mark_says_it_hides() -> None:
    body = {"args": [SECRET], "custom": {payload.MARK: {"encrypted": ["?"]}}}

    assert shown_args("T", body).value == ENCRYPTED


def _json(value: Any) -> str:
    import json

    return json.dumps(value)
