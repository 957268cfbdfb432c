"""Unique and expiring jobs: the same rules at both doors, Python's and the wire's (section 9)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from django.db import connection, transaction
from django.db.models import F

from faktory_django import NotUnique, payload
from faktory_django.api.inspection import status
from faktory_django.api.named import push_named
from faktory_django.lifecycle import expiry, mutate
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.retry import Error, judge
from faktory_django.lifecycle.start import sort_out, unlocking
from faktory_django.models import (
    CounterDelta,
    DeadJob,
    Job,
    Lease,
    RetryJob,
    ScheduledJob,
    UniqueLock,
)
from tests.waiting import until

from .talking import Wire, job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .running import Server

NUMBERS = count()


class Door(Protocol):
    """A way in and out: what comes of a push, then a job in work and its end."""

    def push(self, args: list[Any], custom: dict[str, Any], **fields: Any) -> str:
        """Return "stored", or what kept it out."""

    def fetch(self) -> str | None:
        """Take a job, as one that starts; return its jid."""

    def succeed(self, jid: str) -> None:
        """End it."""

    def fail(self, jid: str) -> None:
        """End its run with an error."""


@dataclass
class Python:
    """@job and its kin, and what a worker does with what it has claimed."""

    consumer: Consumer = field(default_factory=lambda: Consumer(f"python-{next(NUMBERS)}"))
    held: dict[str, Claimed] = field(default_factory=dict)

    def push(self, args: list[Any], custom: dict[str, Any], **fields: Any) -> str:
        delay = fields.pop("delay", 0)
        options = {"queue": "default", "custom": custom, **fields}
        handle = push_named("T", args, {}, options=options, delay_seconds=delay)
        return "stored" if handle.outcome == "pushed" else handle.outcome

    def fetch(self) -> str | None:
        self.consumer.next_sweep = 0.0
        while (turn := self.consumer.turn(connection, ["default"], 1)).jobs:
            found = sort_out(turn.jobs, turn.moment)
            if found.expired:
                expiry.throw_away(connection, found.expired)
            if found.to_unlock:
                execute(connection, *unlocking(found.to_unlock))
            for one in found.to_run:
                jid = payload.jid_of(one.body)
                self.held[jid] = one
                return jid
        return None

    def succeed(self, jid: str) -> None:
        one = self.held.pop(jid)
        ack = LeaseAck(one.lease, ends=True, ids=[one.id], traited=one.traits is not None)
        assert not self.consumer.turn(connection, [], 0, [ack]).lost

    def fail(self, jid: str) -> None:
        one = self.held.pop(jid)
        verdict = judge(payload.retry_of(one.body), one.failure, Error.cut("E", "no"))
        assert fail(connection, [Failing(one.id, one.lease, verdict)])


@dataclass
class OnTheWire:
    """PUSH, FETCH, ACK and FAIL."""

    wire: Wire

    def push(self, args: list[Any], custom: dict[str, Any], **fields: Any) -> str:
        if delay := fields.pop("delay", 0):
            fields["at"] = (datetime.now(UTC) + timedelta(seconds=delay)).isoformat()
        jid = f"wire-job-{next(NUMBERS)}"
        before = total()
        reply = self.wire.call(f"PUSH {job(jid, 'T', *args, custom=custom, **fields)}")
        if reply.text == "OK":
            return "stored" if total() > before else way_of(custom)
        assert reply.raw == b"-NOTUNIQUE Job not unique\r\n", reply.raw
        return "refused"

    def fetch(self) -> str | None:
        found = self.wire.fetch("default")
        return None if found is None else str(found["jid"])

    def succeed(self, jid: str) -> None:
        assert self.wire.call(json.dumps({"jid": jid}).join(["ACK ", ""])).text == "OK"

    def fail(self, jid: str) -> None:
        assert self.wire.call(f'FAIL {{"jid":"{jid}","errtype":"E","message":"no"}}').text == "OK"


def total() -> int:
    return sum(m.objects.count() for m in (Job, ScheduledJob, RetryJob, DeadJob))


def way_of(custom: dict[str, Any]) -> str:
    way = custom.get("on_duplicate", "refuse")
    return {"replace": "replaced", "debounce": "debounced"}.get(way, str(way))


@pytest.fixture(params=["python", "wire"])
def door(request: pytest.FixtureRequest, server: Server) -> Iterator[Door]:
    """Return each door in its turn."""
    if request.param == "python":
        yield Python()
        return
    with server.connect() as wire:
        wire.greet(wid=f"unique-{next(NUMBERS):04}", hostname="h", pid=1, labels=[])
        yield OnTheWire(wire)


def over() -> None:
    """Let the time of all locks be over."""
    UniqueLock.objects.update(expires_at=F("taken_at") - timedelta(seconds=1))


UNIQUE: dict[str, Any] = {"unique_for": 60}
START: dict[str, Any] = {"unique_for": 60, "unique_until": "start"}


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        pytest.param("", "stored", id="nothing there"),
        pytest.param("push", "refused", id="it waits"),
        pytest.param("schedule", "refused", id="it is scheduled"),
        pytest.param("push fetch", "refused", id="it runs"),
        pytest.param("push fetch succeed", "stored", id="it has succeeded"),
        pytest.param("push fetch fail", "refused", id="it will be tried again"),
        pytest.param("push fetch die", "refused", id="it is dead"),
        pytest.param("push fetch vanish", "stored", id="it failed and left nothing"),
        pytest.param("push over", "stored", id="its time is over"),
        pytest.param("push fetch over", "stored", id="its time is over while it runs"),
        pytest.param("push fetch die over", "stored", id="its time is over and it is dead"),
    ],
)
@pytest.mark.parametrize("custom", [UNIQUE, START], ids=["success", "start"])
def test_who_is_let_in(door: Door, steps: str, answer: str, custom: dict[str, Any]) -> None:
    retry = -1 if "die" in steps else 0 if "vanish" in steps else 5
    jid = ""
    for step in steps.split():
        if step in {"push", "schedule"}:
            more = {"delay": 60} if step == "schedule" else {}
            assert door.push([1], custom, retry=retry, **more) == "stored"
        elif step == "fetch":
            jid = door.fetch() or ""
            assert jid
        elif step == "succeed":
            door.succeed(jid)
        elif step == "over":
            over()
        else:
            door.fail(jid)

    started = custom is START and "fetch" in steps
    assert door.push([1], custom) == ("stored" if started else answer)


@pytest.mark.parametrize(
    ("args", "custom", "fields"),
    [
        ([2], UNIQUE, {}),
        ([1, 2], UNIQUE, {}),
        ([1], {}, {}),
        ([1], {"unique_for": None}, {}),
        ([1], UNIQUE, {"queue": "other"}),
        ([1], UNIQUE | {"unique_key": "mine"}, {}),
    ],
)
def test_what_differs_is_let_in(
    door: Door, args: list[Any], custom: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert door.push([1], UNIQUE) == "stored"

    assert door.push(args, custom, **fields) == "stored"


def test_a_key_of_its_own_stands_for_the_arguments(door: Door) -> None:
    assert door.push([1], UNIQUE | {"unique_key": "k"}) == "stored"

    assert door.push([2], UNIQUE | {"unique_key": "k"}) == "refused"


@pytest.mark.parametrize("way", ["existing", "replace", "debounce", "refuse", "raise"])
def test_what_becomes_of_a_duplicate(door: Door, way: str) -> None:
    custom = UNIQUE | {"unique_key": "k", "on_duplicate": way}
    assert door.push([1], UNIQUE | {"unique_key": "k"}, delay=60) == "stored"
    due_at = ScheduledJob.objects.get().due_at

    if way == "raise" and isinstance(door, Python):
        with pytest.raises(NotUnique):
            door.push([2], custom, delay=600)
    else:
        expected = {"existing": "existing", "replace": "replaced", "debounce": "debounced"}
        assert door.push([2], custom, delay=600) == expected.get(way, "refused")

    row = ScheduledJob.objects.get()
    assert json.loads(row.body)["args"] == ([2] if way in {"replace", "debounce"} else [1])
    assert (row.due_at > due_at + timedelta(seconds=500)) is (way == "debounce")


def test_both_doors_know_one_lock(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        python, other = Python(), OnTheWire(wire)

        assert python.push([1, {"b": 2.0, "a": [None]}], UNIQUE) == "stored"
        assert other.push([1, {"a": [None], "b": 2}], UNIQUE) == "refused"
        assert other.push([2], UNIQUE) == "stored"
        assert python.push([2.0], UNIQUE) == "refused"


@pytest.mark.parametrize(
    ("custom", "words"),
    [
        ({"unique_for": "60"}, "unique_for must be more than 0 and at most"),
        ({"unique_for": -5}, "got -5"),
        ({"unique_for": 1e300}, "got 1e"),
        ({"unique_for": 5, "unique_until": "end"}, "unique_until must be one of success, start"),
        ({"unique_for": 5, "on_duplicate": "x"}, "on_duplicate must be one of refuse"),
        ({"unique_for": 5, "unique_key": []}, "unique_key must be a text"),
        ({"expires_in": 0}, "expires_in must be more than 0"),
        ({"expires_in": "5"}, "expires_in must be more than 0"),
        ({"expires_at": "tomorrow"}, "expires_at must be a time as RFC 3339 with its zone"),
        ({"expires_at": "2030-01-01T00:00:00"}, "with its zone"),
        ({"expires_at": 1_900_000_000}, "expires_at must be a time"),
        (
            {"unique_for": 5, "faktory_django": {"encrypted": "fernet"}},
            "whose args are encrypted needs custom.unique_key",
        ),
    ],
)
def test_what_cannot_be_is_refused_on_the_wire(
    server: Server, custom: dict[str, Any], words: str
) -> None:
    with server.connect() as wire:
        wire.greet()
        reply = wire.call(f"PUSH {job('refused-0001', custom=custom)}")
        several = wire.call(
            f"PUSHB [{job('refused-0002', custom=custom)},{job('stored-00001')}]"
        ).json

    assert reply.shape == "error"
    assert reply.text.startswith("ERR ")
    assert words in reply.text
    assert list(several) == ["refused-0002"]
    assert words in several["refused-0002"]
    assert [j.jid for j in Job.objects.all()] == ["stored-00001"]


def test_a_bulk_push_answers_for_each_jid(server: Server) -> None:
    jobs = [job(f"bulk-000{n}", "T", key, custom=UNIQUE) for n, key in enumerate("abacb")]

    with server.connect() as wire:
        wire.greet()
        reply = wire.call(f"PUSHB [{','.join(jobs)}]").json

    assert reply == {
        "bulk-0002": "NOTUNIQUE Job not unique",
        "bulk-0004": "NOTUNIQUE Job not unique",
    }
    assert Job.objects.count() == 3


def test_of_one_jid_pushed_twice_one_is_stored(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.send(f"PUSH {job('same-jid-01', custom=UNIQUE)}\r\n" * 2)
        replies = sorted([wire.read().raw, wire.read().raw])

    assert replies == [b"+OK\r\n", b"-NOTUNIQUE Job not unique\r\n"]
    assert Job.objects.count() == 1


def test_a_transaction_that_holds_a_key_harms_no_other_client(server: Server) -> None:
    with server.connect() as wire, server.connect() as other:
        wire.greet()
        other.greet()
        with transaction.atomic():
            assert Python().push(["held"], UNIQUE) == "stored"
            wire.send(f"PUSH {job('waits-0001', 'T', 'held', custom=UNIQUE)}\r\n")
            other.push("passes-0001", custom=UNIQUE)
            reply = wire.read()

        assert reply.text.startswith("ERR another transaction is pushing the same unique job")
        assert Job.objects.filter(jid="passes-0001").exists()
        assert not Job.objects.filter(jid="waits-0001").exists()


# expiring jobs


@contextmanager
def counted() -> Iterator[None]:
    """Check that one job more was counted as thrown away, and none as done or failed."""
    CounterDelta.objects.all().delete()
    yield
    rows = CounterDelta.objects.all()
    assert sum(row.discarded for row in rows) == 1
    assert sum(row.done + row.failed for row in rows) == 0


def let_expire() -> None:
    """Let all jobs in queues have expired."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE faktory_django_job SET traits = traits || '{\"expires_at\": 1}' "
            "WHERE traits ? 'expires_at'"
        )


def test_fetch_passes_over_what_has_expired(door: Door) -> None:
    assert door.push([1], {"expires_in": 60}) == "stored"
    let_expire()
    assert door.push([2], {"expires_in": 60}) == "stored"
    live = Job.objects.latest("id").jid

    with counted():
        assert door.fetch() == live

    assert list(Job.objects.values_list("jid", flat=True)) == [live]
    door.succeed(live)
    assert total() == 0
    assert not Lease.objects.filter(jid__isnull=False).exists()


def test_a_queue_of_nothing_but_expired_jobs_is_empty(door: Door) -> None:
    for n in range(250):
        Python().push([n], {"expires_in": 60})
    let_expire()

    assert door.fetch() is None

    assert total() == 0


def test_a_time_of_its_own_expires_too(door: Door) -> None:
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    ahead = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert door.push([1], {"expires_at": past}) == "stored"
    assert door.push([2], {"expires_at": ahead}) == "stored"
    assert door.push([3], {"expires_at": ahead, "expires_in": 0.000001}) == "stored"
    live = Job.objects.order_by("id")[1].jid

    assert door.fetch() == live
    assert door.fetch() is None


def test_the_time_of_a_scheduled_job_counts_from_when_it_is_due(door: Door) -> None:
    assert door.push([1], {"expires_in": 60}, delay=3_600) == "stored"

    row = ScheduledJob.objects.get()
    traits: dict[str, Any] = row.traits or {}
    assert abs(traits["expires_at"] - row.due_at.timestamp() - 60) < 0.01
    assert "expires_in" not in traits


def test_a_retry_expires_too(door: Door) -> None:
    assert door.push([1], {"expires_in": 60}) == "stored"
    door.fail(door.fetch() or "")
    assert RetryJob.objects.get().traits

    mutate.requeue("retries", [RetryJob.objects.get().pk])
    let_expire()

    assert door.fetch() is None


def test_an_expired_job_frees_its_lock(door: Door) -> None:
    custom = {"expires_in": 60, **UNIQUE}
    assert door.push([1], custom) == "stored"
    let_expire()
    assert door.push([1], custom) == "refused"
    assert door.fetch() is None

    assert door.push([1], custom) == "stored"


def test_who_tracks_an_expired_job_hears_of_it(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("expired-0001", custom={"track": 1, "expires_in": 60})
        let_expire()
        assert wire.fetch("default") is None
        said = wire.call("TRACK GET expired-0001").json

    assert status("expired-0001").state == "expired"
    assert status("expired-0001").is_over
    assert said == {"jid": "expired-0001", "state": "unknown", "updated_at": ""}


def test_what_was_claimed_beside_expired_jobs_and_goes_back_keeps_its_lock(server: Server) -> None:
    python = Python()
    for n in range(3):
        python.push([n], {"expires_in": 60})
    let_expire()
    for n in range(3):
        assert python.push([n], START) == "stored"

    with server.connect() as wire:
        wire.greet(wid="unique-start", hostname="h", pid=1, labels=[])
        jid = OnTheWire(wire).fetch()
        until(lambda: Lease.objects.count() == 1, "the others have gone back")

        locked = set(UniqueLock.objects.values_list("jid", flat=True))
        waiting = set(Job.objects.exclude(jid=jid).values_list("jid", flat=True))
        assert locked == waiting
        assert len(waiting) == 2
