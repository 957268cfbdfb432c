"""`manage.py faktory_worker`: runs Python jobs."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Final

import environ
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils import autoreload

from faktory_django import logs, settings
from faktory_django.errors import FaktoryError, InvalidOption, InvalidQueueName
from faktory_django.worker import start
from faktory_django.worker.options import WorkerOptions, queue_order

# Set by the reloader for the worker that it starts: its process id.
RELOADER: Final = "FAKTORY_RELOADER_PID"
LOOK_SECONDS: Final = 0.5
EPILOG: Final = """\
Queues, database, concurrency, async concurrency, processes, grace and poll may also come from the
environment (FAKTORY_WORKER_CONCURRENCY=20) or from settings.FAKTORY; the command line wins, then
the environment.

Signals: TERM or INT stops (running jobs get --grace seconds, then go back to their queue),
INT again stops at once, TSTP takes no new jobs, TTIN writes all stacks to the log.

Exit codes: 0 stopped, or a burst is over; 1 it could not start, or its processes keep dying;
2 a wrong option; 130 stopped at once.
"""


class Command(BaseCommand):
    """Read the options, set up the logs, start the worker."""

    help = "Run background jobs."
    stealth_options = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.epilog = EPILOG
        add = parser.add_argument
        add(
            "-q",
            "--queue",
            action="append",
            help="names in strict order, a,b; or a=3,b=1 by weight",
        )
        add("--random", action="store_true", help="look at the queues in random order")
        add("-c", "--concurrency", type=int, help="threads in each process")
        add("--async-concurrency", type=int, help="async jobs at a time in each process")
        add("-p", "--processes", type=int, help="processes")
        add("--database", help="alias of the database that holds the jobs")
        add("--grace", type=float, help="seconds that running jobs get at a stop")
        add("--poll", type=float, help="seconds between looks at idle queues")
        add("--burst", action="store_true", help="end when the queues are empty")
        add("--max-jobs", type=int, help="replace a process after so many jobs")
        add("--max-rss-mb", type=int, help="replace a process that holds more memory")
        add("--label", action="append", help="shown beside the process on the pages")
        add("--log-format", choices=["plain", "json"], default="plain")
        add("--reload", action="store_true", help="start again when code changes (development)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped; exit with the worker's code."""
        from django.conf import settings as project  # noqa: PLC0415, TID251 - DEBUG is not ours

        try:
            told = worker_options(options)
            if options["reload"]:
                if told.burst:
                    raise InvalidOption("--reload never ends, so it does not go with --burst")
                autoreload.run_with_reloader(_run_in_subprocess)
                return
            logs.set_up(
                log_format=options["log_format"],
                verbosity=options["verbosity"],
                debug=project.DEBUG,
            )
            code = start.start(told)
        except (InvalidOption, InvalidQueueName) as wrong:
            raise CommandError(str(wrong), returncode=2) from wrong
        except FaktoryError as wrong:
            raise CommandError(str(wrong)) from wrong
        sys.exit(code)


def worker_options(given: dict[str, Any]) -> WorkerOptions:
    """Return what the command line, the environment and the settings say, in this order.

    Raises InvalidOption or InvalidQueueName, which name the value and the limit.
    """
    ours = settings.get()

    def number(option: str, setting: str, kind: type = int) -> Any:
        value, name = given.get(option), f"--{option.replace('_', '-')}"
        if value is None:
            name = f"FAKTORY_WORKER_{option.upper()}"
            value = _from_environment(name, kind)
        if value is None:
            return getattr(ours, setting)
        return settings.check_value(setting, value, name_shown=name)

    specs = given.get("queue") or _from_environment("FAKTORY_WORKER_QUEUE", list) or ours.queues
    return WorkerOptions(
        database=_database(given.get("database"), ours.database),
        queues=queue_order(specs, shuffle=given.get("random", False)),
        concurrency=number("concurrency", "concurrency"),
        async_concurrency=number("async_concurrency", "async_concurrency"),
        processes=number("processes", "processes"),
        grace_seconds=number("grace", "grace_seconds", float),
        poll_seconds=number("poll", "poll_seconds", float),
        beat_seconds=ours.beat_seconds,
        max_claim=ours.max_claim,
        burst=given.get("burst", False),
        max_jobs=_at_least_one(given.get("max_jobs"), "--max-jobs"),
        max_rss_mb=_at_least_one(given.get("max_rss_mb"), "--max-rss-mb"),
        labels=tuple(given.get("label") or ("python",)),
        reloader=_from_environment(RELOADER, int),
    )


def _from_environment(name: str, kind: type) -> Any:
    """Return a value of the environment, None when it is missing or blank."""
    if not environ.Env().str(name, "").strip():
        return None
    try:
        return environ.Env().get_value(name, cast=kind, default=None)
    except ValueError:
        given = environ.Env().str(name)
        raise InvalidOption(f"{name} must be {kind.__name__}, got {given!r}") from None


def _database(given: str | None, setting: str) -> str:
    alias, name = given, "--database"
    if alias is None:
        name = "FAKTORY_WORKER_DATABASE"
        alias = _from_environment(name, str)
    if alias is None:
        return setting  # a check has looked at it
    if alias not in connections:
        known = ", ".join(connections)
        raise InvalidOption(f"{name} must be an alias in DATABASES ({known}), got {alias!r}")
    found: str = alias
    return found


def _at_least_one(value: int | None, name: str) -> int | None:
    if value is not None and value < 1:
        raise InvalidOption(f"{name} must be at least 1, got {value}")
    return value


def _run_in_subprocess() -> None:
    """Run the worker beside the reloader, which takes this process down to start again."""
    # The reloader watches what this process has imported.
    apps.get_app_config("faktory_django").discover_jobs()  # type: ignore[attr-defined]
    command = autoreload.get_child_arguments()
    command.remove("--reload")
    environment = {**os.environ, RELOADER: str(os.getpid())}
    worker = subprocess.Popen(command, env=environment)  # noqa: S603 - our own command line

    def stop() -> None:
        worker.send_signal(signal.SIGTERM)
        worker.wait()

    atexit.register(stop)
    # Django's reloader is two processes; the first may be killed alone.
    first, never = os.getppid(), threading.Event()
    while os.getppid() == first:
        never.wait(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
