"""Sessions of their own for the tests: one thread and one connection each, and how to wait."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.db import connection, connections, transaction

from faktory_django.lifecycle.connection import execute

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE_SECONDS = 15.0


def wait_until(condition: Callable[[], R], *, seconds: float = PATIENCE_SECONDS) -> R:
    """Return the first true value of condition; AssertionError when the deadline passes."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        pause.wait(0.002)
    return value


def seeded(seed: int | None) -> random.Random:
    """Return chances that a test can have again."""
    return random.Random(seed)  # noqa: S311 - no secrets here


class Actor:
    """A session that does one thing at a time, in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._block: Any = None
        self.pid: int = self.sql("SELECT pg_backend_pid()")[0][0]

    def start(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Begin something that may have to wait for another actor."""
        return self._thread.submit(act, *args, **kwargs)

    def do(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do something to its end."""
        return self.start(act, *args, **kwargs).result(PATIENCE_SECONDS)

    def sql(self, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
        """Run one statement."""
        return self.do(lambda: execute(connection, sql, params))

    def begin(self) -> None:
        """Open a transaction."""
        self._block = transaction.atomic()
        self.do(self._block.__enter__)

    def commit(self) -> None:
        """Commit it."""
        self.do(self._block.__exit__, None, None, None)

    def rollback(self) -> None:
        """Roll it back."""
        self.do(self._block.__exit__, RuntimeError, RuntimeError(), None)

    def is_blocked(self) -> bool:
        """Tell whether its statement waits for a lock of another session."""
        blockers = execute(connection, "SELECT cardinality(pg_blocking_pids(%b::int))", [self.pid])
        return bool(blockers[0][0])

    def start_blocked(self, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Begin something and return when it waits for a lock."""
        future = self.start(act, *args, **kwargs)
        wait_until(lambda: future.done() or self.is_blocked())
        assert not future.done(), "it did not wait"
        return future

    def leave(self) -> None:
        """Close the connection and end the thread."""
        self.do(connections.close_all)
        self._thread.shutdown()


def run_together(*acts: Callable[[], None]) -> None:
    """Run acts at once, each in a thread with its own connection; raise what one of them raised."""

    def run(act: Callable[[], None]) -> None:
        try:
            act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=len(acts)) as threads:
        for running in [threads.submit(run, act) for act in acts]:
            running.result()
