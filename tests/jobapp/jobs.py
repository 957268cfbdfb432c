"""Jobs for the tests; those with effects write a line to the file that they are given."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faktory_django import (
    Discard,
    JobCancelled,
    JobTimeout,
    Kill,
    ReservationLost,
    Retry,
    Snooze,
    current_job,
    iterate,
    job,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def note(path: str, text: str) -> None:
    """Append one line in one write: the ledger of a test, outside the database."""
    with Path(path).open("a", encoding="utf-8") as ledger:
        ledger.write(f"{text}\n")


@job
def noop(*args: Any) -> None:
    """Do nothing."""


@job
def record(path: str, text: str) -> None:
    """Write text to the ledger."""
    note(path, text)


@job(atomic=True)
def record_atomic(path: str, text: str) -> None:
    """Write text to the ledger, in the transaction that ends the job."""
    note(path, text)


@job
def record_sleep(path: str, text: str, seconds: float) -> None:
    """Write when it starts and when it ends."""
    note(path, f"start {text}")
    time.sleep(seconds)
    note(path, f"end {text}")


@job
async def record_async(path: str, text: str, seconds: float = 0) -> None:
    """Write when it starts and when it ends."""
    note(path, f"start {text}")
    await asyncio.sleep(seconds)
    note(path, f"end {text}")


@job(retry=3)
def fail(message: str = "no") -> None:
    """Raise ValueError."""
    raise ValueError(message)


@job
def ask(what: str, seconds: float = 0) -> None:
    """Raise the control exception of that name."""
    if what == "retry":
        raise Retry(in_=seconds)
    if what == "snooze":
        raise Snooze(seconds)
    raise {"discard": Discard, "kill": Kill}[what]


@job
def end_process(how: str) -> None:
    """Take the process down."""
    if how == "segfault":
        ctypes.string_at(0)
    os._exit(0) if how == "exit" else os.abort()


@job
def tell(path: str) -> None:
    """Write what the job knows of itself."""
    me = current_job()
    note(path, f"{me.jid} {me.jobtype} {me.queue} {me.attempt}")


@job
def stamp(path: str, mark: str) -> None:
    """Write when the job started, in Unix seconds."""
    note(path, f"{mark} {time.time()}")


@job
def report(path: str, parts: int, seconds: float = 0) -> None:
    """Say how far it is, part by part."""
    for part in range(1, parts + 1):
        current_job().progress(100 * part / parts, f"part {part} of {parts}")
        time.sleep(seconds)
    note(path, "reported")


@job
async def report_async(path: str, parts: int, seconds: float = 0) -> None:
    """Say how far it is, part by part, on the event loop."""
    for part in range(1, parts + 1):
        current_job().progress(100 * part / parts, f"part {part} of {parts}")
        await asyncio.sleep(seconds)
    note(path, "reported")


@job
def say(path: str, lines: int, seconds: float = 0) -> None:
    """Log lines."""
    for number in range(1, lines + 1):
        current_job().log(f"line {number}")
        time.sleep(seconds)
    note(path, "said")


@job
async def say_async(path: str, lines: int, seconds: float = 0) -> None:
    """Log lines, on the event loop."""
    for number in range(1, lines + 1):
        current_job().log(f"line {number}")
        await asyncio.sleep(seconds)
    note(path, "said")


@job(keep_result=True)
def add(one: int, other: int) -> int:
    """Return the sum."""
    return one + other


@job(keep_result=True)
async def add_async(one: int, other: int) -> int:
    """Return the sum, on the event loop."""
    return one + other


@job(keep_result=True, atomic=True)
def add_atomic(one: int, other: int) -> int:
    """Return the sum, in a transaction."""
    return one + other


@job(history=7)
def stumble(path: str, times: int) -> None:
    """Fail so often, then succeed."""
    me = current_job()
    me.log(f"attempt {me.attempt}")
    if me.attempt <= times:
        raise ValueError(f"stumbled {me.attempt}")
    note(path, "stood")


def _pass_the_time(seconds: float) -> None:
    """Wait where a JobTimeout can be raised."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


@job(timeout_seconds=1)
def overtime(path: str, asks_for: float, seconds: float) -> None:
    """Ask for more time, and use some of it."""
    current_job().extend(asks_for)
    _pass_the_time(seconds)
    note(path, "in time")


@job(timeout_seconds=1)
async def overtime_async(path: str, asks_for: float, seconds: float) -> None:
    """Ask for more time, and use some of it, on the event loop."""
    current_job().extend(asks_for)
    await asyncio.sleep(seconds)
    note(path, "in time")


@job(retry=0)
def report_and_go(path: str, how: str) -> None:
    """Say something, and end without a trace."""
    current_job().progress(30)
    note(path, "said")
    if how == "discard":
        raise Discard
    raise ValueError("no")


@job(timeout_seconds=0.5)
def too_late(path: str) -> None:
    """Ask for more time when there is none left."""
    try:
        _pass_the_time(60)
    except JobTimeout:
        try:
            current_job().extend(60)
        except ReservationLost:
            note(path, "too late")
        raise


@job
def until_cancelled(path: str) -> None:
    """Wait until somebody cancels the job, and say so."""
    note(path, "started")
    while not current_job().cancelled:
        time.sleep(0.01)
    note(path, "cancelled")
    current_job().progress(50)
    current_job().check_cancelled()
    note(path, "went on")


@job
def cancelled_but(path: str, how: str) -> None:
    """Hear that it was cancelled, and end in another way."""
    note(path, "started")
    while not current_job().cancelled:
        time.sleep(0.01)
    note(path, "cancelled")
    if how == "fail":
        raise ValueError("no")
    if how == "snooze":
        raise Snooze(0)


@job
def deaf(path: str) -> None:
    """Look at nothing; only an exception ends it."""
    note(path, "started")
    try:
        _pass_the_time(60)
    finally:
        note(path, "ended")


@job
def deafer(path: str) -> None:
    """Not even an exception ends it."""
    note(path, "started")
    while True:
        try:
            _pass_the_time(60)
        except JobCancelled:
            note(path, "heard")


@job
async def sleep_async(path: str) -> None:
    """Sleep on the event loop."""
    note(path, "started")
    try:
        await asyncio.sleep(60)
    finally:
        note(path, "ended")


@job
async def ignore_async(path: str) -> None:
    """Swallow the first cancellation, and end when the gate is open."""
    note(path, "started")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        note(path, "heard")
    while not Path(f"{path}.gate").exists():
        await asyncio.sleep(0.01)
    note(path, "ended")


@job
def steps(path: str, count: int, seconds: float = 0) -> Iterator[int]:
    """Write a line for each item."""
    for number, cursor in iterate.sequence(range(count), progress=True):
        note(path, f"item {number}")
        time.sleep(seconds)
        yield cursor
    note(path, "end")


@job
async def steps_async(path: str, count: int, seconds: float = 0) -> AsyncIterator[int]:
    """Write a line for each item, on the event loop."""
    for number, cursor in iterate.sequence(range(count), progress=True):
        note(path, f"item {number}")
        await asyncio.sleep(seconds)
        yield cursor
    note(path, "end")


@job(backoff=lambda _: 0)
def steps_that_stumble(path: str, count: int, how: str) -> Iterator[int]:
    """Stumble once in the middle, and go on from there."""
    me = current_job()
    begins = me.cursor
    note(path, f"attempt {me.attempt} from {begins}")
    for number, cursor in iterate.sequence(range(count)):
        if number == count // 2 and begins is None:
            raise {"fail": ValueError("no"), "snooze": Snooze(0)}[how]
        note(path, f"item {number}")
        yield cursor


@job(atomic=True, backoff=lambda _: 0)
def steps_in_the_database(path: str, count: int, seconds: float = 0) -> Iterator[int]:
    """Write a row for each item, in the transaction of its checkpoint."""
    note(path, f"from {current_job().cursor}")
    for number, cursor in iterate.sequence(range(count)):
        from faktory_django.models import Queue

        Queue.objects.create(name=f"item-{number}")
        time.sleep(seconds)
        yield cursor


@job(timeout_seconds=1)
def steps_for_long(path: str, count: int, seconds: float) -> Iterator[int]:
    """Take longer than the time limit, but no item does, unless it is the last."""
    for number, cursor in iterate.sequence(range(count)):
        _pass_the_time(seconds if number < count - 1 else 60)
        note(path, f"item {number}")
        yield cursor


# Last: it needs note().
from . import faults  # noqa: E402, F401
