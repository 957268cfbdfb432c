"""The worker's logs: one line an event."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django import logs
from faktory_django.api.context import CurrentJob, _current, current_job

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _loggers_as_found() -> Iterator[None]:
    ours, jobs = (logging.getLogger(n) for n in ("faktory_django", "faktory_django.jobs"))
    before = [(lo, lo.level, list(lo.handlers), lo.propagate) for lo in (ours, jobs)]
    ours.handlers = []
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


def record(message: str, *args: Any, error: bool = False, **extra: Any) -> logging.LogRecord:
    """Make a record of a fixed time and process."""
    made = logging.LogRecord("faktory_django.x", logging.INFO, "x.py", 1, message, args, None)
    made.created, made.process = 1_795_428_000.25, 4_711
    if error:
        made.exc_info = sys.exc_info()
    for name, value in extra.items():
        setattr(made, name, value)
    return made


def test_a_plain_line_says_when_who_and_what() -> None:
    line = logs.PlainFormatter().format(record("%d jobs", 5))

    assert line == "2026-11-23T10:00:00.250Z 4711 INFO faktory_django.x: 5 jobs"


def test_a_json_line_is_one_object_with_the_facts_of_the_job() -> None:
    line = logs.JsonFormatter().format(
        record("two\nlines é", jid="j", jobtype="t", queue="q", run_seconds=0.5, args_="secret")
    )

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-23T10:00:00.250Z",
        "level": "INFO",
        "logger": "faktory_django.x",
        "pid": 4_711,
        "message": "two\nlines é",
        "jid": "j",
        "jobtype": "t",
        "queue": "q",
        "run_seconds": 0.5,
    }


def test_a_traceback_follows_a_plain_line_and_is_a_field_of_a_json_one() -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        plain = logs.PlainFormatter().format(record("oops", error=True))
        one_line = logs.JsonFormatter().format(record("oops", error=True))

    assert plain.splitlines()[1] == "Traceback (most recent call last):"
    assert plain.splitlines()[-1] == "ValueError: boom"
    assert "\n" not in one_line
    assert json.loads(one_line)["traceback"].endswith("ValueError: boom")


@pytest.mark.parametrize(
    ("verbosity", "debug", "ours", "jobs"),
    [
        (0, False, logging.ERROR, logging.ERROR),
        (1, False, logging.INFO, logging.INFO),
        (2, False, logging.INFO, logging.DEBUG),
        (3, False, logging.DEBUG, logging.DEBUG),
        (1, True, logging.INFO, logging.DEBUG),
        (0, True, logging.ERROR, logging.ERROR),
    ],
)
def test_the_end_of_each_job_is_a_line_in_debug_or_when_asked_for(
    verbosity: int, debug: bool, ours: int, jobs: int
) -> None:
    logs.set_up(log_format="plain", verbosity=verbosity, debug=debug)

    assert logging.getLogger("faktory_django").level == ours
    assert logging.getLogger("faktory_django.jobs").getEffectiveLevel() == jobs


@pytest.mark.parametrize(
    ("log_format", "formatter"), [("plain", logs.PlainFormatter), ("json", logs.JsonFormatter)]
)
def test_our_logs_go_to_standard_error_in_the_format_asked_for(
    log_format: str, formatter: type[logging.Formatter]
) -> None:
    logs.set_up(log_format=log_format, verbosity=1, debug=False)

    [handler] = logging.getLogger("faktory_django").handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
    assert type(handler.formatter) is formatter
    assert not logging.getLogger("faktory_django").propagate


def test_a_project_that_has_set_up_our_loggers_keeps_its_own() -> None:
    own = logging.NullHandler()
    logging.getLogger("faktory_django").addHandler(own)

    logs.set_up(log_format="json", verbosity=1, debug=False)

    assert logging.getLogger("faktory_django").handlers == [own]


def running(created: str | None = None) -> CurrentJob:
    """Return what a job knows of itself."""
    return CurrentJob("j" * 24, "a.job", "default", 1, [], {}, {}, 25, 1_800, 0.5, created)


def test_a_jobs_own_logger_names_the_job(caplog: pytest.LogCaptureFixture) -> None:
    token = _current.set(running())

    with caplog.at_level(logging.INFO, "faktory_django.job"):
        current_job().logger.info("found %d", 3, extra={"more": 1})
    _current.reset(token)

    [line] = caplog.records
    facts = (line.__dict__["jid"], line.__dict__["jobtype"], line.__dict__["more"])
    assert line.getMessage() == f"a.job {'j' * 24}: found 3"
    assert facts == ("j" * 24, "a.job", 1)


def test_outside_a_job_there_is_no_current_job() -> None:
    with pytest.raises(RuntimeError, match="no job runs here"):
        current_job()


@pytest.mark.parametrize(
    ("created", "found"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_job_knows_its_times_as_aware_datetimes(
    created: str | None, found: datetime | None
) -> None:
    job = running(created)

    assert job.created_at == found
    assert job.enqueued_at == datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
