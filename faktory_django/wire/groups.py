"""Group commit: what waits goes to the database as one statement, as soon as one before is back.

No timer: under load a group fills while the statement before it runs, and alone nobody waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_GROUP: Final = 1_000
# Bytes of one statement's jobs: a group of large ones is cut.
MAX_GROUP_BYTES: Final = 32 * 1_048_576


class Group(Generic[T]):
    """Things that wait for one statement; senders take turns to send all there is.

    refuse answers those whose sending met an error that nobody has foreseen.
    """

    def __init__(
        self,
        refuse: Callable[[T], None],
        *,
        key: Callable[[T], Hashable] | None = None,
        size: Callable[[T], int] | None = None,
    ) -> None:
        self._refuse = refuse
        self._key = key
        self._size = size
        self._waiting: deque[T] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()

    def add(self, item: T) -> None:
        """Let an item wait for the next statement; its sender answers it."""
        self._waiting.append(item)
        while self._idle:
            sender = self._idle.popleft()
            if not sender.done():
                sender.set_result(None)
                break

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def run(self, send: Callable[[list[T]], Awaitable[None]]) -> None:
        """Send what waits, group after group; several may run, each is one sender."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._waiting:
                turn = loop.create_future()
                self._idle.append(turn)
                await turn
            items = self._take()
            try:
                await send(items)
            except Exception:
                logger.exception("%d commands met an error of ours", len(items))
                for item in items:
                    self._refuse(item)

    def _take(self) -> list[T]:
        if self._key is None and self._size is None and len(self._waiting) <= MAX_GROUP:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
        return self._take_some()

    def _take_some(self) -> list[T]:
        """Take up to a full group; of two with one key the second waits, and all after it."""
        taken: list[T] = []
        keys: set[Hashable] = set()
        total = 0
        while self._waiting and len(taken) < MAX_GROUP:
            item = self._waiting[0]
            if self._size is not None:
                total += self._size(item)
                if taken and total > MAX_GROUP_BYTES:
                    break
            if self._key is not None:
                if (key := self._key(item)) in keys:
                    break
                keys.add(key)
            taken.append(self._waiting.popleft())
        return taken
