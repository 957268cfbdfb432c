"""BATCH, as the documentation of Faktory Enterprise says (protocol section 9.3)."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from pyfaktory import Batch as TheirBatch  # type: ignore[import-untyped]
from pyfaktory import Client, Producer, TargetJob
from pyfaktory import Job as TheirJob

from faktory_django import models
from tests.jobapp import jobs
from tests.waiting import until

from .talking import Wire, job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.running import Ledger, Worker

    from .running import Server


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with server.connect() as wire:
        wire.greet(wid="batches-0001", hostname="h", pid=1, labels=[])
        yield wire


def callback(name: str, **fields: Any) -> dict[str, Any]:
    """Return a callback without a jid, as most clients send it."""
    return {"jobtype": name, "args": [], "queue": "callbacks"} | fields


def new(wire: Wire, *names: str, **fields: Any) -> str:
    """Make a batch with callbacks of these names; return its id."""
    given = {name: callback(name) for name in names} | fields
    reply = wire.call(f"BATCH NEW {json.dumps(given)}")
    assert reply.shape == "bulk", reply.text
    return reply.text


def join(wire: Wire, bid: str, *jids: str, **fields: Any) -> None:
    for jid in jids:
        wire.push(jid, custom={"bid": bid}, queue="members", **fields)


def ok(wire: Wire, line: str) -> None:
    assert wire.call(line).raw == b"+OK\r\n"


def run(wire: Wire, queue: str = "members", *, fail: bool = False) -> str:
    """Run the next job of a queue; return its jid."""
    found = wire.fetch(queue)
    jid = str(found["jid"])
    facts = {"jid": jid} | ({"errtype": "E", "message": "no", "backtrace": []} if fail else {})
    ok(wire, f"{'FAIL' if fail else 'ACK'} {json.dumps(facts)}")
    return jid


def status(wire: Wire, bid: str) -> dict[str, Any]:
    found: dict[str, Any] = wire.call(f"BATCH STATUS {bid}").json
    return found


def states(wire: Wire, bid: str) -> tuple[str, str]:
    found = status(wire, bid)
    return found["complete_st"], found["success_st"]


def test_the_life_of_a_batch(wire: Wire) -> None:
    bid = new(wire, "complete", "success", description="orders")
    assert re.fullmatch(r"b-[a-zA-Z0-9_-]{14}", bid)
    join(wire, bid, "member-0001", "member-0002")
    found = status(wire, bid)
    created_at = found.pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", created_at)
    assert found == {
        "bid": bid,
        "description": "orders",
        "total": 2,
        "pending": 2,
        "failed": 0,
        "complete_st": "",
        "success_st": "",
    }
    ok(wire, f"BATCH COMMIT {bid}")

    assert run(wire) == "member-0001"
    assert run(wire, fail=True) == "member-0002"
    assert (status(wire, bid)["pending"], status(wire, bid)["failed"]) == (1, 1)
    assert states(wire, bid) == ("1", "")
    job = wire.fetch("callbacks")
    assert (job["jobtype"], job["custom"]) == ("complete", {"_bid": bid})
    ok(wire, f'ACK {{"jid":"{job["jid"]}"}}')
    assert states(wire, bid) == ("2", "")
    ok(wire, 'MUTATE {"cmd":"requeue","target":"retries","filter":{"jids":["member-0002"]}}')
    assert run(wire) == "member-0002"

    assert (status(wire, bid)["pending"], status(wire, bid)["failed"]) == (0, 0)
    assert states(wire, bid) == ("2", "1")
    run(wire, "callbacks", fail=True)
    assert states(wire, bid) == ("2", "1")
    ok(wire, 'MUTATE {"cmd":"requeue","target":"retries"}')
    run(wire, "callbacks")
    assert states(wire, bid) == ("2", "2")


def test_the_callback_follows_within_a_moment_though_nobody_asks(wire: Wire) -> None:
    bid = new(wire, "success")
    join(wire, bid, "member-0001")
    ok(wire, f"BATCH COMMIT {bid}")
    run(wire)
    started = time.monotonic()

    assert wire.fetch("callbacks")["jobtype"] == "success"

    assert time.monotonic() - started < 0.9


def test_nothing_follows_before_the_commit_and_an_empty_batch_is_through_at_once(
    wire: Wire,
) -> None:
    bid = new(wire, "success")
    join(wire, bid, "member-0001")
    run(wire)
    assert states(wire, bid) == ("", "")

    ok(wire, f"BATCH COMMIT {bid}")
    assert states(wire, bid) == ("", "1")
    empty = new(wire, "complete", "success")
    ok(wire, f"BATCH COMMIT {empty}")
    assert states(wire, empty) == ("1", "")


def test_a_batch_is_opened_again_from_inside_and_outside(wire: Wire) -> None:
    bid = new(wire, "success")
    join(wire, bid, "member-0001")
    assert wire.call(f"BATCH OPEN {bid}").text == bid
    join(wire, bid, "member-0002")
    ok(wire, f"BATCH COMMIT {bid}")
    assert wire.call(f"BATCH OPEN {bid}").text == bid
    join(wire, bid, "member-0003")
    ok(wire, f"BATCH COMMIT {bid}")
    assert (status(wire, bid)["total"], status(wire, bid)["pending"]) == (3, 3)

    for _ in range(3):
        run(wire)

    assert states(wire, bid) == ("", "1")


def test_a_parent_waits_for_the_callbacks_of_its_children(wire: Wire) -> None:
    parent = new(wire, "success", description="parent")
    child = new(wire, "success", description="child", parent_bid=parent)
    grandchild = new(wire, "success", parent_bid=child)
    join(wire, grandchild, "member-0001")
    for bid in (grandchild, child, parent):
        ok(wire, f"BATCH COMMIT {bid}")
    assert status(wire, child)["parent_bid"] == parent
    assert status(wire, parent)["total"] == 0
    run(wire)

    seen = []
    for _ in range(3):
        found = wire.fetch("callbacks")
        seen.append((found["custom"]["_bid"], found["custom"].get("_pbid")))
        ok(wire, f'ACK {{"jid":"{found["jid"]}"}}')

    assert seen == [(grandchild, child), (child, parent), (parent, None)]


def test_a_callback_keeps_what_it_says_and_belongs_to_no_batch(wire: Wire) -> None:
    given = {
        "JID": "callback-01",
        "jobtype": "C",
        "args": [12345678901234567890, 1.0],
        "custom": {"bid": "b-other", "tenant": 7, "priority": 5},
        "retry": 3,
    }
    bid = new(wire, complete=given, success=None)
    ok(wire, f"BATCH COMMIT {bid}")

    found = wire.fetch("default")

    assert (found["jid"], found["retry"]) == ("callback-01", 3)
    assert found["custom"] == {"tenant": 7, "priority": 5, "_bid": bid}
    assert found["args"] == [12345678901234567890, 1.0]


@pytest.mark.parametrize("act", ["OPEN", "COMMIT", "STATUS"])
@pytest.mark.parametrize(
    ("bid", "shown"), [("b-none", "b-none"), ("nonsense", "nonsense"), ("b-\0x", "b-\\x00x")]
)
def test_a_batch_that_there_is_not(wire: Wire, act: str, bid: str, shown: str) -> None:
    assert wire.call(f"BATCH {act} {bid}").raw == f"-ERR No such batch {shown}\r\n".encode()


@pytest.mark.parametrize("parent", ["b-none", "b-\0x"])
def test_no_child_is_made_of_a_parent_that_there_is_not(wire: Wire, parent: str) -> None:
    given = {"parent_bid": parent, "success": callback("s")}

    reply = wire.call(f"BATCH NEW {json.dumps(given)}")

    assert reply.text.startswith("ERR No such batch b-")
    assert not models.Batch.objects.exists()


def test_jobs_do_not_join_what_is_not_open(wire: Wire) -> None:
    bid = new(wire, "success")
    join(wire, bid, "member-0001")
    ok(wire, f"BATCH COMMIT {bid}")
    late = job("member-0002", "T", custom={"bid": bid})
    lost = job("member-0003", "T", custom={"bid": "b-none"})
    plain = job("member-0004", "T")

    assert wire.call(f"PUSH {late}").text == (f"ERR batch {bid} is committed: open it to add jobs")
    assert wire.call(f"PUSH {lost}").text == "ERR No such batch b-none"
    assert wire.call(f"PUSHB [{late},{lost},{plain}]").json == {
        "member-0002": f"batch {bid} is committed: open it to add jobs",
        "member-0003": "No such batch b-none",
    }

    assert set(models.Job.objects.values_list("jid", flat=True)) == {"member-0001", "member-0004"}


def test_a_bulk_push_joins(wire: Wire) -> None:
    bid = new(wire, "success")
    members = [job(f"member-{nr:04}", "T", custom={"bid": bid}) for nr in range(20)]

    assert wire.call(f"PUSHB [{','.join(members)}]").json == {}

    assert status(wire, bid)["total"] == 20


def test_a_batch_that_is_cancelled_takes_nothing(wire: Wire) -> None:
    from django.db import connection

    from faktory_django.lifecycle.batch_cancel import cancel

    bid = new(wire, "success")
    cancel(connection, bid)
    late = job("member-0001", "T", custom={"bid": bid})

    assert wire.call(f"PUSH {late}").text == f"ERR batch {bid} is cancelled"
    assert wire.call(f"BATCH OPEN {bid}").text == f"ERR No such batch {bid}"
    assert status(wire, bid)["total"] == 0


def test_what_the_database_does_not_like_is_answered(wire: Wire) -> None:
    from django.db import connection, transaction

    bid = new(wire, "success")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT FROM faktory_django_batch FOR UPDATE")

        reply = wire.call(f"BATCH COMMIT {bid}")

    assert reply.text.startswith("ERR canceling statement due to lock timeout")
    ok(wire, f"BATCH COMMIT {bid}")


def test_a_server_calls_itself_enterprise(wire: Wire) -> None:
    assert wire.call("INFO").json["server"]["description"] == "Faktory Enterprise"


def test_a_library_uses_batches(server: Server, wire: Wire) -> None:
    with Client(server.url, role="producer") as client:
        producer = Producer(client)
        made = producer.batch_new(
            TheirBatch(
                parent_bid=None,
                description="theirs",
                success=TargetJob(jobtype="success", args=[], queue="callbacks"),
                complete=None,
            )
        )
        bid = re.search(r"b-[\w-]+", str(made))[0]  # type: ignore[index]
        for _ in range(3):
            producer.push(TheirJob(jobtype="T", args=[], queue="members", custom={"bid": bid}))
        assert producer.batch_commit(bid)
        assert producer.batch_open(bid)
        producer.push(TheirJob(jobtype="T", args=[], queue="members", custom={"bid": bid}))
        assert producer.batch_commit(bid)
    assert (status(wire, bid)["total"], status(wire, bid)["description"]) == (4, "theirs")

    for _ in range(4):
        run(wire)

    assert states(wire, bid) == ("", "1")


def test_both_doors_share_a_batch(django_worker: Worker, ledger: Ledger, wire: Wire) -> None:
    given = callback(jobs.record.jobtype, args=[str(ledger.path), "followed"], queue="default")
    bid = new(wire, success=given)
    wire.push("member-wire", custom={"bid": bid}, queue="members")
    jobs.record.set(custom={"bid": bid}).perform_async(str(ledger.path), "member")
    ok(wire, f"BATCH COMMIT {bid}")
    assert django_worker.process.poll() is None
    until(lambda: ledger.lines == ["member"], "the Python job ran")
    until(lambda: status(wire, bid)["pending"] == 1, "it is counted")

    run(wire)

    until(lambda: ledger.lines == ["member", "followed"], "the callback ran")
    until(lambda: states(wire, bid) == ("", "2"), "the callback is done")
