"""Jobs for the tests; those with effects write a line to the file that they are given."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from pathlib import Path
from typing import Any

from faktory_django import Discard, Kill, Retry, Snooze, current_job, job


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


# Last: it needs note().
from . import faults  # noqa: E402, F401
