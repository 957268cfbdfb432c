"""Stats: /stats for monitoring and /health for load balancers, both read once a second at most."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, NoReturn, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse

from faktory_django.errors import DatabaseNotReady
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.info import Info, info
from faktory_django.maintenance import Maintenance
from faktory_django.processes import rss_kb
from faktory_django.report import DESCRIPTION, PROTOCOL_VERSION, report

from . import access
from .page import TIMEOUT_MS, page, secured

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.http import HttpRequest

T = TypeVar("T")

KEPT_SECONDS: Final = 1.0
METHODS: Final = ("GET", "HEAD")
PULSE: Final = """
SELECT set_config('statement_timeout', %(timeout)s, true), clock_timestamp(),
    (SELECT coalesce(sum(p.connections), 0)::bigint FROM faktory_django_process p)
"""
STARTED: Final = time.monotonic()


class Pulse(NamedTuple):
    """That the database answers, its time, and the connections of all wire clients."""

    now: datetime
    connections: int


class Kept(Generic[T]):
    """A value that is read anew after a second, by one thread while the others wait for it.

    An error of the database is kept as long: who waits for a database that does not answer
    would otherwise ask it one after the other.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._outcome: Callable[[], T] | None = None
        self._read_at = 0.0

    def get(self) -> T:
        """Return it, a second old at most. Raises what reading has raised."""
        with self._lock:
            if self._outcome is None or time.monotonic() - self._read_at >= KEPT_SECONDS:
                self._outcome = self._read_now()
                self._read_at = time.monotonic()
            outcome = self._outcome
        return outcome()

    def forget(self) -> None:
        """Read it anew the next time."""
        with self._lock:
            self._outcome = None

    def _read_now(self) -> Callable[[], T]:
        try:
            value = self._read()
        except (DatabaseError, DatabaseNotReady) as wrong:
            return partial(_raise, wrong)
        return lambda: value


@page(login=False)
def stats(request: HttpRequest) -> HttpResponse:
    """Return what INFO says on the wire (protocol section 4.7), as JSON."""
    found, pulse = INFO.get(), PULSES.get()
    names = access.opened(request, found.queues, "view")
    body = report(
        found._replace(queues={name: found.queues[name] for name in names}),
        Maintenance(),
        now=pulse.now,
        uptime_seconds=time.monotonic() - STARTED,
        connections=pulse.connections,
        commands=0,
        used_memory_mb=rss_kb(os.getpid()) // 1_024,
    )
    return HttpResponse(body, content_type="application/json")


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Return 200 while the database answers, else 503; anybody may ask."""
    if request.method not in METHODS:
        return secured(HttpResponseNotAllowed(METHODS))
    try:
        pulse = PULSES.get()
    except (DatabaseError, DatabaseNotReady):
        return secured(JsonResponse({"error": "the database does not answer"}, status=503))
    server = {
        "description": DESCRIPTION,
        "faktory_version": PROTOCOL_VERSION,
        "connections": pulse.connections,
        "command_count": 0,
    }
    now = pulse.now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return secured(JsonResponse({"now": now, "server": server}))


def _raise(wrong: Exception) -> NoReturn:
    raise wrong


def _pulse() -> Pulse:
    connection = database(None)
    with transaction.atomic(using=connection.alias):
        row = execute(connection, PULSE, {"timeout": str(TIMEOUT_MS)})[0]
        transaction.set_rollback(True, using=connection.alias)
    return Pulse(row[1], int(row[2]))


def _info() -> Info:
    return info(database(None))


PULSES: Final = Kept(_pulse)
INFO: Final = Kept(_info)
