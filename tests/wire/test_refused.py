"""A job that the database refuses: the others of its group are stored, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.models import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .running import Server

# More than one statement's jobs, and the bad one is not in the first statement.
JOBS, BAD = 1_500, 1_400


@pytest.fixture
def poison(transactional_db: None) -> Iterator[str]:  # noqa: ARG001
    """Return a jobtype that the database refuses."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'no Poison here'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON faktory_django_job FOR EACH ROW"
            " WHEN (NEW.jobtype = 'Poison') EXECUTE FUNCTION refuse()"
        )
    yield "Poison"
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION refuse() CASCADE")


def test_of_many_jobs_the_refused_one_is_named_and_the_others_are_stored_once(
    server: Server, poison: str
) -> None:
    jobs = [{"jid": f"one-of-many-{n}", "jobtype": "T", "args": []} for n in range(JOBS)]
    jobs[BAD]["jobtype"] = poison

    with server.connect() as wire:
        wire.greet()
        reply = wire.call(f"PUSHB {json.dumps(jobs)}")

    assert reply.json.keys() == {f"one-of-many-{BAD}"}
    stored = list(Job.objects.values_list("jid", flat=True))
    assert len(stored) == len(set(stored)) == JOBS - 1


def test_a_refused_push_harms_no_other_of_its_moment(server: Server, poison: str) -> None:
    with server.connect() as wire:
        wire.greet()
        names = [poison if n % 10 == 0 else "T" for n in range(200)]
        lines = [
            f'PUSH {{"jid":"at-once-{n:04}","jobtype":"{name}","args":[]}}\r\n'
            for n, name in enumerate(names)
        ]

        wire.send("".join(lines))
        shapes = [wire.read().shape for _ in lines]

    assert shapes == ["error" if name == poison else "simple" for name in names]
    assert Job.objects.count() == 180
