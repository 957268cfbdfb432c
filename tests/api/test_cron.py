"""@periodic, FAKTORY["CRON"], and the files of Faktory."""

from __future__ import annotations

import json
from datetime import date, timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from faktory_django import crontab, errors, job, periodic, registry
from faktory_django.api import cron, cron_check
from faktory_django.api.cron_toml import entries_of
from faktory_django.lifecycle import cron as verbs
from faktory_django.maintenance import Maintenance
from faktory_django.models import CronEntry
from faktory_django.testing import drain
from tests.jobapp import jobs as known_jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_kept_of_it() -> Iterator[None]:
    """Take back what a test declares."""
    known, jobs = dict(crontab._in_code), dict(registry._definitions)
    yield
    crontab._in_code.clear()
    crontab._in_code.update(known)
    crontab.declare_settings([])
    registry._definitions.clear()
    registry._definitions.update(jobs)


def declared(name: str) -> crontab.Declared:
    """Return what is declared under a name."""
    return {entry.name: entry for entry in crontab.declared()}[name]


def test_a_periodic_job_is_declared_with_the_options_of_its_job() -> None:
    @periodic("*/5 * * * *", tz="Asia/Tokyo", args=["all"], missed="all", within=timedelta(hours=1))
    @job(name="t.report", queue="reports", priority=5, retry=2, custom={"a": 1})
    def report(which: str) -> str:
        return which

    assert report("x") == "x"
    assert declared("t.report") == crontab.Declared(
        name="t.report",
        jobtype="t.report",
        schedule="*/5 * * * *",
        zone="Asia/Tokyo",
        args='["all"]',
        queue="reports",
        priority=5,
        retry=2,
        custom='{"a": 1}',
        missed="all",
        within_seconds=3_600,
    )


def test_one_job_has_several_schedules_by_names() -> None:
    @periodic("@daily", name="t.daily", args=[1])
    @periodic("@weekly", name="t.weekly", args=[7])
    @job(name="t.clean")
    def clean(days: int) -> None: ...

    assert (declared("t.daily").args, declared("t.weekly").args) == ("[1]", "[7]")
    assert declared("t.daily").zone == "America/Chicago"
    with pytest.raises(errors.InvalidOption, match="declared twice"):
        periodic("@hourly", name="t.daily", args=[1])(clean)
    periodic("@daily", name="t.daily", args=[1])(clean)  # the module again


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "x"}, "wrong number of fields"),
        ({"tz": "Mars"}, "IANA"),
        ({"name": "a\nb"}, "printable"),
        ({"missed": "some"}, "missed must be one of"),
        ({"missed": "all"}, "needs within="),
        ({"within": 59}, "within must be 60 to"),
        ({"within": True}, "within must be"),
        ({"within": "1 h"}, "within must be"),
        ({"args": [object()]}, "not JSON"),
    ],
)
def test_what_is_wrong_is_said_at_import(options: dict[str, Any], message: str) -> None:
    @job(name="t.any")
    def anything(*args: Any) -> None: ...

    with pytest.raises((errors.InvalidOption, errors.InvalidArguments), match=message):
        periodic(**{"schedule": "@daily"} | options)(anything)


def test_what_does_not_fit_is_refused() -> None:
    @job(name="t.two")
    def two(a: int, b: int) -> None: ...

    with pytest.raises(TypeError):
        periodic("@daily", args=[1])(two)
    with pytest.raises(errors.InvalidOption, match="above @job"):
        periodic("@daily")(lambda: None)  # type: ignore[arg-type]
    elsewhere = two.set()
    elsewhere._options = {"using": "elsewhere"}
    with pytest.raises(errors.InvalidOption, match="another database"):
        periodic("@daily", args=[1, 2])(elsewhere)


@pytest.mark.django_db
def test_a_periodic_job_runs_with_the_arguments_that_python_gave_it() -> None:
    told = []

    @periodic("@yearly", kwargs={"day": date(2026, 3, 1)})
    @job(name="t.kinds")
    def kinds(*, day: date) -> None:
        told.append(day)

    Maintenance().declare_cron(connection)
    CronEntry.objects.filter(name="t.kinds").update(next_at="2026-01-01T00:00:00Z")
    verbs.Scheduler().run(connection)
    drain()

    assert told == [date(2026, 3, 1)]


def test_the_settings_declare_entries(override_faktory: Any) -> None:
    override_faktory(
        CRON={
            "nightly": {
                "job": "tests.jobapp.jobs.record",
                "schedule": "0 3 * * *",
                "tz": "Europe/Berlin",
                "args": ["a", "b"],
                "queue": "low",
                "missed": "skip",
            }
        }
    )

    cron.declare_settings()

    assert cron_check.check_cron() == []
    assert declared("nightly") == crontab.Declared(
        name="nightly",
        jobtype="tests.jobapp.jobs.record",
        schedule="0 3 * * *",
        zone="Europe/Berlin",
        args='["a","b"]',
        queue="low",
        missed="skip",
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "FAKTORY['CRON']['x'] needs a job"),
        ({"job": "a"}, "needs a schedule"),
        ({"job": "a", "schedule": "@daily", "tzz": 1}, "has no key 'tzz'"),
        ({"job": "a", "schedule": "x"}, "FAKTORY['CRON']['x']: a schedule is"),
        ({"job": "", "schedule": "@daily"}, "printable"),
        ({"job": 5, "schedule": "@daily"}, "printable"),
        ({"job": "a", "schedule": "@daily", "queue": "a b"}, "a queue name is"),
        ({"job": "a", "schedule": "@daily", "args": "abc"}, "args must be a list"),
        ({"job": "a", "schedule": "@daily", "kwargs": [1]}, "kwargs a dict"),
        ({"job": known_jobs.record.jobtype, "schedule": "@daily"}, "do not fit"),
    ],
)
def test_a_wrong_entry_of_the_settings_stops_the_check(
    override_faktory: Any, entry: dict[str, Any], message: str
) -> None:
    override_faktory(CRON={"x": entry})

    [found] = cron_check.check_cron()

    assert found.id == "faktory_django.E007"
    assert message in found.msg


def test_settings_that_are_wrong_otherwise_are_told_once(override_faktory: Any) -> None:
    override_faktory(CRON={"x": 5})

    assert cron_check.check_cron() == []


TOML = """
[[cron]]
  schedule = "30 4 * * 1"
  [cron.job]
    type = "WeeklyReport"
    queue = "reports"
    retry = 2
    args = ["all"]
    reserve_for = 3600
    [cron.job.custom]
      expires_in = 7200
      priority = 3
[[cron]]
  schedule = "0 1 * * *"
  [cron.job]
    type = "Clean"
"""


def test_the_entries_of_faktory_are_read() -> None:
    more = TOML + '[[cron]]\nschedule = "0 1 * * *"\njob = { jobtype = "Clean", args = [7] }\n'

    weekly, first, second = entries_of([more], tz="Europe/Paris")

    assert json.loads(weekly.custom) == {"expires_in": 7200}
    assert (weekly.name, weekly.queue, weekly.retry) == ("WeeklyReport", "reports", 2)
    assert (weekly.priority, weekly.reserve_for, weekly.args) == (3, 3_600, '["all"]')
    assert [first.name, second.name] == ["Clean (0 1 * * *)", "Clean (0 1 * * *) 2"]
    assert {weekly.zone, first.zone, second.zone} == {"Europe/Paris"}
    assert entries_of(["[redis]\n"]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[cron", "not TOML"),
        ("cron = 5", r"\[\[cron\]\] tables"),
        ("cron = [5]", r"\[\[cron\]\] tables"),
        ('[[cron]]\nschedule = "@daily"', "needs a schedule and"),
        ("[[cron]]\njob = 5", "needs a schedule and"),
        ('[[cron]]\njob = { type = "a" }', "needs a schedule and"),
        ('[[cron]]\nschedule = "@daily"\njob = { type = "a", at = 1 }', "'at', which is not known"),
        ('[[cron]]\nschedule = "@daily"\nzone = 1\njob = { type = "a" }', "'zone', which"),
        ('[[cron]]\nschedule = "x"\njob = { type = "a" }', "wrong number of fields"),
        ('[[cron]]\nschedule = "@daily"\njob = { args = [] }', "printable"),
        ('[[cron]]\nschedule = "@daily"\njob = { type = "a", custom = 1 }', "custom must be"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, message: str) -> None:
    with pytest.raises(errors.InvalidOption, match=message):
        entries_of([text])


@pytest.mark.django_db
def test_files_are_imported_once_and_changed_when_they_have_changed(tmp_path: Path) -> None:
    file = tmp_path / "cron.toml"
    file.write_text(TOML, encoding="utf-8")

    def run(*options: str) -> list[str]:
        out = StringIO()
        call_command("faktory_import_cron", str(file), *options, stdout=out)
        return [line.rpartition(", ")[2] for line in out.getvalue().splitlines()]

    assert run("--dry-run") == ["would be imported"] * 2
    assert not CronEntry.objects.exists()
    assert run("--tz", "Asia/Tokyo") == ["added", "added"]
    assert run("--tz", "Asia/Tokyo") == ["unchanged", "unchanged"]
    file.write_text(TOML.replace("30 4", "30 5"), encoding="utf-8")
    assert run("--tz", "Asia/Tokyo") == ["changed", "unchanged"]
    entry = CronEntry.objects.get(jobtype="WeeklyReport")
    assert (entry.schedule, entry.zone, entry.source) == ("30 5 * * 1", "Asia/Tokyo", "person")
    assert entry.next_at is not None


@pytest.mark.django_db
def test_a_file_that_is_wrong_or_not_there_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "cron.toml"
    file.write_text(TOML + "[[cron]]\n", encoding="utf-8")

    for name in (file, tmp_path / "none.toml"):
        with pytest.raises(CommandError):
            call_command("faktory_import_cron", str(name))

    assert not CronEntry.objects.exists()
