"""Iteration: takes an iterable job from checkpoint to checkpoint.

What the job yields says "all before this is done". Between two items the run rests when its
worker ends, and stops when the job was cancelled; its time counts anew. The cursor is written now
and then, and whenever the run ends before its end; with atomic in the transaction of each item.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.db import transaction

from faktory_django import arguments, encryption, payload, settings
from faktory_django.api.context import _host
from faktory_django.errors import (
    InvalidArguments,
    InvalidCursor,
    JobCancelled,
    JobInterrupted,
    UnreadableArguments,
)
from faktory_django.lifecycle import cursors
from faktory_django.lifecycle.connection import database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractContextManager

    from faktory_django.api.context import CurrentJob
    from faktory_django.lifecycle.fetch import Claimed

logger = logging.getLogger(__name__)

# The time of a run counts anew with an item, said at most so often; a tenth of it if that is less.
EXTEND_SECONDS: Final = 1.0


class Iteration:
    """One run of an iterable job: where it stands, and what of that is written."""

    def __init__(
        self, job: CurrentJob, claimed: Claimed, *, limit_seconds: float, atomic: bool, using: str
    ) -> None:
        self.cursor: Any = None
        self.items = 0
        self._job = job
        self._claimed = claimed
        self._owner = cursors.Owner(job.jid, job.jobtype, job.created or "")
        self._sealed = payload.is_encrypted(job.custom)
        self._atomic = atomic
        self._using = using
        self._limit = limit_seconds
        ours = settings.get()
        self._max_bytes = ours.max_cursor_bytes
        self._max_depth = ours.max_argument_depth
        self._every = ours.checkpoint_seconds
        self._text: str | None = None  # of the cursor, while it is not written
        self._kinds: dict[str, str] = {}
        now = time.monotonic()
        self._next_save = now + self._every
        self._next_extend = now

    def load(self) -> None:
        """Begin where the run before this one has ended."""
        saved = cursors.load(database(self._using), self._owner)
        if saved is None:
            return
        args, kinds = json.loads(saved.cursor), json.loads(saved.kinds or "{}")
        if saved.sealed:
            what = f"the cursor of {self._job.jobtype} {self._job.jid}"
            found = encryption.unseal(what, args, encryption.FERNET)
            args, kinds = found.args, found.kinds
        if len(args) != 1:
            raise UnreadableArguments(f"the cursor of job {self._job.jid} is not one value")
        [self.cursor] = arguments.decode(args, kinds)
        self.items = saved.items

    def drive(self, generator: Generator[Any, Any, Any]) -> None:
        """Run a job to its end, or until it has to rest or to stop."""
        try:
            while self._step(generator):
                self._go_on()
                if self._is_due():
                    self.save()
        except BaseException as raised:
            if self._is_worth_saving(raised):
                self._save_at_last()
            raise
        finally:
            generator.close()

    def _step(self, generator: Generator[Any, Any, Any]) -> bool:
        with self._transaction():
            try:
                value = next(generator)
            except StopIteration:
                return False
            self._take(value)
            if self._atomic:
                self.save()
        return True

    async def adrive(self, generator: AsyncGenerator[Any, Any]) -> None:
        """drive for an async generator."""
        try:
            async for value in generator:
                self._take(value)
                self._go_on()
                if self._is_due():
                    await sync_to_async(self.save)()
        except BaseException as raised:
            if self._is_worth_saving(raised):
                await sync_to_async(self._save_at_last)()
            raise
        finally:
            await generator.aclose()

    def save(self) -> None:
        """Write the cursor. Raises ReservationLost when the job is not ours any more."""
        text, kinds = self._text, self._kinds
        if text is None:
            return
        if self._sealed:
            text, kinds = encryption.seal(self._job.jobtype, text, kinds, named=False), {}
        noted = json.dumps(kinds) if kinds else None
        saved = cursors.Saved(text, noted, self._sealed, self.items)
        claimed = self._claimed
        connection = database(self._using)
        cursors.save(connection, self._owner, saved, job=claimed.id, lease=claimed.lease)
        self._text = None
        self._next_save = time.monotonic() + self._every

    def _transaction(self) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self._using) if self._atomic else nullcontext()

    def _take(self, value: Any) -> None:
        """Keep what the job has yielded as text: it may change the value itself later."""
        try:
            text, kinds = arguments.encode([value], {}, max_depth=self._max_depth)
        except InvalidArguments as wrong:
            raise InvalidCursor(
                f"a cursor must be JSON, the one yielded is not: {wrong}"
            ) from wrong
        if 4 * len(text) > self._max_bytes and (size := len(text.encode())) > self._max_bytes:
            raise InvalidCursor(
                f"a cursor must be JSON of at most {self._max_bytes} bytes (MAX_CURSOR_BYTES), "
                f"got {size}"
            )
        self.cursor, self._text, self._kinds = value, text, kinds
        self.items += 1

    def _go_on(self) -> None:
        """Let the time count anew, or end the run here."""
        host = _host()
        if host.cancelled(self._job):
            raise JobCancelled("the job was cancelled")
        if host.stopping():
            raise JobInterrupted("the worker ends")
        now = time.monotonic()
        if now >= self._next_extend:
            self._next_extend = now + min(EXTEND_SECONDS, self._limit / 10)
            host.extend(self._job, self._limit)

    def _is_due(self) -> bool:
        return time.monotonic() >= self._next_save

    def _is_worth_saving(self, raised: BaseException) -> bool:
        # what is atomic has written its latest cursor, or has just undone it
        return not self._atomic and not isinstance(raised, JobCancelled)

    def _save_at_last(self) -> None:
        """Write the cursor of a run that ends before its end; what ended it counts for more."""
        try:
            self.save()
        except Exception:
            logger.exception("the checkpoint of %s is not written", self._job.jid)
