"""Servers for the tests of this folder, and workers; the tables are emptied after each test."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.models import Process
from tests.waiting import until
from tests.worker.running import ROOT, Ledger, Worker, command, environment

from .running import Server, make_certificate, start
from .third_party import ThirdParty, client_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_django import DjangoDbBlocker

    Serve = Callable[..., Server]
    Begin = Callable[[list[str], dict[str, str]], Worker]
    Work = Callable[..., Worker]

PASSWORD = "s3cret-and-long"
# A test that is refused on purpose must not lock out the next.
LOGINS = {"SERVER_LOGINS_PER_MINUTE": 10_000}


# Young, and not at rest: between two rounds there is most of a second.
BEGINNING = (
    "backend_start > clock_timestamp() - interval '5 s' "
    "AND (state <> 'idle' OR state_change > clock_timestamp() - interval '0.15 s')"
)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for this machine, beside its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="package")
def serve(
    django_db_setup: None,  # noqa: ARG001
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serve]:
    """Return a function that starts a server; at the end all must stop without a traceback."""
    servers: list[Server] = []

    def begin(*options: str, **keywords: object) -> Server:
        log_file = tmp_path_factory.mktemp("server") / "log"
        servers.append(start(log_file, *options, **keywords))  # type: ignore[arg-type]
        assert servers[-1].port
        alive = [one for one in servers if one.process.poll() is None]
        with django_db_blocker.unblock():  # it may be the first fixture of a test
            until(lambda: upkeeps() >= len(alive), "upkeep has begun")
        return servers[-1]

    yield begin
    running = [server for server in servers if server.process.poll() is None]
    codes = {server.log_file: _stop(server) for server in running}
    assert set(codes.values()) <= {0}, codes
    logs = "\n".join(server.log for server in servers)
    assert not re.search("Traceback|Exception ignored", logs), logs


@pytest.fixture(scope="package")
def server(serve: Serve) -> Server:
    """Return a server without a password."""
    return serve()


@pytest.fixture(scope="package")
def locked(serve: Serve) -> Server:
    """Return a server with a password."""
    return serve(password=PASSWORD, faktory=LOGINS)


@pytest.fixture(scope="package")
def encrypted(serve: Serve, certificate: Path) -> Server:
    """Return a server with a password that speaks TLS."""
    return serve(password=PASSWORD, certificate=certificate, faktory=LOGINS)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return the file that jobs write to."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture(autouse=True)
def all_have_left(transactional_db: None) -> Iterator[None]:  # noqa: ARG001
    """Wait at the end until the servers have forgotten the clients of a test.

    A statement of a server would meet the one that empties the tables; so would the first round
    of upkeep, whose statements are new to the database and hold one table before another.
    """
    yield
    workers = Process.objects.filter(kind=Process.Kind.WIRE, connections__gt=0)
    until(lambda: not workers.exists(), "all workers on the wire have left")
    until(lambda: not upkeeps(BEGINNING), "the first round of upkeep is over")
    # who looks for a deadlock is the one to give way: a later round of upkeep, not the emptying
    with connection.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '60s'")


def upkeeps(condition: str = "true") -> int:
    """Count the sessions of upkeep of which something is so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "  # noqa: S608
            f"AND application_name = 'faktory_server upkeep' AND {condition}"
        )
        found: int = cursor.fetchone()[0]
        return found


@pytest.fixture
def begin(all_have_left: None, tmp_path: Path) -> Iterator[Begin]:  # noqa: ARG001
    """Return a function that starts a program, which ends with the test."""
    programs: list[Worker] = []

    def run(line: list[str], variables: dict[str, str]) -> Worker:
        log_file = tmp_path / f"program-{len(programs)}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                line,
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        programs.append(Worker(process, log_file))
        return programs[-1]

    yield run
    for program in programs:
        program.kill()


@pytest.fixture
def work(begin: Begin) -> Work:
    """Return a function that starts a worker of other people for one queue."""

    def run(client: ThirdParty, server: Server, queue: str = "default") -> Worker:
        return begin(client.arguments("work", queue), client_environment(server))

    return run


@pytest.fixture
def django_worker(begin: Begin) -> Worker:
    """Return a `manage.py faktory_worker` for the queue default, with the database."""
    return begin(command(), environment())


def _stop(server: Server) -> int:
    try:
        return server.stop()
    finally:
        server.kill()
