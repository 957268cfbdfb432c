"""Batch: jobs that belong together, and what is to follow when all of them are through."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from asgiref.sync import sync_to_async
from django.db import transaction

from faktory_django import settings
from faktory_django.errors import InvalidOption, UnknownBatch
from faktory_django.features import batches

from . import options as checks
from .context import _current
from .joining import Membership, _joined, current, joined
from .signatures import Signature, checked, ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextvars import Token
    from datetime import datetime

    from faktory_django.lifecycle.batch import Status

    from .storing import JobHandle

# lifecycle is imported when a batch is made or looked at: it needs the app registry.

MAX_DESCRIPTION: Final = 1_000
# The parent of a batch of which nothing is said: the batch of the block or of the job around it.
_AROUND: Final = "around"
_WORDS: Final = {batches.NOT_YET: "waiting", batches.ENQUEUED: "pushed", batches.DONE: "done"}


class BatchStatus(msgspec.Struct, frozen=True):
    """How far a batch was when it was asked.

    state is open, running, success, failed or cancelled. pending counts the jobs that have not
    succeeded yet, failed those of them that were run and failed, lost those that are gone without
    success, discarded those that nobody waits for, planned those of later steps of a chain.
    complete and success say what became of the callbacks: waiting, pushed, done; None without one.
    """

    bid: str
    description: str
    parent: str | None
    created_at: datetime
    state: str
    total: int
    pending: int
    done: int
    failed: int
    discarded: int
    lost: int
    planned: int
    children: int
    percent: int
    complete: str | None
    success: str | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in {"failed", "cancelled"} or (
            self.state == "success" and self.success != "pushed"
        )


class Batch:
    """Jobs that belong together: `with Batch(success=done.s()) as batch:` and push in the block.

    The block is a transaction: when it raises, there is neither the batch nor its jobs. A batch
    that is there already is opened again by `with`. success and complete are signatures of jobs
    that follow when all jobs have succeeded, and when all were run once; on_dead follows when one
    of them dies. A batch that is made in the block of another one, or by a job of another one, is
    its child, if parent (a Batch, a bid or None) says nothing else.
    """

    def __init__(
        self,
        description: str = "",
        *,
        success: Signature | None = None,
        complete: Signature | None = None,
        on_dead: Signature | None = None,
        parent: Batch | str | None = _AROUND,
        using: str | None = None,
    ) -> None:
        given: object = description
        if not isinstance(given, str) or len(given) > MAX_DESCRIPTION:
            raise InvalidOption(
                f"description must be a str of at most {MAX_DESCRIPTION} characters, "
                f"got {checks.shown(description)}"
            )
        if using is not None:
            checks.check_options({"using": using}, checks.PUSH_OPTIONS)
        self.bid = batches.new_bid()
        self.description = description
        self._callbacks = {
            "success": checked(success, "success"),
            "complete": checked(complete, "complete"),
            "dead": checked(on_dead, "on_dead"),
        }
        self._parent = parent
        self._using = using
        self._steps: Sequence[Mapping[str, Any]] = ()
        self._made = False
        self._blocks: list[ExitStack] = []
        self._tokens: list[tuple[Token[Membership | None], bool]] = []

    def __repr__(self) -> str:
        return f"<Batch {self.bid}>"

    @classmethod
    def find(cls, bid: str, *, using: str | None = None) -> Batch:
        """Return a batch that is there. Raises UnknownBatch."""
        batch = cls._of(bid, using=using)
        batch.description = batch.status().description
        return batch

    @classmethod
    async def afind(cls, bid: str, *, using: str | None = None) -> Batch:
        """find for async code."""
        return await sync_to_async(cls.find)(bid, using=using)

    @classmethod
    def open(cls, bid: str, *, using: str | None = None) -> Batch:
        """Return a batch that is there, to add jobs: `with Batch.open(bid): ...`."""
        return cls.find(bid, using=using)

    @classmethod
    def _of(cls, bid: str, *, using: str | None = None) -> Batch:
        batch = cls(using=using, parent=None)
        batch.bid, batch._made = bid, True
        return batch

    @property
    def using(self) -> str:
        """The alias of the database that it is in."""
        return self._using or settings.get().database

    @property
    def membership(self) -> Membership:
        """What the pushes say that join it."""
        job = _current.get()
        inside = job is not None and job.custom.get(batches.MEMBER) == self.bid
        return Membership(self.bid, self.using, job.jid if job is not None and inside else "")

    def status(self) -> BatchStatus:
        """Return how far it is, in one query. Raises UnknownBatch when it is not there."""
        from faktory_django.lifecycle.batch import statuses  # noqa: PLC0415

        found = {} if "\0" in self.bid else statuses(self._database(), [self.bid])
        if self.bid not in found:
            raise UnknownBatch(f"no such batch {self.bid!r:.100}")
        return _status(found[self.bid])

    async def astatus(self) -> BatchStatus:
        """status for async code."""
        return await sync_to_async(self.status)()

    def add(self, *signatures: Signature) -> list[JobHandle]:
        """Push jobs into it; outside a block of it, in a block of its own."""
        if not all(isinstance(one, Signature) for one in signatures):
            raise InvalidOption("add() takes signatures, such as job.s(1)")
        if not self._blocks and not self._tokens:
            with self:
                return [one.set(batch=self).push() for one in signatures]
        return [one.set(batch=self).push() for one in signatures]

    async def aadd(self, *signatures: Signature) -> list[JobHandle]:
        """add for async code."""
        return await sync_to_async(self.add)(*signatures)

    def cancel(self) -> int:
        """Give it and its children up; return how many jobs were discarded.

        What waits of it is discarded, no callback follows, and no parent waits for it. A job that
        runs is asked to stop, and its pushes into the batch are refused.
        """
        from faktory_django.lifecycle.batch_cancel import cancel  # noqa: PLC0415

        return cancel(self._database(), self.bid).discarded

    async def acancel(self) -> int:
        """cancel for async code."""
        return await sync_to_async(self.cancel)()

    def __enter__(self) -> Batch:
        """Make it, or open it again; all pushes of this thread join it from now on."""
        stack = ExitStack()
        stack.enter_context(self._block())
        self._blocks.append(stack)
        return self

    def __exit__(self, *raised: Any) -> None:
        """Commit it: its callbacks follow when its jobs are through."""
        self._blocks.pop().__exit__(*raised)

    async def __aenter__(self) -> Batch:
        """Make it, or open it again, at once: there is no transaction around async code."""
        fresh = not self._made
        membership = await sync_to_async(self._begin)()
        self._tokens.append((_joined.set(membership), fresh))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *raised: Any) -> None:
        """Commit it; one that was made here is cancelled when the block has raised."""
        token, fresh = self._tokens.pop()
        _joined.reset(token)
        if kind is not None and fresh:
            await self.acancel()
        else:
            await sync_to_async(self._commit)()

    @contextmanager
    def _block(self) -> Iterator[None]:
        made = self._made
        try:
            with transaction.atomic(using=self.using):
                with joined(self._begin()):
                    yield
                self._commit()
        except BaseException:
            self._made = made
            raise

    def _begin(self) -> Membership:
        from faktory_django.lifecycle import batch  # noqa: PLC0415

        membership = self.membership
        if not self._made:
            parent = self._parent_bid()
            batch.make(
                self._database(),
                self.bid,
                description=self.description,
                parent=parent,
                callbacks=self._ready_callbacks(parent),
                steps=self._steps,
            )
            self._made = True
        elif not membership.by:
            batch.reopen(self._database(), self.bid)
        return membership

    def _commit(self) -> None:
        from faktory_django.lifecycle import batch  # noqa: PLC0415

        # a job of the batch is pending itself: it needs not be closed for others
        if not self.membership.by:
            batch.commit(self._database(), self.bid)

    def _database(self) -> Any:
        from faktory_django.lifecycle.connection import database  # noqa: PLC0415

        return database(self.using)

    def _parent_bid(self) -> str:
        parent = self._parent
        if parent is None:
            return ""
        if isinstance(parent, Batch):
            return parent.bid
        if parent != _AROUND:
            return batches.checked_bid(parent, "parent")
        if (around := current()) is not None:
            return around.bid if around.using == self.using else ""
        job = _current.get()
        return str(job.custom.get(batches.MEMBER) or "") if job is not None else ""

    def _ready_callbacks(self, parent: str) -> dict[str, Any]:
        custom = {batches.OWN: self.bid}
        if parent:
            custom[batches.PARENT] = parent
        return {
            name: ready(signature, custom)
            for name, signature in self._callbacks.items()
            if signature is not None
        }


def of_job(custom: Mapping[str, Any]) -> Batch | None:
    """Return the batch of the job that runs, or whose callback it is; None when there is none."""
    bid = custom.get(batches.MEMBER) or custom.get(batches.OWN)
    return Batch._of(bid) if isinstance(bid, str) and bid else None


def _status(found: Status) -> BatchStatus:
    return BatchStatus(
        bid=found.bid,
        description=found.description,
        parent=found.parent_bid or None,
        created_at=found.created_at,
        state=found.state,
        total=found.total,
        pending=found.pending,
        done=found.done,
        failed=found.failed,
        discarded=found.discarded,
        lost=found.lost,
        planned=found.planned,
        children=found.children,
        percent=found.percent,
        complete=_WORDS[found.complete_st] if found.has_complete else None,
        success=_WORDS[found.success_st] if found.has_success else None,
    )
