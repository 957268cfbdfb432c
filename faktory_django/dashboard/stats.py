"""Stats: /stats for monitoring and /health for load balancers, both read once a second at most."""

from __future__ import annotations

import os
import time
from datetime import UTC
from typing import TYPE_CHECKING, Final, NamedTuple

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse

from faktory_django import settings
from faktory_django.errors import DatabaseNotReady
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.info import Info, info
from faktory_django.maintenance import Maintenance
from faktory_django.processes import rss_kb
from faktory_django.report import PROTOCOL_VERSION, report

from . import access
from .kept import Kept
from .page import TIMEOUT_MS, page, secured

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest

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
        "description": settings.get().server_description,
        "faktory_version": PROTOCOL_VERSION,
        "connections": pulse.connections,
        "command_count": 0,
    }
    now = pulse.now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return secured(JsonResponse({"now": now, "server": server}))


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
