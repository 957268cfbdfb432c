"""ACK and FAIL by jid: how clients of the wire end what they hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.retry import Error
from faktory_django.models import BUCKETS

from .stock import claim, column, counts, failure_in, move_back, push_many, push_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

ERROR = Error.cut("RuntimeError", "no", ["line"])


def counted(name: str) -> int:
    return sum(column("counterdelta", name))


def test_an_ack_by_jid_ends_the_job_and_its_lease() -> None:
    jid = push_one()
    claim(each=True)

    assert ack_jids([Holding(jid)])
    assert not ack_jids([Holding(jid)])
    assert (counts("job", "lease"), counted("done")) == ((0, 0), 1)


def test_an_ack_by_jid_ends_the_oldest_of_twins() -> None:
    push_many(2, jid="twin")
    one, two = claim(1, wid="a", each=True), claim(1, wid="b", each=True)

    assert ack_jids([Holding("twin")])

    assert column("job", "id") == [two[0].id]
    assert column("lease", "id") == [two[0].lease]
    assert one[0].id < two[0].id


def test_an_ack_by_jid_ends_only_what_the_asker_holds() -> None:
    push_many(2, jid="twin")
    claim(1, wid="a", each=True)
    claim(1, wid="b", each=True)

    assert not ack_jids([Holding("twin", "c")])
    assert ack_jids([Holding("twin", "b")])

    assert column("lease", "wid") == ["a"]


def test_an_ack_by_jid_leaves_leases_of_python_processes_alone() -> None:
    jid = push_one()
    claim()

    assert not ack_jids([Holding(jid)])


def test_of_two_acks_by_jid_at_once_the_second_takes_the_next_twin(
    actor: Callable[[], Actor],
) -> None:
    push_many(2, jid="twin")
    claim(1, each=True)
    claim(1, each=True)
    one, two = actor(), actor()
    one.begin()
    assert one.do(ack_jids, [Holding("twin")])

    acking = two.start_blocked(ack_jids, [Holding("twin")])
    one.commit()

    assert acking.result(10)
    assert counts("job", "lease") == (0, 0)


def test_acks_of_many_jobtypes_are_counted_by_each_with_how_long_they_waited_and_ran() -> None:
    jids = [push_one(jobtype="one"), push_one(jobtype="two"), push_one(jobtype="one")]
    jids.append(push_one(jobtype="one", queue="mail"))
    move_back("job", "enqueued_at", 5)
    claim(4, "default", "mail", each=True)
    move_back("lease", "claimed_at", 0.02)

    assert ack_jids([Holding(jid) for jid in jids]) == 4

    done = column("counterdelta", "ARRAY[queue, jobtype, done::text]", "queue, jobtype")
    assert [d for d in done if d[2] != "0"] == [
        ["default", "one", "2"],
        ["default", "two", "1"],
        ["mail", "one", "1"],
    ]
    waits = [w for w in column("counterdelta", "waits") if w]
    runs = [r for r in column("counterdelta", "runs") if r]
    assert [sum(w) for w in waits] == [sum(r) for r in runs] == [2, 1, 1]
    assert all(len(w) == BUCKETS for w in waits + runs)
    assert all(w[8] for w in waits), "they waited 3 to 10 s"
    assert all(r[3] or r[4] for r in runs), "they ran 0.01 to 0.1 s"


def test_acks_of_what_nobody_holds_change_nothing() -> None:
    push_one("waits-12345")

    assert ack_jids([Holding("waits-12345"), Holding("never-seen")]) == 0
    assert counts("job", "ready") == (1, 1)


def test_a_failure_by_jid_moves_the_job_to_the_retries() -> None:
    jid = push_one()
    claim(wid="a", each=True)

    assert fail_jids(connection, [Holding(jid, "b"), Holding("never-seen")], [ERROR] * 2) == [
        False,
        False,
    ]
    assert fail_jids(connection, [Holding(jid, "a")], [ERROR]) == [True]

    assert column("retryjob") == [jid]
    assert counts("job", "lease") == (0, 0)
    failure = failure_in("retryjob")
    assert (failure["errtype"], failure["retry_count"]) == ("RuntimeError", 0)
    assert counted("failed") == 1
    assert fail_jids(connection, [Holding(jid, "a")], [ERROR]) == [False]


def test_failures_in_a_group_have_an_error_each() -> None:
    jids = push_many(3)
    claim(each=True)
    errors = [Error.cut("E", jid) for jid in jids]

    fail_jids(connection, [Holding(jid) for jid in reversed(jids)], errors[::-1])

    messages = {
        jid: json.loads(f)["message"]
        for jid, f in zip(column("retryjob"), column("retryjob", "failure"), strict=True)
    }
    assert messages == {jid: jid for jid in jids}
