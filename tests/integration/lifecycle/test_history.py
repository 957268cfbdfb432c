"""History: as many rows as ends, each written by the statement that ends the job, at any door."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, connections, transaction

from faktory_django import maintenance, settings
from faktory_django.errors import ReservationLost
from faktory_django.features.history import note
from faktory_django.lifecycle import attempts, history, mutate, partitions, queues, reap
from faktory_django.lifecycle.ack import LeaseAck, ack_last
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.retry import Error, Fate, Verdict
from faktory_django.models import Attempt, FinishedJob, LogLine

from .stock import a_push, claim, column, counts, end, failing, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

pytestmark = pytest.mark.usefixtures("store")

KEPT = '{"keep": {"days": 7}}'
ERROR = Error.cut("ValueError", "no", ["line 1", "line 2"])


def kept(jid: str = "kept-0001", *, traits: str = KEPT, **options: Any) -> str:
    push([a_push(jid, traits=traits, **options)])
    return jid


def in_work(*, each: bool = False, **options: Any) -> Claimed:
    kept(**options)
    (job,) = claim(1, each=each)
    return job


def ack_a_lease() -> None:
    job = in_work()
    assert end(LeaseAck(job.lease, True, [job.id], traited=True)) == []


def ack_some() -> None:
    push([a_push("plain-0001"), a_push("kept-0001", traits=KEPT)])
    jobs = claim(2)
    assert end(LeaseAck(jobs[0].lease, False, [jobs[1].id], traited=True)) == []


def ack_in_its_transaction() -> None:
    job = in_work()
    with transaction.atomic():
        ack_last(job.id, job.lease, wait_seconds=1, run_seconds=1, using="default")


def ack_on_the_wire() -> None:
    in_work(each=True)
    assert ack_jids([Holding("kept-0001")]) == 1


def fail_as(fate: Fate, **facts: Any) -> Callable[[], None]:
    def act() -> None:
        job = in_work()
        verdict = Verdict(fate, '"message":"no"}', delay_seconds=10.0)
        assert fail(connection, [Failing(job.id, job.lease, verdict, error=ERROR, **facts)])

    return act


def fail_on_the_wire(retry: int) -> Callable[[], None]:
    def act() -> None:
        in_work(each=True, retry=retry)
        assert fail_jids(connection, [Holding("kept-0001")], [ERROR]) == [True]

    return act


def die_with_a_process() -> None:
    job = in_work()
    assert reap.reap(connection, [job.lease], max_crashes=1) == 1


def act_on(verb: Callable[..., int], target: str) -> Callable[[], None]:
    def act() -> None:
        kept(delay_seconds=None if target == "waiting" else 1_000.0)
        table = "job" if target == "waiting" else "scheduledjob"
        assert verb(target, column(table, "id")) == 1

    return act


def clear_a_queue() -> None:
    kept()
    assert queues.clear("default") == 1


@pytest.mark.parametrize(
    ("act", "outcome", "runs", "error"),
    [
        (ack_a_lease, "done", 1, None),
        (ack_some, "done", 1, None),
        (ack_in_its_transaction, "done", 1, None),
        (ack_on_the_wire, "done", 1, None),
        (fail_as(Fate.RETRY), None, 0, None),
        (fail_as(Fate.SNOOZE), None, 0, None),
        (fail_as(Fate.DEAD), "dead", 1, "ValueError"),
        (fail_as(Fate.GONE), "failed", 1, "ValueError"),
        (fail_as(Fate.GONE, counts=False), "discarded", 1, "ValueError"),
        (fail_as(Fate.GONE, counts=False, outcome="expired"), "expired", 1, None),
        (fail_as(Fate.GONE, counts=False, outcome="cancelled"), "cancelled", 1, None),
        (fail_on_the_wire(25), None, 0, None),
        (fail_on_the_wire(-1), "dead", 1, "ValueError"),
        (fail_on_the_wire(0), "failed", 1, "ValueError"),
        (die_with_a_process, "dead", 1, "CrashedWorker"),
        (act_on(mutate.kill, "scheduled"), "dead", 0, None),
        (act_on(mutate.discard, "scheduled"), "discarded", 0, None),
        (act_on(mutate.kill, "waiting"), "dead", 0, None),
        (act_on(mutate.discard, "waiting"), "discarded", 0, None),
        (clear_a_queue, "discarded", 0, None),
    ],
)
def test_each_end_leaves_one_row_and_what_goes_on_leaves_none(
    act: Callable[[], None], outcome: str | None, runs: int, error: str | None
) -> None:
    act()

    rows = list(FinishedJob.objects.values_list("jid", "outcome", "attempts", "failure"))
    found = [(jid, how, n, json.loads(text)["errtype"] if text else None)
             for jid, how, n, text in rows]  # fmt: skip
    assert found == ([] if outcome is None else [("kept-0001", outcome, runs, error)])


@pytest.mark.parametrize(
    ("act", "fate", "number"),
    [
        (fail_as(Fate.RETRY), "retry", 1),
        (fail_as(Fate.DEAD), "dead", 1),
        (fail_as(Fate.GONE), "failed", 1),
        (fail_as(Fate.GONE, counts=False, number=3), "discarded", 3),
        (fail_as(Fate.GONE, counts=False, outcome="cancelled"), "cancelled", 1),
        (fail_on_the_wire(25), "retry", 1),
        (fail_on_the_wire(0), "failed", 1),
        (die_with_a_process, "dead", 1),
        (fail_as(Fate.SNOOZE), None, 0),
        (ack_a_lease, None, 0),
    ],
)
def test_each_failure_is_kept_with_what_became_of_the_job(
    act: Callable[[], None], fate: str | None, number: int
) -> None:
    act()

    found = [(a.fate, a.number) for a in attempts.of("kept-0001", limit=10)]
    assert found == ([] if fate is None else [(fate, number)])


def test_a_plain_job_leaves_its_failures_and_nothing_else() -> None:
    push([a_push("plain-0001"), a_push("plain-0002")])
    jobs = claim(2)
    failed = {**vars_of(failing(jobs[0])), "error": ERROR}
    fail(connection, [Failing(**failed)])
    end(LeaseAck(jobs[0].lease, True, [jobs[1].id]))

    [row] = attempts.of("plain-0001", limit=10)
    assert (row.errtype, row.message, row.backtrace) == ("ValueError", "no", "line 1\nline 2")
    assert (row.wid, row.started_at, row.run_seconds) == ("w", None, None)
    assert not FinishedJob.objects.exists()


def vars_of(one: Failing) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("id", "lease", "verdict", "counts")}


def test_a_failure_on_the_wire_tells_who_ran_it_and_since_when() -> None:
    in_work(each=True)
    sql("UPDATE faktory_django_lease SET claimed_at = claimed_at - interval '90 s'")
    fail_jids(connection, [Holding("kept-0001")], [ERROR])

    [row] = attempts.of("kept-0001", limit=10)
    assert row.wid == "w"
    assert row.run_seconds is not None
    assert 90 <= row.run_seconds < 120
    assert row.started_at == row.at - timedelta(seconds=row.run_seconds)


def test_an_ack_on_the_wire_tells_who_ran_it_and_how_long() -> None:
    in_work(each=True)
    sql("UPDATE faktory_django_lease SET claimed_at = claimed_at - interval '90 s'")
    ack_jids([Holding("kept-0001")])

    row = FinishedJob.objects.get()
    assert row.wid == "w"
    assert row.run_seconds is not None
    assert 90 <= row.run_seconds < 120


def test_a_note_tells_what_the_worker_knows() -> None:
    job = in_work(traits='{"keep": {"days": 366, "args": true, "result": true}}')
    told = note(started=1_000.5, ran=0.25, wid="me", attempt=4, result="[1]", mark="{}", remark="r")
    end(LeaseAck(job.lease, True, [job.id], traited=True, notes={job.id: told}))

    row = FinishedJob.objects.get()
    assert row.started_at == datetime.fromtimestamp(1_000.5, UTC)
    assert (row.run_seconds, row.wid, row.attempts) == (0.25, "me", 4)
    assert (row.result, row.mark, row.remark) == ("[1]", "{}", "r")
    assert row.body == job.body
    assert row.bucket == int((row.finished_at + timedelta(days=366)).strftime("%Y%m"))


@pytest.mark.parametrize(
    ("failure", "runs"),
    [(None, 1), ('{"retry_count":4,"message":"m"}', 6), ('{"retry_count":"x"}', 1), ("[", 1)],
)
def test_runs_are_counted_from_the_failures_when_nobody_says(
    failure: str | None, runs: int
) -> None:
    job = in_work(failure=failure)
    end(LeaseAck(job.lease, True, [job.id], traited=True))

    assert FinishedJob.objects.get().attempts == runs


@pytest.mark.parametrize(
    ("created_at", "pushed"),
    [("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"), ("yesterday", "yesterday")],
)
def test_a_time_that_a_producer_wrote_is_kept_as_it_is(created_at: str, pushed: str) -> None:
    body = f'{{"created_at":"{created_at}","jid":"kept-0001","jobtype":"noop","args":[]}}'
    job = in_work(body=body)
    end(LeaseAck(job.lease, True, [job.id], traited=True))

    assert FinishedJob.objects.get().pushed == pushed


def test_the_latest_end_of_a_jid_counts() -> None:
    for act in (act_on(mutate.discard, "scheduled"), ack_a_lease):
        act()

    found = history.latest(["kept-0001", "nobody"])

    assert {jid: one.outcome for jid, one in found.items()} == {"kept-0001": "done"}


def test_a_lost_ack_leaves_no_row() -> None:
    job = in_work()
    sql("DELETE FROM faktory_django_lease")

    lost = end(LeaseAck(job.lease, True, [job.id], traited=True))
    with pytest.raises(ReservationLost), transaction.atomic():
        ack_last(job.id, job.lease, wait_seconds=1, run_seconds=1, using="default")

    assert len(lost) == 1
    assert counts("finishedjob", "job") == (0, 1)


def test_two_who_end_the_same_jobs_leave_one_row_each() -> None:
    push([a_push(traits=KEPT) for _ in range(200)])
    jobs = claim(200)
    ids = [job.id for job in jobs]

    def ack() -> None:
        end(LeaseAck(jobs[0].lease, True, ids, traited=True))
        connections.close_all()

    threads = [threading.Thread(target=ack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts("finishedjob", "job") == (200, 0)


def test_rows_are_as_many_as_acks_across_midnight_and_with_upkeep_stopped() -> None:
    # a day further on upkeep has made no room: as if it had stopped before midnight
    partitions.upkeep(connection, partitions.FINISHED, [7])
    for number in range(60):
        kept(f"kept-{number:04}", traits=json.dumps({"keep": {"days": 7 + number % 30}}))
    jobs = claim(60)
    for number, job in enumerate(jobs):
        end(LeaseAck(job.lease, number == 59, [job.id], traited=True))

    places = sql("SELECT tableoid::regclass::text, count(*) FROM faktory_django_finishedjob"
                 " GROUP BY 1")  # fmt: skip
    assert sum(n for _, n in places) == 60
    assert len(places) == 4  # three days that upkeep knew, and the rest
    assert counts("job", "lease") == (0, 0)
    for table in ("7", "8", "9"):
        day = (datetime.now(UTC) + timedelta(days=int(table))).strftime("%Y%m%d")
        sql(f"DROP TABLE IF EXISTS {partitions.FINISHED}_{day}")


def test_upkeep_makes_room_for_what_the_settings_and_jobs_ask_for(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(HISTORY_DAYS=11, ATTEMPT_DAYS=12, LOG_DAYS=0)
    work = maintenance.Maintenance()
    for chore in work.chores:
        if chore.name == "past":
            again = chore.run(connection)

    def made(table: str) -> set[str]:
        rows = sql("SELECT inhrelid::regclass::text FROM pg_inherits"
                   " WHERE inhparent = %(table)s::regclass", table=table)  # fmt: skip
        return {name.rpartition("_")[2] for (name,) in rows}

    def day(ahead: int) -> str:
        return (datetime.now(UTC) + timedelta(days=ahead)).strftime("%Y%m%d")

    assert again is None
    assert {day(n) for n in (11, 12, 13)} <= made(partitions.FINISHED)
    assert {day(n) for n in (12, 13, 14)} <= made(partitions.ATTEMPTS)
    # those of tests/jobapp that keep a result for a day
    assert day(1) in made(partitions.FINISHED)
    for table in partitions.TABLES:
        for name in made(table) - {"rest"}:
            sql(f"DROP TABLE {table}_{name}")


def test_upkeep_comes_again_soon_while_there_is_more(
    override_faktory: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    override_faktory(HISTORY_DAYS=1)
    monkeypatch.setattr(maintenance, "PIECES", 2)
    for _ in range(3):
        kept()
    jobs = claim(3)
    end(LeaseAck(jobs[0].lease, True, [job.id for job in jobs], traited=True))
    FinishedJob.objects.update(bucket=20200101)
    work = maintenance.Maintenance()

    assert work.keep_past(connection) == 1.0
    assert work.keep_past(connection) is None
    assert counts("finishedjob") == (0,)
    for table in partitions.TABLES:
        for (name,) in sql("SELECT inhrelid::regclass::text FROM pg_inherits"
                           " WHERE inhparent = %(table)s::regclass", table=table):  # fmt: skip
            if not name.endswith("_rest"):
                sql(f"DROP TABLE {name}")


FILL = """
INSERT INTO faktory_django_finishedjob
    (bucket, jid, jobtype, queue, outcome, finished_at, attempts)
SELECT 20991201 + n %% 5, md5(n::text), 'noop', 'default', 'done',
    timestamptz '2026-01-01 00:00:00+00' + n * interval '1 s', 1
FROM generate_series(1, 60000) AS n
"""


def plan_of(statement: str, **params: Any) -> str:
    return "\n".join(row[0] for row in sql(f"EXPLAIN (COSTS OFF) {statement}", **params))


def test_a_page_and_a_jid_are_read_by_indexes_alone(request: pytest.FixtureRequest) -> None:
    for day in range(5):
        name = f"{partitions.FINISHED}_{20991201 + day}"
        sql(f"CREATE TABLE {name} PARTITION OF {partitions.FINISHED}"
            f" FOR VALUES IN ({20991201 + day})")  # fmt: skip
        request.addfinalizer(partial(sql, f"DROP TABLE IF EXISTS {name}"))
    sql(FILL)
    sql("ANALYZE faktory_django_finishedjob")

    page = plan_of(
        "SELECT * FROM faktory_django_finishedjob s"
        " WHERE (s.finished_at, s.id) < (%(at)s::timestamptz, %(id)s)"
        " ORDER BY s.finished_at DESC, s.id DESC LIMIT 51",
        at=datetime(2026, 1, 1, 5, tzinfo=UTC),
        id=2**62,
    )
    jid = plan_of(history.LATEST, jids=["a", "b"])

    # Partitions that are empty, as those of today and of the rest are here, may be read whole.
    read_whole = [line for line in (page + jid).splitlines() if "Seq Scan" in line]
    assert not [line for line in read_whole if "_209912" in line]
    assert "Merge Append" in page
    assert "Sort Key: s" not in page.partition("Merge Append")[2].partition("->")[2]
    took = sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {history.LATEST}", jids=["a"])[0][0]
    looked = (took if isinstance(took, list) else json.loads(took))[0]["Plan"]
    assert looked["Shared Hit Blocks"] + looked["Shared Read Blocks"] < 100  # two a partition


def test_attempts_and_lines_are_kept_for_as_long_as_the_settings_say(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(ATTEMPT_DAYS=90)
    fail_as(Fate.RETRY)()

    row = Attempt.objects.get()
    assert row.bucket == int((row.at + timedelta(days=90)).strftime("%Y%m"))
    assert settings.get().log_days == 7
    assert not LogLine.objects.exists()
