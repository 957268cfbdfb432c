"""What the tests push, and what they look at afterwards."""

from __future__ import annotations

import itertools
import json
from typing import Any

from django.db import connection

from faktory_django import payload
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.fail import Failing
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.push import Push, push
from faktory_django.lifecycle.retry import Error, judge

TABLES = (
    *("job", "ready", "level", "lease", "scheduledjob", "retryjob", "deadjob"),
    *("queue", "process", "waiter", "counter", "counterdelta", "operation", "auditentry", "track"),
    *("crontick", "cronentry", "crondeclaration", "uniquelock", "cancel", "cursor"),
    *("throttle", "limitedjob", "limitslot", "rateuse"),
    *("batch", "batchdelta", "batchfailure", "batchresult"),
)
PARTITIONED = ("finishedjob", "attempt", "logline")
_numbers = itertools.count()


def sql(statement: str, **params: Any) -> list[tuple[Any, ...]]:
    """Run one statement on this thread's connection."""
    return execute(connection, statement, params)


def empty_tables() -> None:
    """Delete all that tests have left."""
    for table in (*TABLES, *PARTITIONED):
        sql(f"DELETE FROM faktory_django_{table}")  # noqa: S608 - names of our own


def a_push(jid: str | None = None, *, jobtype: str = "noop", **options: Any) -> Push:
    """Return a push of a job with a jid of its own."""
    jid = jid or f"jid-{next(_numbers)}"
    retry = options.pop("retry", payload.RETRY)
    queue = options.setdefault("queue", "default")
    body = options.pop("body", None)
    body = body or payload.canonical(jobtype, jid, "[]", queue=queue, retry=retry)
    return Push(jid=jid, jobtype=jobtype, body=body, **options)


def push_one(jid: str | None = None, **options: Any) -> str:
    """Push one job; return its jid."""
    pushed = a_push(jid, **options)
    push([pushed])
    return pushed.jid


def push_many(count: int, **options: Any) -> list[str]:
    """Push that many jobs at once; return their jids."""
    pushes = [a_push(**options) for _ in range(count)]
    push(pushes)
    return [p.jid for p in pushes]


def jid_of(job: Claimed) -> str:
    """Return the jid that the job's body names."""
    return payload.parse(job.body).jid


def claim(wanted: int = 100, *queues: str, wid: str = "w", each: bool = False) -> list[Claimed]:
    """Claim jobs with a consumer that has seen nothing yet; each as a client of the wire."""
    consumer, names = Consumer(wid), queues or ["default"]
    if each:
        return consumer.turn_each(connection, names, [wid] * wanted).jobs
    return consumer.turn(connection, names, wanted).jobs


def claimed_jids(wanted: int = 100, *queues: str) -> list[str]:
    """Claim jobs; return their jids in order."""
    return [jid_of(job) for job in claim(wanted, *queues)]


def ack_of(*jobs: Claimed, ends: bool = False) -> LeaseAck:
    """Return the ack of jobs of one lease, with their counts."""
    ack = LeaseAck(jobs[0].lease, ends, [job.id for job in jobs])
    for job in jobs:
        key = job.queue, payload.parse(job.body).jobtype
        ack.tallies.setdefault(key, Tally()).add(0.002, 0.02)
    return ack


def end(*acks: LeaseAck) -> list[LeaseAck]:
    """Ack; return the acks that were lost."""
    return Consumer("w").turn(connection, [], 0, acks).lost


def failing(job: Claimed, *, retry: int | None = None, kill: bool = False) -> Failing:
    """Return what becomes of a job that raised ValueError("no")."""
    retry = payload.retry_of(job.body) if retry is None else retry
    verdict = judge(retry, job.failure, Error.cut("ValueError", "no", ["line 1"]), kill=kill)
    return Failing(job.id, job.lease, verdict)


def count(table: str) -> int:
    """Return how many rows a table has."""
    return int(sql(f"SELECT count(*) FROM faktory_django_{table}")[0][0])  # noqa: S608


def counts(*tables: str) -> tuple[int, ...]:
    """Return how many rows some tables have."""
    return tuple(count(table) for table in tables)


def column(table: str, expression: str = "jid", order: str = "id") -> list[Any]:
    """Return one column of a table, in order."""
    rows = sql(f"SELECT {expression} FROM faktory_django_{table} ORDER BY {order}")  # noqa: S608
    return [row[0] for row in rows]


def failure_in(table: str) -> dict[str, Any]:
    """Return the failure of the only job in a table."""
    (text,) = column(table, "failure")
    found: dict[str, Any] = json.loads(text)
    return found


def move_back(table: str, column_name: str, seconds: float) -> None:
    """Let time pass for the rows of a table."""
    sql(
        f"UPDATE faktory_django_{table}"  # noqa: S608
        f" SET {column_name} = {column_name} - %(seconds)s * interval '1 s'",
        seconds=seconds,
    )
