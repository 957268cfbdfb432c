"""Cron: one job at each tick, however many schedulers look, whatever dies between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from faktory_django import registry
from faktory_django.lifecycle import cron, cron_entries
from faktory_django.lifecycle.cron import Scheduler
from faktory_django.maintenance import Maintenance
from faktory_django.models import CronEntry, CronTick, Job

from .actors import run_together
from .dsn import database_url
from .stock import claim, column, count, counts, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def make(schedule: str = "@yearly", **options: Any) -> CronEntry:
    """Make an entry, whose tick is far."""
    options = {"name": "report", "jobtype": "shop.report", "zone": "UTC"} | options
    entry = CronEntry(schedule=schedule, **options)
    cron_entries.save(entry)
    return entry


def let_pass(seconds: float) -> None:
    """Let the entries have been due some seconds ago."""
    sql(
        "UPDATE faktory_django_cronentry"
        " SET next_at = date_trunc('second', now()) - %(seconds)s * interval '1 s'",
        seconds=seconds,
    )


def test_a_tick_pushes_the_job_of_its_entry() -> None:
    entry = make(
        args='["all",{"n":1}]',
        custom='{"expires_in": 7200}',
        queue="reports",
        priority=5,
        retry=2,
        reserve_for=3_600,
        backtrace=3,
    )
    let_pass(1)

    assert Scheduler().run(connection)

    [job] = claim(1, "reports")
    body = json.loads(job.body)
    assert {key: body[key] for key in body if key not in {"created_at", "enqueued_at"}} == {
        "jid": CronTick.objects.get().jid,
        "jobtype": "shop.report",
        "queue": "reports",
        "args": ["all", {"n": 1}],
        "custom": {"expires_in": 7200, "priority": 5},
        "retry": 2,
        "reserve_for": 3_600,
        "backtrace": 3,
    }
    entry.refresh_from_db()
    assert sql("SELECT next_at > now() FROM faktory_django_cronentry") == [(True,)]


def test_what_an_entry_does_not_say_its_job_says() -> None:
    options = {"queue": "mail", "priority": -3, "retry": 7, "reserve_for": 90}
    registry.register(registry.Definition("cron.polite", print, options=options))
    make(jobtype="cron.polite")
    let_pass(1)

    Scheduler().run(connection)

    assert Job.objects.values("queue", "priority", "reserve_for").get() == {
        "queue": "mail",
        "priority": -3,
        "reserve_for": 90,
    }
    del registry._definitions["cron.polite"]


def test_nothing_is_due_before_its_time() -> None:
    make("0 0 1 1 *")

    again = Scheduler().run(connection)

    assert again
    assert again > 1
    assert count("job") == 0


def test_nothing_to_do_costs_two_statements_outside_a_transaction(
    django_assert_num_queries: Any,
) -> None:
    with django_assert_num_queries(4):  # BEGIN and COMMIT
        assert Scheduler().run(connection) is None


def test_maintenance_pushes_what_is_due_and_comes_again_in_time() -> None:
    make("* * * * * *")
    let_pass(0)

    upkeep = Maintenance()
    [chore] = [chore for chore in upkeep.chores if chore.name == "cron"]
    again = chore.run(connection)

    assert count("job") == 1
    assert again is not None
    assert 0 < again <= 1.01


def test_missed_ticks_are_pushed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "AT_A_TIME", 7)
    make("* * * * * *", missed="all", within_seconds=3_600)
    let_pass(50)

    assert Scheduler().run(connection, seconds=0) == 0.0
    assert count("job") == 7
    Scheduler().run(connection, seconds=10)

    assert count("job") >= 51
    assert len(set(column("crontick", "tick_at"))) == count("crontick") == count("job")


def race(ticks: int) -> Counter[Any]:
    """Let ten schedulers push the missed ticks of an entry; return how often each was pushed."""
    make("* * * * * *", missed="all", within_seconds=7_200)
    let_pass(ticks - 1)

    def work() -> None:
        while sql("SELECT 1 FROM faktory_django_cronentry WHERE next_at <= now()"):
            Scheduler().run(connection, seconds=0.05)

    run_together(*[work] * 10)
    pushed = Counter(column("job", "jid"))
    assert Counter(column("crontick", "jid")) == pushed
    return Counter(column("crontick", "tick_at"))


def test_ten_schedulers_push_each_of_a_thousand_ticks_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cron, "AT_A_TIME", 1)

    found = race(1_000)

    assert len(found) >= 1_000
    assert set(found.values()) == {1}
    seconds = sorted(tick.timestamp() for tick in found)
    assert seconds == [seconds[0] + n for n in range(len(seconds))]


def test_the_row_of_the_tick_alone_keeps_a_second_push_from_happening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cron, "AT_A_TIME", 1)
    monkeypatch.setattr(cron, "DUE", cron.DUE.replace("FOR UPDATE SKIP LOCKED", ""))

    assert set(race(100).values()) == {1}


def test_an_entry_that_somebody_is_at_holds_up_no_other(actor: Callable[[], Actor]) -> None:
    make(name="a"), make(name="b", queue="b")
    let_pass(1)
    other = actor()
    other.begin()
    other.sql("SELECT id FROM faktory_django_cronentry WHERE name = 'a' FOR UPDATE")

    Scheduler().run(connection)

    assert column("job", "queue") == ["b"]
    other.rollback()
    Scheduler().run(connection)
    assert column("job", "queue") == ["b", "default"]


KILLED = """
import os, signal, django
django.setup()
from django.db import connection
from faktory_django.lifecycle.cron import Scheduler

left = {left}

def count_down(execute, sql, params, many, context):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(sql, params, many, context)

with connection.execute_wrapper(count_down):
    Scheduler().run(connection, seconds=0)
"""


def run_killed(left: int) -> int:
    """Run a scheduler that is killed before the statement after so many; return its exit code."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", KILLED.format(left=left)]
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


def test_a_scheduler_that_is_killed_between_any_two_statements_loses_and_doubles_nothing() -> None:
    for left in range(20):
        CronEntry.objects.all().delete()
        sql("DELETE FROM faktory_django_ready"), sql("DELETE FROM faktory_django_job")
        make()
        let_pass(1)

        code = run_killed(left)
        Scheduler().run(connection)

        assert counts("job", "ready", "crontick") == (1, 1, 1), left
        if code == 0:
            break

    assert left >= 5  # lock, read, tick, push, next tick


def test_an_entry_that_cannot_be_read_here_is_left_to_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make(name="good"), make(name="bad", queue="bad")
    sql("UPDATE faktory_django_cronentry SET zone = 'Mars/Olympus' WHERE name = 'bad'")
    let_pass(1)
    scheduler = Scheduler()

    scheduler.run(connection)
    again = scheduler.run(connection)

    assert column("job", "queue") == ["default"]
    assert caplog.text.count("cannot be looked at here") == 1
    assert again
    bad = CronEntry.objects.get(name="bad")
    assert "Mars/Olympus" in bad.problem

    sql("UPDATE faktory_django_cronentry SET zone = 'UTC' WHERE name = 'bad'")
    Scheduler().run(connection)
    bad.refresh_from_db()
    assert (bad.problem, count("job")) == ("", 2)


def test_a_push_that_is_refused_is_noted_and_the_next_tick_comes(override_faktory: Any) -> None:
    override_faktory(MAX_PAYLOAD_BYTES=1_024)
    make("* * * * * *", args=json.dumps(["x" * 2_000]), missed="all", within_seconds=60)
    let_pass(1)

    Scheduler().run(connection)

    assert counts("job", "crontick") == (0, 2)
    assert all("MAX_PAYLOAD_BYTES" in problem for problem in column("crontick", "problem"))
    assert sql("SELECT next_at > now() FROM faktory_django_cronentry") == [(True,)]


def test_an_edit_holds_from_the_next_tick_on_without_a_restart() -> None:
    scheduler, entry = Scheduler(), make("0 0 1 1 *")
    assert scheduler.run(connection)

    entry.schedule = "* * * * * *"
    cron_entries.save(entry)

    again = scheduler.next_seconds(connection)
    assert again
    assert again <= 1.01
    assert count("job") == 0


def test_the_ticks_of_a_pause_are_not_made_up_for() -> None:
    entry = make("* * * * *", missed="all", within_seconds=3_600)
    assert cron_entries.pause([entry.pk]) == 1
    assert cron_entries.pause([entry.pk]) == 0
    let_pass(600)

    assert Scheduler().run(connection) is None
    assert cron_entries.resume([entry.pk]) == 1
    assert cron_entries.resume([entry.pk]) == 0
    Scheduler().run(connection)

    assert count("job") == 0
    assert Scheduler().next_seconds(connection)


def test_an_entry_is_run_at_once_though_it_is_paused() -> None:
    entry = make()
    cron_entries.pause([entry.pk])
    before = CronEntry.objects.get().next_at

    jid = cron_entries.run_now(entry.pk)

    assert column("job") == [jid]
    assert CronTick.objects.values_list("jid", "by_hand").get() == (jid, True)
    assert CronEntry.objects.get().next_at == before


def test_what_cannot_be_run_at_once_says_so(override_faktory: Any) -> None:
    entry = make(args=json.dumps(["x" * 2_000]))
    override_faktory(MAX_PAYLOAD_BYTES=1_024)

    assert cron_entries.run_now(entry.pk) is None
    assert cron_entries.run_now(entry.pk + 1) is None
    sql("UPDATE faktory_django_cronentry SET gone_at = now()")
    assert cron_entries.run_now(entry.pk) is None
    assert counts("job", "crontick") == (0, 1)


def test_what_code_declares_is_not_removed() -> None:
    mine, code, gone = make(name="a"), make(name="b", source="code"), make(name="c", source="code")
    sql("UPDATE faktory_django_cronentry SET gone_at = now() WHERE name = 'c'")

    assert cron_entries.remove([mine.pk, code.pk, gone.pk]) == 2
    assert column("cronentry", "name") == ["b"]


def test_old_ticks_and_what_was_long_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cron, "KEEP_TICKS", 3)
    kept, gone = make(name="kept"), make(name="gone", source="code")
    sql(
        "UPDATE faktory_django_cronentry SET gone_at = now() - interval '31 days'"
        " WHERE name = 'gone'"
    )
    for entry in (kept, gone):
        sql(
            "INSERT INTO faktory_django_crontick (entry_id, tick_at, jid)"
            " SELECT %(key)s, now() + n * interval '1 s', n FROM generate_series(1, 9) AS n",
            key=entry.pk,
        )

    Maintenance().trim(connection)
    cron.trim(connection)

    assert column("cronentry", "name") == ["kept"]
    assert column("crontick") == ["7", "8", "9"]


def test_the_next_tick_is_found_in_an_index() -> None:
    sql(
        "INSERT INTO faktory_django_cronentry (name, jobtype, schedule, zone, next_at)"
        " SELECT 'entry ' || n, 'x', '@daily', 'UTC', now() + n * interval '1 min'"
        " FROM generate_series(1, 5000) AS n"
    )
    sql("ANALYZE faktory_django_cronentry")

    plan = "\n".join(row[0] for row in sql(f"EXPLAIN {cron.NEXT}", without=[1, 2]))

    assert "faktory_cron_next" in plan
