"""Storing: pushes that are checked enter the store, and receivers of the signal hear of them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from asgiref.sync import sync_to_async
from django.db import transaction

from faktory_django import signals
from faktory_django.errors import BatchClosed, NotUnique
from faktory_django.features import unique

from . import cancelling, inspection, results
from .requests import encoded, encoded_alike

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from faktory_django.lifecycle.push_traits import Refusal

    from .requests import PushRequest

# lifecycle is imported when something is pushed: a decorator may run before the app registry is
# ready; a push cannot.


class JobHandle(msgspec.Struct, frozen=True):
    """A job that was pushed, or that stands for it: jid is the one to ask for.

    outcome is pushed; or what became of a duplicate of a unique job: refused, existing, replaced or
    debounced, and existing is the jid of the job that holds the lock; or stopped by a middleware.
    False, without a jid, when it is refused or stopped. using is the database that it was pushed
    to, when that is not the setting's.
    """

    jid: str
    outcome: str = "pushed"
    existing: str | None = None
    using: str | None = None

    def __bool__(self) -> bool:
        """Whether there is a job for what was pushed."""
        return bool(self.jid)

    def status(self) -> inspection.JobStatus:
        """Return what became of it."""
        return inspection.status(self.jid, using=self.using)

    async def astatus(self) -> inspection.JobStatus:
        """status for async code."""
        return await sync_to_async(self.status)()

    def result(self, timeout: float = 10.0) -> Any:
        """Wait for timeout seconds at most, and return what the job has returned.

        Raises TimeoutError when it is not over by then, and NoResult when it has ended without
        success or its result is not kept.
        """
        return results.wait(self.jid, timeout=timeout, using=self.using)

    async def aresult(self, timeout: float = 10.0) -> Any:
        """result for async code."""
        return await results.await_result(self.jid, timeout=timeout, using=self.using)

    def cancel(
        self,
        *,
        kill_after: float | timedelta | None = None,
        by: str = "",
    ) -> str:
        """Cancel the job; see Job.cancel."""
        return cancelling.cancel(self.jid, kill_after=kill_after, by=by, using=self.using)

    async def acancel(
        self,
        *,
        kill_after: float | timedelta | None = None,
        by: str = "",
    ) -> str:
        """cancel for async code."""
        return await sync_to_async(self.cancel)(kill_after=kill_after, by=by)


STOPPED: Final = JobHandle("", "stopped")


class Stored(NamedTuple):
    """A job that is in the store, and the queue that it is for; or what kept it out."""

    jid: str
    queue: str
    refusal: Refusal | None = None

    def handle(self, using: str | None) -> JobHandle:
        """Return what its producer gets."""
        if self.refusal is None:
            return JobHandle(self.jid, using=using)
        other = self.refusal.other
        if self.refusal.code:
            return JobHandle("", "refused", other, using)
        return JobHandle(other or "", self.refusal.message, other, using)


def store(requests: Sequence[PushRequest], *, using: str | None) -> list[Stored]:
    """Store jobs of any kind, all or none. Raises NotUnique where a job asks for that."""
    from faktory_django.lifecycle.connection import database  # noqa: PLC0415
    from faktory_django.lifecycle.push import push  # noqa: PLC0415

    rows = encoded(requests)
    several = len(requests) > 1 and any(_raises(request) for request in requests)
    with transaction.atomic(using=database(using).alias) if several else nullcontext():
        refused = {refusal.place: refusal for refusal in push(rows, using=using)}
        for place, refusal in refused.items():
            if refusal.code == "BATCH":
                raise BatchClosed(f"{refusal.message} (job {rows[place].jid})")
            if _raises(requests[place]) and refusal.code == unique.CODE:
                raise _not_unique(requests[place], refusal)
    return [Stored(row.jid, row.queue, refused.get(place)) for place, row in enumerate(rows)]


def store_alike(
    like: PushRequest, jids: Sequence[str], rows: Sequence[Sequence[Any]], *, using: str | None
) -> list[Stored] | None:
    """Store jobs that differ from like in jid and args only; None when they differ in more."""
    from faktory_django.lifecycle.push import push_alike  # noqa: PLC0415

    if (found := encoded_alike(like, rows)) is None:
        return None
    form, texts = found
    push_alike(form, jids, texts, using=using)
    return [Stored(jid, form.queue) for jid in jids]


def announced(
    jobtype: str, stored: Sequence[Stored], *, using: str | None = None
) -> list[JobHandle]:
    """Send the signal pushed for jobs that are stored; return their handles."""
    if signals.pushed.has_listeners(jobtype):
        for jid, queue, refusal in stored:
            if refusal is None:
                signals.pushed.send_robust(jobtype, jid=jid, queue=queue)
    return [one.handle(using) for one in stored]


def _raises(request: PushRequest) -> bool:
    said = request.custom.get(unique.ON_DUPLICATE) or request.options.get(unique.ON_DUPLICATE)
    return bool(said == unique.RAISE)


def _not_unique(request: PushRequest, refusal: Refusal) -> NotUnique:
    holder = f"job {refusal.other} holds its lock" if refusal.other else "its lock was held"
    return NotUnique(f"{request.jobtype} is not unique: {holder}", existing=refusal.other)
