"""Cron entries of code: they appear, change and go with the releases that declare them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from faktory_django import crontab
from faktory_django.crontab import Declared
from faktory_django.lifecycle import cron_code, cron_entries
from faktory_django.lifecycle.cron_code import Declarer
from faktory_django.maintenance import Maintenance
from faktory_django.models import CronEntry

from .actors import run_together
from .stock import column, count, sql

pytestmark = pytest.mark.usefixtures("store")


def declared(name: str = "report", schedule: str = "@daily", **options: Any) -> Declared:
    """Return what a release declares."""
    options = {"jobtype": "shop.report", "zone": "UTC"} | options
    return Declared(name=name, schedule=schedule, **options)


def release(*entries: Declared) -> None:
    """Let a process of a release say what it declares."""
    Declarer().run(connection, entries)


def forget(seconds: float = 61) -> None:
    """Let nobody have declared anything for some seconds."""
    sql(
        "UPDATE faktory_django_crondeclaration SET seen_at = seen_at - %(s)s * interval '1 s'",
        s=seconds,
    )


def schedules() -> dict[str, str]:
    """Return the entries that tick, and when."""
    ticking = CronEntry.objects.filter(source="code", gone_at=None)
    return dict(ticking.values_list("name", "schedule"))


def test_an_entry_appears_when_a_process_starts_and_stays_as_it_is() -> None:
    release(declared(args="[1]", missed="all", within_seconds=60, queue="mail"))
    first = CronEntry.objects.values().get()

    release(declared(args="[1]", missed="all", within_seconds=60, queue="mail"))

    assert CronEntry.objects.values().get() == first
    assert first["next_at"] is not None
    assert (first["args"], first["missed"], first["queue"]) == ("[1]", "all", "mail")


def test_what_is_as_it_should_be_costs_two_statements(django_assert_num_queries: Any) -> None:
    declarer = Declarer()
    declarer.run(connection, [declared()])

    with django_assert_num_queries(3):
        declarer.run(connection, [declared()])
    with django_assert_num_queries(1):
        release()


def test_maintenance_declares_what_the_code_has_declared() -> None:
    crontab.declare(declared("of code"))
    crontab.declare_settings([declared("of settings")])

    Maintenance().declare_cron(connection)

    assert {"of code", "of settings"} <= set(schedules())
    crontab.forget("of code")
    crontab.forget("of settings")


def test_a_change_of_the_schedule_moves_the_next_tick_and_other_changes_do_not() -> None:
    release(declared(schedule="@hourly"))
    sql("UPDATE faktory_django_cronentry SET next_at = now() - interval '1 hour', paused = true")
    before = CronEntry.objects.get()

    release(declared(schedule="@hourly", args="[2]"))
    same = CronEntry.objects.get()
    release(declared(schedule="@yearly", args="[2]"))
    other = CronEntry.objects.get()

    assert (same.args, same.next_at) == ("[2]", before.next_at)
    assert other.next_at != same.next_at
    assert other.paused


def test_two_releases_side_by_side_do_not_fight() -> None:
    old = [declared("both", "@daily"), declared("old", "@daily")]
    new = [declared("both", "@hourly"), declared("new", "@hourly")]
    release(*old)
    release(*new)
    changed = CronEntry.objects.order_by("pk").values()
    first = list(changed)

    for _round in range(3):  # also an old process that starts anew
        release(*old)
        release(*new)

    assert list(changed.all()) == first
    assert schedules() == {"both": "@hourly", "old": "@daily", "new": "@hourly"}


def test_what_no_process_declares_any_more_is_marked_after_a_minute() -> None:
    declarer = Declarer()
    release(declared("old"), declared("both", "@daily"))
    declarer.run(connection, [declared("both", "@hourly")])
    forget(59)
    declarer.run(connection, [declared("both", "@hourly")])
    assert set(schedules()) == {"both", "old"}

    forget(2)
    declarer.run(connection, [declared("both", "@hourly")])

    assert schedules() == {"both": "@hourly"}
    assert CronEntry.objects.get(name="old").gone_at is not None
    assert count("crondeclaration") == 1


def test_a_rollback_brings_the_older_release_back() -> None:
    declarer = Declarer()
    declarer.run(connection, [declared(schedule="@daily")])
    release(declared(schedule="@hourly"))
    forget()

    declarer.run(connection, [declared(schedule="@daily")])

    assert schedules() == {"report": "@daily"}


def test_a_process_that_was_cut_off_forgets_nobody_at_first() -> None:
    release(declared("other"))
    forget()
    declarer = Declarer()

    declarer.run(connection, [declared("mine")])
    assert set(schedules()) == {"mine", "other"}
    declarer.run(connection, [declared("mine")])

    assert set(schedules()) == {"mine"}


def test_what_comes_back_makes_up_for_what_it_missed_and_keeps_its_pause() -> None:
    release(declared("x", "* * * * *"))
    sql(
        "UPDATE faktory_django_cronentry SET paused = true, gone_at = now(),"
        " next_at = now() - interval '1 day'"
    )
    before = CronEntry.objects.get()

    release(declared("x", "* * * * *"))

    after = CronEntry.objects.get()
    assert (after.gone_at, after.paused, after.next_at) == (None, True, before.next_at)


def test_an_entry_of_a_person_with_the_same_name_is_another_one() -> None:
    mine = CronEntry(name="report", jobtype="mine", schedule="@daily", zone="UTC")
    cron_entries.save(mine)

    release(declared())

    assert sorted(column("cronentry", "source")) == ["code", "person"]
    mine.refresh_from_db()
    assert mine.jobtype == "mine"


def test_processes_that_start_at_once_make_one_entry() -> None:
    entries = [declared(f"entry {n}") for n in range(20)]

    run_together(*[lambda: release(*entries)] * 8)

    assert count("cronentry") == 20


def test_a_definition_of_a_release_that_knows_more_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release(declared("new", "every full moon"), declared("plain"))

    assert "cannot be read here" in caplog.text
    assert set(schedules()) == {"new", "plain"}
    assert "full moon" in CronEntry.objects.get(name="new").problem


def test_keys_that_are_not_known_are_passed_over() -> None:
    text = declared().definition.replace("{", '{"moon":"full",', 1)

    assert crontab.read(text) == declared()
    assert cron_code.SILENT_SECONDS > 2 * cron_code.EVERY_SECONDS
