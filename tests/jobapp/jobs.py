"""Jobs for the tests; those with effects write a line to the file that they are given."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from pathlib import Path
from typing import Any

from faktory_django import (
    Discard,
    JobTimeout,
    Kill,
    ReservationLost,
    Retry,
    Snooze,
    current_job,
    job,
)


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


# Last: it needs note().
from . import faults  # noqa: E402, F401
