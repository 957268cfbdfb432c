"""Unique locks under races: many who push, transactions that wait, processes that die."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from faktory_django.errors import UniqueLockBusy
from faktory_django.features import traits
from faktory_django.lifecycle import mutate, reap, unique
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.flush import flush
from faktory_django.lifecycle.push import Push, push
from faktory_django.lifecycle.start import sort_out, unlocking
from faktory_django.models import Job, Lease, ScheduledJob, UniqueLock
from tests.worker.running import database_url

from .actors import run_together, seeded
from .stock import a_push

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from faktory_django.lifecycle.push_traits import Refusal

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

NUMBERS = count()


def wanted(key: str, **custom: Any) -> Push:
    """Return a push of a unique job whose argument is the key."""
    jid = f"unique-{next(NUMBERS):08}"
    args = json.dumps([key])
    custom = {"unique_for": 60} | custom
    said = traits.traits_of(custom, traits.Pushed("T", "q", args))
    body = json.dumps({"retry": 25, "custom": custom, "jid": jid, "queue": "q", "jobtype": "T"})
    return Push("q", jid, "T", f'{body[:-1]},"args":{args}}}', traits=said)


def push_keys(keys: Sequence[str], **custom: Any) -> list[Refusal]:
    return push([wanted(key, **custom) for key in keys])


def test_a_hundred_pushers_of_a_thousand_keys_store_a_thousand_jobs() -> None:
    keys = [f"key-{n}" for n in range(1_000)]
    seeds = iter(range(100))
    started = time.monotonic()

    def pusher() -> None:
        # ten of the hundred in each thread, each with all keys in its own order
        for _ in range(10):
            mine = random.Random(next(seeds)).sample(keys, len(keys))  # noqa: S311 - no secrets
            size = 250
            for start in range(0, len(mine), size):
                push_keys(mine[start : start + size])

    run_together(*[pusher] * 10)

    assert Job.objects.count() == 1_000
    assert UniqueLock.objects.count() == 1_000
    assert len({json.loads(body)["args"][0] for body in Job.objects.values_list("body", flat=True)})
    assert time.monotonic() - started < 60


def test_many_at_once_for_one_key_store_one_job() -> None:
    refused: list[Refusal] = []

    run_together(*[lambda: refused.extend(push_keys(["one"]))] * 12)

    holder = UniqueLock.objects.get().jid
    assert Job.objects.get().jid == holder
    assert {r.other for r in refused} == {holder}
    assert len(refused) == 11


@pytest.mark.parametrize("size", [40, 400], ids=["one statement", "several statements"])
def test_two_bulk_pushes_in_opposite_order_do_not_deadlock(
    size: int, override_faktory: Callable[..., None]
) -> None:
    override_faktory(MAX_BULK_ROWS=50)

    def there_and_back(step: int) -> Callable[[], None]:
        def run() -> None:
            for turn in range(5):
                keys = [f"{turn}-{n}" for n in range(size)]
                push_keys(keys[::step])

        return run

    run_together(*[there_and_back(step) for step in (1, -1, 1, -1)])

    assert Job.objects.count() == 5 * size


SOME_ARE_OVER = """
UPDATE faktory_django_uniquelock u
SET expires_at = u.taken_at
WHERE u.key = ANY(ARRAY(
    SELECT l.key
    FROM faktory_django_uniquelock l
    WHERE l.key < %(below)s
    ORDER BY l.key
    FOR UPDATE SKIP LOCKED
))
"""


def test_pushes_that_take_over_and_take_anew_do_not_deadlock() -> None:
    keys = [f"{n}" for n in range(60)]

    def churn(seed: int) -> Callable[[], None]:
        chance = seeded(seed)

        def run() -> None:
            for _ in range(25):
                push_keys(chance.sample(keys, 40), on_duplicate="replace")
                execute(connection, SOME_ARE_OVER, {"below": f"{chance.randrange(16):x}"})

        return run

    run_together(*[churn(seed) for seed in range(4)])

    locks = UniqueLock.objects.count()
    assert locks == 60
    assert Job.objects.count() >= 60


def test_a_push_waits_for_another_that_has_not_committed_and_is_refused_then(
    actor: Callable[[], Actor],
) -> None:
    first, second = actor(), actor()
    first.begin()
    first.do(push_keys, ["k"])

    waits: Future[list[Refusal]] = second.start_blocked(push_keys, ["k"])
    first.commit()

    [refusal] = waits.result(10)
    assert refusal.words == "NOTUNIQUE Job not unique"
    assert refusal.other == UniqueLock.objects.get().jid
    assert Job.objects.count() == 1


def test_a_push_that_waited_for_one_that_was_rolled_back_is_stored(
    actor: Callable[[], Actor],
) -> None:
    first, second = actor(), actor()
    first.begin()
    first.do(push_keys, ["k"])

    waits = second.start_blocked(push_keys, ["k"])
    first.rollback()

    assert waits.result(10) == []
    assert Job.objects.get().jid == UniqueLock.objects.get().jid


def test_it_does_not_wait_for_ever(
    actor: Callable[[], Actor], override_faktory: Callable[..., None]
) -> None:
    override_faktory(UNIQUE_WAIT_SECONDS=0.05)
    first = actor()
    first.begin()
    first.do(push_keys, ["k"])

    with pytest.raises(UniqueLockBusy, match=r"within 0.05 s \(UNIQUE_WAIT_SECONDS\)"):
        push_keys(["a", "k"])
    with pytest.raises(UniqueLockBusy), transaction.atomic():
        push_keys(["b", "k"])

    first.commit()
    assert Job.objects.count() == 1
    assert execute(connection, "SHOW lock_timeout") == [("0",)]
    assert push_keys(["a", "b"]) == []


def test_plain_jobs_among_unique_ones_are_stored(override_faktory: Callable[..., None]) -> None:
    override_faktory(MAX_BULK_ROWS=2)
    jobs = [wanted("a"), a_push("plain-0001"), wanted("a"), a_push("plain-0002"), wanted("b")]

    [refusal] = push(jobs)

    assert refusal.place == 2
    assert [j.jid for j in Job.objects.order_by("id")] == [jobs[n].jid for n in (0, 1, 3, 4)]


def test_the_callers_own_lock_timeout_is_left_as_it_was() -> None:
    with transaction.atomic():
        execute(connection, "SET LOCAL lock_timeout = '77s'")
        push_keys(["k"])

        assert execute(connection, "SHOW lock_timeout") == [("77s",)]


def test_another_error_of_the_database_is_not_taken_for_a_wait(
    actor: Callable[[], Actor],
) -> None:
    first = actor()
    first.begin()
    first.do(push_keys, ["k"])

    def impatient() -> None:
        with transaction.atomic():
            execute(connection, "SET LOCAL statement_timeout = '50ms'")
            push_keys(["k"])

    with pytest.raises(OperationalError) as raised:
        impatient()

    assert isinstance(raised.value.__cause__, psycopg.errors.QueryCanceled)
    first.rollback()


def claim_all(wid: str = "w") -> tuple[Consumer, Any]:
    consumer = Consumer(wid)
    return consumer, consumer.turn(connection, ["q"], 100)


def end(consumer: Consumer, turn: Any) -> None:
    ids = [job.id for job in turn.jobs]
    consumer.turn(connection, [], 0, [LeaseAck(turn.lease, ends=True, ids=ids, traited=True)])


def test_the_end_of_a_job_never_waits_for_a_push(actor: Callable[[], Actor]) -> None:
    push_keys(["refused", "taken over"])
    consumer, turn = claim_all()
    over = wanted("taken over").traits or ""
    UniqueLock.objects.filter(key=json.loads(over)["unique"]["key"]).update(
        expires_at=F("taken_at")
    )
    pusher = actor()
    pusher.begin()
    pusher.do(push_keys, ["refused", "taken over"])

    end(consumer, turn)

    pusher.commit()
    assert UniqueLock.objects.get().jid == Job.objects.get().jid


def test_a_job_that_is_renewed_in_a_long_transaction_holds_up_nobody(
    actor: Callable[[], Actor],
) -> None:
    push_keys(["k"], unique_key="k")
    pusher = actor()
    pusher.begin()
    assert pusher.do(push_keys, ["new"], unique_key="k", on_duplicate="replace")

    consumer, turn = claim_all()
    assert turn.jobs == []
    assert mutate.discard("waiting", [Job.objects.get().pk]) == 0

    pusher.commit()
    consumer.next_sweep = 0.0
    [job] = consumer.turn(connection, ["q"], 100).jobs
    assert json.loads(job.body)["args"] == ["new"]


def test_what_somebody_is_claiming_is_not_renewed(actor: Callable[[], Actor]) -> None:
    push_keys(["k"], unique_key="k")
    worker = actor()
    worker.begin()
    assert worker.do(claim_all)[1].jobs

    [refusal] = push_keys(["new"], unique_key="k", on_duplicate="replace")

    assert refusal.code == "NOTUNIQUE"
    worker.commit()
    assert json.loads(Job.objects.get().body)["args"] == ["k"]


def test_who_debounces_waits_for_another_who_does(actor: Callable[[], Actor]) -> None:
    def debounce(delay: float) -> list[Refusal]:
        one = wanted("k", unique_key="k", on_duplicate="debounce")
        return push([Push(**_fields(one) | {"delay_seconds": delay})])

    assert debounce(60) == []
    first, second = actor(), actor()
    first.begin()
    assert first.do(debounce, 120)[0].message == "debounced"

    waits = second.start_blocked(debounce, 180)
    first.commit()

    assert waits.result(10)[0].message == "debounced"
    row = ScheduledJob.objects.get()
    assert (UniqueLock.objects.get().expires_at - row.due_at).total_seconds() == 60


def _fields(push_: Push) -> dict[str, Any]:
    return {name: getattr(push_, name) for name in push_.__struct_fields__}


def test_a_lock_stays_with_the_job_of_a_process_that_died_until_the_next_ends_it() -> None:
    push_keys(["k"])
    _, turn = claim_all("dead-0001")
    assert turn.jobs

    assert reap.reap(connection, [turn.lease], max_crashes=3) == 1
    assert push_keys(["k"])

    consumer, again = claim_all("next-0001")
    end(consumer, again)
    assert push_keys(["k"]) == []


@pytest.mark.parametrize("phase", ["before the lock is freed", "after it is freed"])
def test_a_process_that_is_killed_at_the_start_leaves_no_lock_behind_for_ever(phase: str) -> None:
    push_keys(["k"], unique_until="start")
    code = f"""
import json, os, signal, sys
import django
django.setup()
from django.db import connection
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.start import sort_out, unlocking
turn = Consumer("killed-0001").turn(connection, ["q"], 1)
if {phase.startswith("after")!r}:
    execute(connection, *unlocking(sort_out(turn.jobs, turn.moment).to_unlock))
os.kill(os.getpid(), signal.SIGKILL)
"""
    env = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL

    assert UniqueLock.objects.exists() is phase.startswith("before")
    assert reap.reap(connection, [Lease.objects.get().pk], max_crashes=3) == 1
    _, turn = claim_all("next-0002")
    execute(connection, *unlocking(sort_out(turn.jobs, turn.moment).to_unlock))

    assert not UniqueLock.objects.exists()
    assert push_keys(["k"]) == []


def test_the_end_of_a_job_and_its_lock_are_one(actor: Callable[[], Actor]) -> None:
    push_keys(["k"])
    consumer, turn = claim_all()
    worker = actor()
    worker.begin()
    worker.do(end, consumer, turn)

    assert UniqueLock.objects.exists()
    worker.rollback()

    assert Job.objects.exists()
    assert UniqueLock.objects.exists()


def test_flush_empties_the_table() -> None:
    push_keys(["a", "b"])

    flush(connection)

    assert not UniqueLock.objects.exists()
    assert push_keys(["a", "b"]) == []


def test_a_body_that_is_not_ours_is_renewed_as_it_stands() -> None:
    one = wanted("k", unique_key="k")
    odd = (
        '{"jid":"' + one.jid + '" , "x\\u0000y" :1,"custom":{"unique_for":60 ,"\\u0000":1.50},'
        '"args":[ "\\u0000" ],"jobtype":"T"}'
    )
    push([Push(**_fields(one) | {"body": odd})])

    [refusal] = push_keys(["a\0b\\u0000"], unique_key="k", on_duplicate="replace")

    body = Job.objects.get().body
    assert refusal.message == "replaced"
    assert json.loads(body)["args"] == ["a\0b\\u0000"]
    assert '"x\\u0000y":1,"custom":{"unique_for":60 ,"\\u0000":1.50},"args":["a' in body


PLAN = """
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
SET LOCAL plan_cache_mode = force_generic_plan
"""
STATEMENTS = {
    "who holds": (
        "SELECT jsonb_object_agg(u.key, u.jid) FROM faktory_django_uniquelock u "
        "WHERE u.key = ANY($1::text[])"
    ),
    "what came of it": (
        "SELECT u.jid FROM unnest($1::text[]) AS k(key) "
        "LEFT JOIN faktory_django_uniquelock u ON u.key = k.key"
    ),
    "free": (
        "SELECT u.key FROM unnest($1::text[]) AS e(key) "
        "JOIN faktory_django_uniquelock u ON u.key = e.key ORDER BY u.key "
        "FOR UPDATE OF u SKIP LOCKED"
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_locks_are_looked_up_by_their_key(name: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PLAN)
        cursor.execute(f"PREPARE one (text[]) AS {STATEMENTS[name]}")
        cursor.execute("EXPLAIN EXECUTE one (ARRAY['a', 'b'])")
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("DEALLOCATE one")

    assert "Index" in plan
    assert "Seq Scan on faktory_django_uniquelock" not in plan


def test_the_oldest_are_trimmed_by_an_index() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + unique.TRIM, {"limit": 100})
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "faktory_unique_expiry" in plan


def scans() -> int:
    """Return how often the whole table has been read so far."""
    execute(connection, "SELECT pg_stat_force_next_flush()")
    execute(connection, "SELECT pg_stat_clear_snapshot()")
    found = execute(
        connection,
        "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'faktory_django_uniquelock'",
    )
    return int(found[0][0])


def test_a_push_of_unique_jobs_costs_the_same_among_many_locks() -> None:
    execute(
        connection,
        "INSERT INTO faktory_django_uniquelock (key, jid, queue, jobtype, taken_at, expires_at) "
        "SELECT md5(n::text), n::text, 'q', 'T', clock_timestamp(), "
        "clock_timestamp() + interval '1 day' FROM generate_series(1, 20000) n",
    )
    execute(connection, "ANALYZE faktory_django_uniquelock")
    before = scans()

    push_keys([f"{n}" for n in range(300)])
    consumer, turn = claim_all()
    end(consumer, turn)

    assert scans() == before
    assert UniqueLock.objects.count() == 20_200
