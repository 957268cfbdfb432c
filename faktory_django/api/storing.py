"""Storing: pushes that are checked enter the store, and receivers of the signal hear of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from faktory_django import settings, signals
from faktory_django.errors import BatchClosed

from .requests import encoded, encoded_alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .requests import PushRequest

# lifecycle is imported when something is pushed: a decorator may run before the app registry is
# ready; a push cannot.


class JobHandle(msgspec.Struct, frozen=True):
    """A job that was pushed; false, without a jid, when a middleware stopped the push."""

    jid: str

    def __bool__(self) -> bool:
        """Whether the job was pushed."""
        return bool(self.jid)


class Stored(NamedTuple):
    """A job that is in the store, and the queue that it is for."""

    jid: str
    queue: str


def store(requests: Sequence[PushRequest], *, using: str | None) -> list[Stored]:
    """Store jobs of any kind, all or none."""
    from faktory_django.lifecycle.push import push  # noqa: PLC0415

    for refusal in push(encoded(requests), using=using):
        if refusal.code == "BATCH":
            raise BatchClosed(f"{refusal.message} (job {refusal.jid})")
    default = settings.get().default_queue
    return [Stored(request.jid, request.options.get("queue") or default) for request in requests]


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


def announced(jobtype: str, stored: Sequence[Stored]) -> list[JobHandle]:
    """Send the signal pushed for jobs that are stored; return their handles."""
    if signals.pushed.has_listeners(jobtype):
        for jid, queue in stored:
            signals.pushed.send_robust(jobtype, jid=jid, queue=queue)
    return [JobHandle(jid) for jid, _ in stored]
