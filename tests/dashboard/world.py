"""A busy day: jobs in every place, workers of several languages, months of history.

What the pages are looked at with, in tests, in the browser and for pictures. It is the same every
time but for the time: all of it is relative to the database's clock.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db import connection

from faktory_django.features.history import OUTCOMES
from faktory_django.lifecycle import batch, cron_entries, operations, queues, track
from faktory_django.lifecycle.matching import Source
from faktory_django.lifecycle.push import Push, push
from faktory_django.lifecycle.stats import fold
from faktory_django.lifecycle.track import Report
from faktory_django.models import (
    Attempt,
    AuditEntry,
    CronEntry,
    CronTick,
    FinishedJob,
    LogLine,
    Operation,
    UniqueLock,
)

from . import history, workers

if TYPE_CHECKING:
    from collections.abc import Iterable

QUEUES: Final = ("critical", "default", "mail", "reports", "node")
TYPES: Final[dict[str, tuple[str, list[Any]]]] = {
    "shop.jobs.charge_card": ("critical", [4711, {"token": "tok_live_4242", "amount": "19.90"}]),
    "shop.jobs.send_mail": ("mail", ["ada@example.org", "Your order has been shipped"]),
    "shop.jobs.resize_image": ("default", ["uploads/2026/11/cat.jpg", [320, 640, 1280]]),
    "shop.jobs.monthly_report": ("reports", [{"year": 2026, "month": 11, "format": "pdf"}]),
    "FetchURL": ("node", ["https://notexist.example/", {"follow": True, "password": "hunter2"}]),
}
TRACEBACK: Final = [
    'File "/srv/shop/jobs.py", line 41, in charge_card',
    "    gateway.charge(card, amount)",
    'File "/srv/shop/gateway.py", line 112, in charge',
    "    response = self._session.post(self.url, json=body, timeout=10)",
    'File "/usr/lib/python3.13/socket.py", line 978, in getaddrinfo',
    "    for res in _socket.getaddrinfo(host, port, family, type, proto, flags):",
]
ERRORS: Final = (
    ("socket.gaierror", "[Errno -2] Name or service not known"),
    ("shop.gateway.CardDeclined", "The card of order 4711 was declined: insufficient funds"),
    ("TimeoutError", "The read operation timed out after 10 s"),
    ("TypeError", "Cannot read properties of undefined (reading 'url')"),
)
PERIODIC: Final = (
    ("hourly sums", "shop.jobs.monthly_report", "@hourly", "UTC"),
    ("mail the night's orders", "shop.jobs.send_mail", "30 4 * * 1-5", "Asia/Tokyo"),
    ("fetch exchange rates", "FetchURL", "*/5 9-17 * * *", "Europe/Berlin"),
)
# What people did: the act, to what, to which, to how many.
DEEDS: Final = (
    ("pause", "queue", "mail", 1),
    ("requeue", "retries", "", 14),
    ("discard", "dead", "0f3c9a6be1d24c5870aa91be", 1),
    ("stop", "process", "py-web-1-4711", 1),
    ("discard", "waiting", "reports", 2_381),
    ("kill", "scheduled", "", 3),
)

BID: Final = "b-K3dQ9xTzW0aLmE"
_SOME_DONE: Final = """
UPDATE faktory_django_batch
SET committed_at = created_at, opens = 0, total = 480, executed = 350,
    done = 312, failed = 9, discarded = 2,
    created_at = created_at - interval '40 minutes'
WHERE bid = %s
"""
_SET: Final = """
INSERT INTO faktory_django_{table} (queue, priority, jid, jobtype, reserve_for, body, failure,
    enqueued_at, {at})
VALUES (%s, %s, %s, %s, 1800, %s, %s, clock_timestamp() - interval '2 hours',
    clock_timestamp() + %s * interval '1 second')
"""


@dataclass(frozen=True)
class World:
    """The jids of one job in each place, the wid of a worker, the key of an operation."""

    waiting: str
    running: str
    scheduled: str
    retry: str
    dead: str
    wid: str
    operation: int
    finished: str


def jid(place: str, number: int) -> str:
    """Return a jid that is the same in every run."""
    return hashlib.sha256(f"{place} {number}".encode()).hexdigest()[:24]


def ago(**times: float) -> str:
    """Return an instant in the past as jobs carry it."""
    then = datetime.now(tz=UTC) - timedelta(**times)
    return then.isoformat(timespec="microseconds").replace("+00:00", "Z")


def failure(number: int) -> str:
    """Return a failure as the wire keeps it."""
    errtype, message = ERRORS[number % len(ERRORS)]
    return json.dumps(
        {
            "failed_at": ago(hours=1, minutes=7 * number),
            "retry_count": number % 4,
            "message": message,
            "errtype": errtype,
            "backtrace": TRACEBACK,
        }
    )


def build() -> World:
    """Fill the database; return whom to look for."""
    queues.declare(QUEUES)
    _push_waiting()
    wid = workers.start()
    track.report(connection, [Report(jid("waiting", 0), 62, "page 310 of 500")])
    fill_set("scheduledjob", "scheduled", 40, (60 + i * 97 for i in range(40)))
    fill_set("retryjob", "retry", 30, (15 + i * 61 for i in range(30)), failed=True)
    fill_set("deadjob", "dead", 24, (-i * 7_000 for i in range(24)), failed=True)
    queues.pause("mail")
    _end()
    _tick()
    _lock()
    _make_batches()
    history.write(TYPES)
    fold(connection)
    return World(
        waiting=jid("waiting", 60),
        running=jid("waiting", 0),
        scheduled=jid("scheduled", 0),
        retry=jid("retry", 0),
        dead=jid("dead", 0),
        wid=wid,
        operation=_act(),
        finished=jid("finished", 0),
    )


def _push_waiting() -> None:
    found = []
    for i in range(120):
        jobtype, (queue, args) = _kind(i)
        priority = 5 if i % 17 == 0 else 0
        body = _body(jid("waiting", i), jobtype, queue, args)
        found.append(Push(queue, jid("waiting", i), jobtype, body, priority=priority))
    push(found)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE faktory_django_job SET enqueued_at = enqueued_at - id % 50 * interval '50 s'"
        )


def fill_set(
    table: str, place: str, size: int, seconds: Iterable[int], *, failed: bool = False
) -> None:
    """Put jobs into a set, each due or dead so many seconds from the present."""
    at = "died_at" if table == "deadjob" else "due_at"
    rows = [_row(place, i, at, failed=failed) for i, at in zip(range(size), seconds, strict=True)]
    with connection.cursor() as cursor:
        cursor.executemany(_SET.format(table=table, at=at), rows)


def _row(place: str, i: int, at: int, *, failed: bool) -> list[Any]:
    jobtype, (queue, args) = _kind(i)
    name = jid(place, i)
    body = _body(name, jobtype, queue, args)
    return [queue, 0, name, jobtype, body, failure(i) if failed else None, at]


def _body(name: str, jobtype: str, queue: str, args: list[Any]) -> str:
    found = {"created_at": ago(hours=2), "jid": name, "jobtype": jobtype, "queue": queue}
    return json.dumps({**found, "retry": 25, "args": args}, separators=(",", ":"))


def _end() -> None:
    """Let jobs have ended in all ways, after failures; some have said something."""
    now = datetime.now(tz=UTC)
    jobs: list[FinishedJob] = []
    attempts: list[Attempt] = []
    lines: list[LogLine] = []
    for i in range(60):
        jobtype, (queue, args) = _kind(i)
        about = {"bucket": 20991231, "jid": jid("finished", i), "jobtype": jobtype, "queue": queue}
        ended = now - timedelta(minutes=3 + 11 * i)
        outcome = OUTCOMES[i % len(OUTCOMES)] if i % 5 == 4 else "done"
        errtype, message = ERRORS[i % len(ERRORS)]
        runs = 3 if i % 4 == 0 else 1
        finished = FinishedJob(
            **about,
            outcome=outcome,
            pushed=ago(hours=13),
            enqueued_at=ended - timedelta(seconds=9),
            started_at=ended - timedelta(seconds=4),
            finished_at=ended,
            run_seconds=4 / (1 + i),
            attempts=runs,
            wid="py-web-1-4711",
            body=_body(jid("finished", i), jobtype, queue, args) if i % 2 == 0 else None,
            result='{"rows":310,"token":"tok_live_4242"}' if outcome == "done" else None,
            failure=None
            if outcome == "done"
            else json.dumps({"errtype": errtype, "message": message}),
        )
        jobs.append(finished)
        for number in range(1, runs):
            attempt = Attempt(
                **about,
                at=ended - timedelta(minutes=5 * (runs - number)),
                number=number,
                fate="retry",
                errtype=errtype,
                message=message,
                backtrace="\n".join(TRACEBACK),
                run_seconds=0.3,
                wid="py-web-1-4711",
            )
            attempts.append(attempt)
        for number, text in enumerate(("begun", "page 310 of 500", "the password is hunter2")):
            at = ended - timedelta(seconds=3 - number)
            lines.append(LogLine(**about, at=at, number=runs, text=text))
    FinishedJob.objects.bulk_create(jobs)
    Attempt.objects.bulk_create(attempts)
    LogLine.objects.bulk_create(lines)


def _make_batches() -> None:
    follows = _callback("shop.jobs.monthly_report")
    batch.make(
        connection,
        BID,
        description="Import of the catalogue",
        callbacks={"success": follows, "complete": _callback("shop.jobs.send_mail")},
    )
    batch.make(connection, "b-child000000001", description="Images", parent=BID)
    with connection.cursor() as cursor:
        cursor.execute(_SOME_DONE, [BID])


def _callback(jobtype: str) -> dict[str, Any]:
    name, queue = f"callback-{jobtype}", TYPES[jobtype][0]
    body = _body(name, jobtype, queue, [])
    facts = {"queue": queue, "priority": 0, "jid": name, "jobtype": jobtype}
    return facts | {"reserve_for": 1_800, "body": body, "traits": {"callback": BID}}


def _tick() -> None:
    """Let periodic jobs have run: some are done, one waits for its next attempt, one is dead."""
    for number, (name, jobtype, schedule, zone) in enumerate(PERIODIC):
        entry = CronEntry(name=name, jobtype=jobtype, schedule=schedule, zone=zone)
        cron_entries.save(entry)
        for past in range(8 if number < 2 else 3):
            latest = past == 0
            place = "retry" if latest and number == 0 else "dead"
            name = jid(place, 0) if latest and number < 2 else jid(f"tick{number}", past)
            at = datetime.now(tz=UTC) - timedelta(minutes=5 + past * 60)
            CronTick.objects.create(entry=entry, tick_at=at, jid=name)
    CronEntry.objects.filter(name=PERIODIC[-1][0]).update(paused=True)


def _lock() -> None:
    """Let jobs hold unique locks, one of them for longer than its time."""
    at = datetime.now(tz=UTC)
    for number, (place, minutes) in enumerate((("scheduled", 90), ("retry", 12), ("dead", -5))):
        jobtype, (queue, _args) = _kind(number)
        UniqueLock.objects.create(
            key=f"{number:032x}",
            jid=jid(place, number),
            queue=queue,
            jobtype=jobtype,
            until=("start", "success")[number % 2],
            taken_at=at - timedelta(minutes=30),
            expires_at=at + timedelta(minutes=minutes),
        )


def _act() -> int:
    """Let people have done things; return the key of what one of them has only begun."""
    for number, (act, target, what, count) in enumerate(DEEDS):
        user = ("ada", "grace")[number % 2]
        at = datetime.now(tz=UTC) - timedelta(minutes=37 * (len(DEEDS) - number))
        AuditEntry.objects.create(at=at, user=user, act=act, target=target, what=what, count=count)
    source = Source("dead", "", None)
    begun = operations.begin(
        connection, source, "type:FetchURL", act="requeue", user="ada", total=48_000
    )
    Operation.objects.filter(pk=begun.pk).update(looked=17_000)
    AuditEntry.objects.filter(pk=begun.audit_id).update(count=1_280)
    return begun.pk


def _kind(i: int) -> tuple[str, tuple[str, list[Any]]]:
    return list(TYPES.items())[i % len(TYPES)]
