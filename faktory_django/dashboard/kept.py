"""Kept: what is read from the database seldom, however many people look at it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from django.db import Error as DatabaseError

from faktory_django.errors import DatabaseNotReady

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SECONDS: Final = 1.0
_ALL: Final[list[Kept]] = []  # type: ignore[type-arg] # of any type


class Kept(Generic[T]):
    """A value of this process, read anew after some seconds by one thread; the others wait for it.

    An error of the database is kept for a second: who waits for a database that does not answer
    would otherwise ask it one after the other.
    """

    def __init__(self, read: Callable[[], T], *, seconds: float = SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = threading.Lock()
        self._values: list[T] = []
        self._error: Exception | None = None
        self._until = 0.0
        _ALL.append(self)

    def get(self) -> T:
        """Return it, some seconds old at most. Raises what reading has raised."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._read_now()
            if self._error is not None:
                raise self._error
            return self._values[0]

    def forget(self) -> None:
        """Read it anew the next time."""
        self._until = 0.0

    def _read_now(self) -> None:
        try:
            self._values, self._error = [self._read()], None
            seconds = self._seconds
        except (DatabaseError, DatabaseNotReady) as wrong:
            self._error, seconds = wrong, SECONDS
        self._until = time.monotonic() + seconds


def forget_all() -> None:
    """Read everything anew the next time: for tests, whose databases come and go."""
    for kept in _ALL:
        kept.forget()
