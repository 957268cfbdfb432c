"""`manage.py demo`: a database, the site, a worker, a wire server and jobs to look at."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import environ
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from example_project.pages.jobs import fetch_url
from example_project.pages.models import Page
from example_project.postgres import EmbeddedPostgres, PostgresUnavailable, kept_data_dir
from example_project.settings import BASE_DIR
from example_project.tour.jobs import knock, print_book, slow_report
from faktory_django.models import Job, RetryJob, ScheduledJob

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
NO_SUCH_PAGE: Final = "http://no-such-host.invalid/"
# For all that is waited for together; what has to end then takes some seconds more.
DEADLINE_SECONDS: Final = 50.0
STOP_SECONDS: Final = 40.0


class Command(BaseCommand):
    """Starts the parts as processes of their own and ends them."""

    help = "Show the whole: database, site, worker, wire server, and jobs to look at."
    requires_system_checks: Any = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="end when both jobs have run")
        parser.add_argument("--port", type=int, default=8000, help="of the site on 127.0.0.1")
        parser.add_argument("--wire-port", type=int, default=7419, help="of the wire server")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, push, wait, end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        try:
            with ExitStack() as stack:
                ports = (_free_port(options["port"]), _free_port(options["wire_port"]))
                self._run(stack, once=options["once"], ports=ports)
        except PostgresUnavailable as wrong:
            raise CommandError(str(wrong)) from wrong
        except OperationalError as wrong:
            said = " ".join(str(wrong).split())
            raise CommandError(f"the database does not answer: {said}") from wrong
        except KeyboardInterrupt:
            self.stdout.write("\nEnded.")

    def _run(self, stack: ExitStack, *, once: bool, ports: tuple[int, int]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        self._prepare_database(stack)
        (address, wire), site = [f"{HOST}:{port}" for port in ports], f"http://{HOST}:{ports[0]}"
        os.environ["DEMO_SITE"] = site  # for the cron entry of the settings
        parts = (
            _start(stack, "runserver", address, "--noreload", stdout=subprocess.DEVNULL),
            _start(stack, "faktory_worker", "--grace", "5"),
            _start(stack, "faktory_server", "--bind", wire),
        )
        _wait(lambda: _answers(site), "the site", deadline, *parts)
        _wait(lambda: _serves(wire), "the wire server", deadline, *parts)
        good = fetch_url.perform_async(f"{site}/hello/")
        bad = fetch_url.perform_in(2, NO_SUCH_PAGE)
        if not once:
            slow_report.perform_async()
            print_book()
            knock.perform_bulk([(number,) for number in range(120)])
            self._say_what_to_try(site, wire, *parts)
            return
        _wait(lambda: _is_done(good.jid), "the first job", deadline, *parts)
        _wait(lambda: _retry(bad.jid) is not None, "the second job's retry", deadline, *parts)
        self._show(good.jid, bad.jid)

    def _prepare_database(self, stack: ExitStack) -> None:
        if "DATABASE_URL" not in os.environ:
            server = EmbeddedPostgres(data_dir=kept_data_dir(BASE_DIR))
            stack.enter_context(server)
            os.environ["DATABASE_URL"] = server.url
            connections.settings["default"].update(environ.Env.db_url_config(server.url))
        stack.callback(connections.close_all)
        if connections["default"].vendor != "postgresql":
            vendor = connections["default"].vendor
            raise CommandError(f"DATABASE_URL must name a PostgreSQL server, it is {vendor}")
        call_command("migrate", verbosity=0)
        version = connections["default"].cursor().connection.info.server_version // 10_000
        self.stdout.write(f"PostgreSQL {version} is ready.")
        users = get_user_model().objects
        if not users.filter(username="demo").exists():
            users.create_superuser("demo", "demo@example.com", "demo")

    def _say_what_to_try(self, site: str, wire: str, *processes: subprocess.Popen[bytes]) -> None:
        self.stdout.write(
            f"""
The site:  {site}/          push a job, see what was fetched
Dashboard: {site}/faktory/  as demo, password demo: queues, jobs, retries, workers
Cron:      {site}/faktory/cron/  an entry that fetches {site}/hello/ every minute
The admin: {site}/admin/    the same rows, list by list
The wire:  FAKTORY_URL=tcp://{wire}  for clients and workers of Faktory in any language;
           example_project/polyglot/ has one in Node

Jobs were pushed: one fetches {site}/hello/ at once; the other is scheduled
2 s ahead, asks {NO_SUCH_PAGE}, fails, and waits in the retries.
A third one takes two minutes and says how far it is: {site}/faktory/busy/
A batch of batches prints a book, of each chapter a page at a time: {site}/faktory/batches/
120 jobs wait in a queue of which two run at a time: {site}/faktory/throttles/
Ctrl-C ends everything.
"""
        )
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        raise CommandError("a part of the demo has ended; its output above says why")

    def _show(self, good: str, bad: str) -> None:
        page, retry = Page.objects.get(jid=good), _retry(bad)
        if retry is None:
            raise CommandError(f"job {bad} has left the retries")
        failure = retry.failure_hash
        rows = [
            ("jid", "state", "at", "next attempt", "what"),
            (good, "done", _clock(page.fetched_at), "-", f"{page.status} {page.title}"),
            (
                bad,
                "retries",
                failure["failed_at"][11:19],
                _clock(retry.due_at),
                f"{failure['errtype']}: {failure['message']}",
            ),
        ]
        self.stdout.write("")
        for row in rows:
            self.stdout.write(f"{row[0]:26}{row[1]:9}{row[2]:10}{row[3]:14}{row[4]}")


def _start(stack: ExitStack, *command: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start a command of manage.py that ends with the stack."""
    process = subprocess.Popen(  # noqa: S603 - our own commands
        [sys.executable, sys.argv[0], *command], stdout=stdout
    )
    stack.callback(_stop, process)
    # told all at once, then waited for one by one
    stack.callback(process.terminate)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(
    condition: Callable[[], bool], what: str, deadline: float, *processes: subprocess.Popen[bytes]
) -> None:
    while not condition():
        if ended := next((p for p in processes if p.poll() is not None), None):
            raise CommandError(f"waiting for {what}: {ended.args!r} ended with {ended.returncode}")
        if time.monotonic() > deadline:
            raise CommandError(f"after {DEADLINE_SECONDS:.0f} s the demo still waits for {what}")
        time.sleep(0.1)


def _answers(site: str) -> bool:
    try:
        with urllib.request.urlopen(f"{site}/hello/", timeout=5):  # noqa: S310 - our own site
            return True
    except (urllib.error.URLError, OSError):
        return False


def _serves(address: str) -> bool:
    try:
        call_command("faktory_server", "--bind", address, "--self-check", stdout=StringIO())
    except CommandError:
        return False
    return True


def _is_done(jid: str) -> bool:
    return Page.objects.filter(jid=jid).exists() and not any(
        model.objects.filter(jid=jid).exists() for model in (Job, ScheduledJob, RetryJob)
    )


def _retry(jid: str) -> RetryJob | None:
    return RetryJob.objects.filter(jid=jid).first()


def _free_port(wanted: int) -> int:
    """Return wanted when it is free, else another one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError(f"no free port on {HOST}")


def _clock(moment: Any) -> str:
    return f"{moment:%H:%M:%S}"


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
