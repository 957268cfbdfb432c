"""Fairness through both doors: what Python pushes and takes, and what clients of the wire do."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from django.db import connection

from faktory_django.api.named import push_named
from faktory_django.errors import InvalidOption
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.models import Job, Ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .running import Server
    from .talking import Wire


class Door(Protocol):
    """How jobs come in, and go out."""

    def push(self, key: Any, jobs: int = 1, **custom: Any) -> None: ...
    def take(self, jobs: int) -> str: ...
    def refusal(self, **custom: Any) -> str: ...


class Python:
    """Pushes by name, and a consumer as workers have one."""

    def __init__(self) -> None:
        self.consumer = Consumer("w")

    def push(self, key: Any, jobs: int = 1, **custom: Any) -> None:
        """Push jobs of a key, whose first letter is their argument."""
        options = {"custom": {"fairness_key": key, **custom}, "queue": "turns"}
        for _ in range(jobs):
            push_named("T", [str(key)[:1]], {}, options=options)

    def take(self, jobs: int) -> str:
        """Claim jobs one by one; return the letters of their keys."""
        found = (self.consumer.turn(connection, ["turns"], 1).jobs for _ in range(jobs))
        return "".join(json.loads(job.body)["args"][0] for turn in found for job in turn)

    def refusal(self, **custom: Any) -> str:
        """Push a job that is not let in; return why."""
        with pytest.raises(InvalidOption) as refused:
            push_named("T", ["x"], {}, options={"custom": custom, "queue": "turns"})
        return str(refused.value)


class OnTheWire:
    """A client."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.numbers = itertools.count()

    def push(self, key: Any, jobs: int = 1, **custom: Any) -> None:
        """Push jobs of a key, one by one and then in bulk."""
        custom = {"fairness_key": key, **custom}
        found = [self._job(key, custom) for _ in range(jobs)]
        assert self.wire.call(f"PUSH {json.dumps(found[0])}").text == "OK"
        assert self.wire.call(f"PUSHB {json.dumps(found[1:])}").json == {}

    def _job(self, key: Any, custom: dict[str, Any]) -> dict[str, Any]:
        jid = f"turn-{next(self.numbers):06}"
        letter = str(key)[:1]
        return {"jid": jid, "jobtype": "T", "args": [letter], "queue": "turns", "custom": custom}

    def take(self, jobs: int) -> str:
        """Fetch jobs; return the letters of their keys."""
        return "".join(self.wire.fetch("turns")["args"][0] for _ in range(jobs))

    def refusal(self, **custom: Any) -> str:
        """Push a job that is not let in; return why."""
        return self.wire.call(f"PUSH {json.dumps(self._job('x', custom))}").text


@pytest.fixture(params=["python", "wire"])
def door(request: pytest.FixtureRequest, server: Server) -> Iterator[Door]:
    """Return one door, then the other."""
    if request.param == "python":
        yield Python()
        return
    with server.connect() as wire:
        wire.greet(wid="turns-000001", hostname="h", pid=1, labels=[])
        yield OnTheWire(wire)


def test_a_flood_of_one_key_does_not_make_another_wait(door: Door) -> None:
    door.push("a", 40)
    assert door.take(5) == "aaaaa"

    door.push("b", 5)

    assert door.take(12) == "ababababab" + "aa"


def test_a_key_may_be_a_number(door: Door) -> None:
    door.push(7, 3)
    door.push("7", 2)
    door.push("8", 2)

    assert door.take(7) == "7878777"


def test_a_heavier_key_gets_more(door: Door) -> None:
    door.push("a", 20)
    door.push("b", 30, fairness_weight=3)

    assert door.take(20).count("b") in {14, 15}


def test_a_job_without_a_key_is_plain(door: Door) -> None:
    door.push(None, 2)

    assert set(Ready.objects.values_list("rank", "fair_key")) == {(0, None)}
    assert set(Job.objects.values_list("traits", flat=True)) == {None}


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ({"fairness_key": ""}, "fairness_key must be a str of 1 to 255 printable characters, an "),
        ({"fairness_key": ["a"]}, "an int, a UUID or None, got ['a']"),
        ({"fairness_key": 1.5}, "an int, a UUID or None, got 1.5"),
        ({"fairness_key": "a", "fairness_weight": 101}, "a number from 0.01 to 100, got 101"),
        ({"fairness_key": "a", "fairness_weight": "3"}, "a number from 0.01 to 100, got '3'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_limit(
    door: Door, custom: dict[str, Any], message: str
) -> None:
    assert message in door.refusal(**custom)
    assert not Job.objects.exists()
