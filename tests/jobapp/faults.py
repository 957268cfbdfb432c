"""Jobs that misbehave, each in its own way; jobs.py imports them for the worker to find."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone, translation

from faktory_django import current_job, job
from tests.jobapp.jobs import note

kept: list[bytes] = []


class Unprintable(Exception):
    """An error whose str() raises."""

    def __str__(self) -> str:
        raise KeyError


class OwnBase(BaseException):
    """An error that is no Exception."""


RAISED: dict[str, Any] = {
    "exit": SystemExit(1),
    "interrupt": KeyboardInterrupt(),
    "memory": MemoryError(),
    "unprintable": Unprintable(),
    "base": OwnBase("own"),
    "cancelled": asyncio.CancelledError(),
    "generator": GeneratorExit(),
    "stop": StopIteration(),
    "group": BaseExceptionGroup("many", [SystemExit(1), ValueError("a")]),
}


def deeper(level: int) -> int:
    """Recurse without end."""
    return deeper(level + 1)


@job
def explode(what: str) -> None:
    """Raise what no job should."""
    if what == "recursion":
        deeper(0)
    raise RAISED[what]


@job
async def explode_async(what: str) -> None:
    """Raise what no job should, on the event loop."""
    if what == "recursion":
        deeper(0)
    if what == "cancels itself":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
    raise RAISED[what]


@job(timeout_seconds=0.5)
def loop_for_ever() -> None:
    """Never end, in Python."""
    while True:
        pass


@job(timeout_seconds=0.5)
def swallow_timeouts() -> None:
    """Never end, whatever Exception is raised."""
    while True:
        with suppress(Exception):
            time.sleep(0.01)


@job(timeout_seconds=0.5)
def block_in_c(path: str) -> None:
    """Never end, where Python raises nothing."""
    note(path, f"blocked {os.getpid()}")
    time.sleep(3_600)


@job(timeout_seconds=0.5)
def hold_the_interpreter(path: str) -> None:
    """Never end, and let no other thread of the process run."""
    note(path, f"held {os.getpid()}")
    ctypes.PyDLL(None).sleep(3_600)


@job(timeout_seconds=0.5)
async def sleep_async() -> None:
    """Take too long where it can be cancelled."""
    await asyncio.sleep(3_600)


@job(timeout_seconds=0.5)
async def ignore_cancellation(path: str) -> None:
    """Never end, however often it is cancelled."""
    note(path, f"ignoring {os.getpid()}")
    while True:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            note(path, "ignored")


@job
def pid(path: str, seconds: float = 0) -> None:
    """Write the process that runs it."""
    note(path, f"pid {os.getpid()}")
    time.sleep(seconds)


@job
def hold(path: str, text: str) -> None:
    """Take until somebody opens the gate, a file beside the ledger."""
    note(path, f"start {text}")
    while not Path(f"{path}.gate").exists():
        time.sleep(0.01)
    note(path, f"end {text}")


@job
async def hold_async(path: str, text: str) -> None:
    """Take until somebody opens the gate, on the event loop."""
    note(path, f"start {text}")
    while not Path(f"{path}.gate").exists():
        await asyncio.sleep(0.01)
    note(path, f"end {text}")


@job(backoff=lambda _: 0.3)
def fail_once(path: str) -> None:
    """Fail the first attempt."""
    note(path, f"attempt {current_job().attempt}")
    if current_job().attempt == 1:
        raise ValueError("once")


class Shouting:
    """A job in the manner of Sidekiq."""

    def perform(self, path: str, *, text: str) -> None:
        """Write the text in capitals."""
        note(path, text.upper())


Shout: Any = job(Shouting)


@job
def grow(path: str, megabytes: int) -> None:
    """Keep memory for good."""
    kept.append(os.urandom(1) * (megabytes * 1_048_576))
    note(path, f"pid {os.getpid()}")


def leak_transaction() -> None:
    """Leave a transaction open."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1")


def leak_atomic() -> None:
    """Leave an atomic block open."""
    transaction.atomic().__enter__()


def leak_role() -> None:
    """Be somebody else."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE pg_monitor")


def leak_search_path() -> None:
    """Look elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute("SET search_path TO pg_catalog; SET TIME ZONE 'Asia/Tokyo'")


def leak_autocommit() -> None:
    """Turn autocommit off."""
    transaction.set_autocommit(False)
    Group.objects.count()


def leak_closed() -> None:
    """Close the connection beneath Django."""
    Group.objects.count()
    connection.connection.close()


def leak_killed() -> None:
    """Lose the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def leak_locale() -> None:
    """Change language and time zone."""
    translation.activate("de")
    timezone.activate("Asia/Tokyo")


LEAKS = {
    "transaction": leak_transaction,
    "atomic": leak_atomic,
    "role": leak_role,
    "search_path": leak_search_path,
    "autocommit": leak_autocommit,
    "closed": leak_closed,
    "killed": leak_killed,
    "locale": leak_locale,
}


@job(retry=0)
def leak(what: str) -> None:
    """Leave the thread's connection, or its language, in another state."""
    LEAKS[what]()


@job
def look_around(path: str) -> None:
    """Write what a job finds of its connection, language and time zone."""
    before = (connection.in_atomic_block, connection.autocommit or connection.connection is None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user = session_user, current_setting('search_path'), "
            "current_setting('TimeZone'), pg_backend_pid()"
        )
        same_user, search_path, zone, backend = cursor.fetchone()
    state = connection.connection.info.transaction_status.name
    here = (translation.get_language(), timezone.get_current_timezone_name())
    note(path, f"{before} {same_user} {search_path} {zone} {state} {here}|{backend}")


@job(atomic=True)
def transfer(name: str, seconds: float) -> None:
    """Write a row in two steps, and push a job, all or nothing."""
    group = Group.objects.create(name=f"{name} unfinished")
    time.sleep(seconds)
    group.name = name
    group.save()
    follow.perform_async(name)


@job(queue="follow")
def follow(name: str) -> None:
    """Be pushed by transfer."""


@job
async def query_async(path: str, text: str, seconds: float) -> None:
    """Run a slow query through the ORM's way for async code."""

    def query() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), pg_sleep(%s)", [seconds])
            backend: int = cursor.fetchone()[0]
            return backend

    note(path, f"start {text}")
    backend = await sync_to_async(query)()
    note(path, f"end {text} {backend} {current_job().attempt}")
