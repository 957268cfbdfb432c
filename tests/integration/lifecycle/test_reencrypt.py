"""Reencrypt: what waits in a set gets tokens of the newest key, beside workers."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from faktory_django import encryption, payload
from faktory_django.errors import EncryptionNotReady
from faktory_django.lifecycle import mutate
from faktory_django.lifecycle.dead import Buried, push_on_dead
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.reencrypt import MAX_NAMED, REPLACE, Tally, reencrypt
from faktory_django.registry import Definition, register

from .stock import claim, column, failing, push_many, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
SETS = {"scheduled": "scheduledjob", "retries": "retryjob", "dead": "deadjob"}


@pytest.fixture(autouse=True)
def give(override_faktory: Any) -> Callable[..., None]:
    """Return a function that sets the keys; there is an old one."""

    def keys(*given: str) -> None:
        override_faktory(ENCRYPTION_KEYS=list(given))

    keys(OLD)
    return keys


def body(number: int = 0) -> str:
    """Return the body of an encrypted job."""
    args = encryption.seal("T", f"[{number}]", {}, named=False)
    head, middle, tail = payload.template(
        "T", queue="default", retry=3, custom={payload.MARK: encryption.MARK}
    )
    return f"{head}jid-{number}{middle}{args}{tail}"


def fill(target: str, number: int, text: str | None = None) -> None:
    """Put jobs into a set, or into their queue."""
    delay = 600 if target == "scheduled" else None
    for n in range(number):
        push_one(jobtype="T", body=text or body(n), delay_seconds=delay)
    if target in {"retries", "dead"}:
        fail(connection, [failing(one, kill=target == "dead") for one in claim(number)])


def held(table: str, key: str = NEW) -> list[bool]:
    """Return of each job of a table whether its token is of a key."""
    return [
        encryption._decrypted(Fernet(key), payload.parse(text).args[0]) is not None
        for text in column(table, "body")
    ]


@pytest.mark.parametrize("target", SETS)
def test_a_set_gets_tokens_of_the_newest_key(give: Callable[..., None], target: str) -> None:
    fill(target, 7)
    give(NEW, OLD)
    fill(target, 1)

    tally = reencrypt(target, batch=3)

    assert tally == Tally(newest=1, older=7, changed=7)
    assert held(SETS[target]) == [True] * 8
    assert reencrypt(target, batch=3) == Tally(newest=8)


@pytest.mark.parametrize("target", SETS)
def test_what_is_renewed_runs(give: Callable[..., None], target: str) -> None:
    fill(target, 1)
    give(NEW, OLD)
    reencrypt(target, batch=10)
    give(NEW)

    mutate.requeue(target, column(SETS[target], "id"))

    (job,) = claim()
    args = payload.parse(job.body).args
    assert encryption.unseal("", args, encryption.FERNET).args == [0]


def test_jobs_in_queues_and_in_work_are_only_counted(give: Callable[..., None]) -> None:
    fill("waiting", 4)
    claim(2)
    before = column("job", "body || xmin::text")
    give(NEW, OLD)

    assert reencrypt("waiting", batch=3) == Tally(older=4)

    assert column("job", "body || xmin::text") == before


def test_a_dry_run_changes_nothing(give: Callable[..., None]) -> None:
    fill("dead", 2)
    before = column("deadjob", "body || xmin::text")
    give(NEW, OLD)

    assert reencrypt("dead", batch=3, dry_run=True) == Tally(older=2)

    assert column("deadjob", "body || xmin::text") == before


def test_plain_jobs_are_not_touched(give: Callable[..., None]) -> None:
    push_many(3, delay_seconds=600)
    push_one(delay_seconds=600, body='{"jid":"j","jobtype":"T","args":["\\"encrypted\\""]}')
    push_one(delay_seconds=600, body='{"no job": "encrypted"}')
    before = column("scheduledjob", "body || xmin::text")
    give(NEW, OLD)

    assert reencrypt("scheduled", batch=2) == Tally()

    assert column("scheduledjob", "body || xmin::text") == before


def test_what_cannot_be_read_is_named_and_left(give: Callable[..., None]) -> None:
    fill("scheduled", MAX_NAMED + 2)
    give(NEW)
    fill("scheduled", 1)
    first = column("scheduledjob")[0]

    tally = reencrypt("scheduled", batch=500)

    assert (tally.unreadable, tally.newest, len(tally.named)) == (MAX_NAMED + 2, 1, MAX_NAMED)
    assert tally.named[0] == f"T {first}"
    assert sum(held("scheduledjob", OLD)) == MAX_NAMED + 2


@pytest.fixture
def hooked() -> Iterator[None]:
    """Give the jobtype T an on_dead hook."""
    from faktory_django import registry

    known = dict(registry._definitions)
    register(Definition("T", lambda: None, on_dead=lambda dead: dead))
    yield
    registry._definitions.clear()
    registry._definitions.update(known)


@pytest.mark.usefixtures("hooked")
def test_the_dead_job_in_an_on_dead_job_that_waits_is_renewed(give: Callable[..., None]) -> None:
    push_on_dead(connection, [Buried("default", "T", body(), None)])
    fail(connection, [failing(one) for one in claim()])
    give(NEW, OLD)

    assert reencrypt("retries", batch=5).changed == 1

    [text] = column("retryjob", "body")
    [token] = payload.parse(text).args[1]["args"]
    assert Fernet(NEW).decrypt(token) == b'{"args":[0]}'


def replace(target: str, rows: list[tuple[int, str, str]]) -> int:
    ids, olds, news = (list(found) for found in zip(*rows, strict=True))
    return int(sql(REPLACE[target], ids=ids, olds=olds, news=news)[0][0])


def test_a_row_that_has_changed_since_is_left_alone() -> None:
    fill("dead", 2)
    first, second = column("deadjob", "id")
    old = column("deadjob", "body")

    assert replace("dead", [(first, "another", "new"), (second, old[1], "new")]) == 1

    assert column("deadjob", "body") == [old[0], "new"]


def test_a_row_that_another_moves_is_not_waited_for(
    give: Callable[..., None], actor: Callable[[], Actor]
) -> None:
    fill("scheduled", 3)
    first = column("scheduledjob", "id")[0]
    give(NEW, OLD)
    mover = actor()
    mover.begin()
    mover.do(lambda: mutate.requeue("scheduled", [first]))

    tally = reencrypt("scheduled", batch=10)
    mover.commit()

    assert (tally.older, tally.changed) == (3, 2)
    assert held("scheduledjob") == [True, True]
    assert held("job", OLD) == [True]


def test_without_a_key_it_is_refused(give: Callable[..., None]) -> None:
    give()

    with pytest.raises(EncryptionNotReady, match="has no key"):
        reencrypt("dead", batch=10)


def run(*options: str) -> str:
    out = StringIO()
    call_command("faktory_reencrypt", *options, stdout=out)
    return out.getvalue()


def test_the_command_says_what_it_found(give: Callable[..., None]) -> None:
    fill("dead", 3)
    fill("scheduled", 2)
    fill("waiting", 1)
    give(NEW, OLD)

    assert "dead: 0 of the newest key, 0 re-encrypted, 3 of an older key left" in run("--dry-run")
    assert run("--batch", "2").splitlines() == [
        "scheduled: 0 of the newest key, 2 re-encrypted, 0 of an older key left",
        "retries: 0 of the newest key, 0 re-encrypted, 0 of an older key left",
        "dead: 0 of the newest key, 3 re-encrypted, 0 of an older key left",
        "queues and work: 0 of the newest key, 0 re-encrypted, 1 of an older key left",
    ]


def test_the_command_names_what_cannot_be_read(give: Callable[..., None]) -> None:
    fill("scheduled", MAX_NAMED + 5)
    give(NEW)
    errors = StringIO()

    with pytest.raises(CommandError, match="105 jobs cannot be read: their key is not in"):
        call_command("faktory_reencrypt", stdout=StringIO(), stderr=errors)

    assert errors.getvalue().count("cannot be read: T jid-") == MAX_NAMED
    assert "... and 5 more" in errors.getvalue()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "0"], "--batch must be 1 to 10000, got 0"),
        (["--database", "nowhere"], "there is no database 'nowhere'"),
    ],
)
def test_the_command_refuses_what_is_wrong(options: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*options)


def test_the_bodies_are_what_they_were_but_for_the_token(give: Callable[..., None]) -> None:
    fill("dead", 1)
    [before] = column("deadjob", "body")
    give(NEW, OLD)

    reencrypt("dead", batch=1)

    [after] = column("deadjob", "body")
    old, new = json.loads(before), json.loads(after)
    assert old.pop("args") != new.pop("args")
    assert old == new
