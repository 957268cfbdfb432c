"""Folding in a server: soon after jobs of batches have ended, what follows from that is pushed."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from django.db import Error as DjangoDatabaseError

from faktory_django.features.batches import bid_of
from faktory_django.lifecycle.batch_fold import fold_all

from .database import DatabaseGone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faktory_django.lifecycle.fetch import Claimed

    from .database import Desk

logger = logging.getLogger(__name__)

# Between two folds.
PAUSE_SECONDS: Final = 0.02
# After a job of a batch was handed out here, it is looked for so long whether any has ended; upkeep
# folds what ends later, or was handed out elsewhere.
WATCH_SECONDS: Final = 600.0


class Folding:
    """Folds batches while jobs of batches are in work here; else it costs nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ended = asyncio.Event()
        self._until = 0.0

    def claimed(self, jobs: Iterable[Claimed]) -> None:
        """These jobs were handed out."""
        if any(bid_of(job.traits) is not None for job in jobs if job.traits is not None):
            self._until = time.monotonic() + WATCH_SECONDS

    def ended(self) -> None:
        """Some jobs have ended, in a statement that has committed."""
        if time.monotonic() < self._until:
            self._ended.set()

    async def run(self) -> None:
        """Fold, whenever jobs may have ended."""
        while True:
            await self._ended.wait()
            self._ended.clear()
            try:
                busy = await self._desk.call(fold_all)
            except (DatabaseGone, DjangoDatabaseError) as wrong:
                logger.warning("batches are left to upkeep: %s", wrong)
            else:
                if busy:
                    self._ended.set()
            await asyncio.sleep(PAUSE_SECONDS)
