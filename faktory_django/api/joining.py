"""Joining: which batch the pushes of this thread, or of this task, go into."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from faktory_django import settings
from faktory_django.errors import InvalidOption
from faktory_django.features import batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Membership(msgspec.Struct, frozen=True):
    """What a push says of the batch that it joins; by is the jid of a job of it that pushes."""

    bid: str
    using: str
    by: str = ""


_joined: ContextVar[Membership | None] = ContextVar("faktory_django_batch", default=None)


@contextmanager
def joined(membership: Membership) -> Iterator[None]:
    """Let all pushes in it join a batch."""
    token = _joined.set(membership)
    try:
        yield
    finally:
        _joined.reset(token)


def current() -> Membership | None:
    """Return what pushes join here; None when they join nothing."""
    return _joined.get()


def keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a push with these options has in its `custom` of the batch that it joins.

    Raises InvalidOption for a job that goes to another database than its batch.
    """
    if "batch" in options:
        given = options["batch"]
        membership = None if given is None else given.membership
    else:
        membership = _joined.get()
    if membership is None:
        return {}
    using = options.get("using") or settings.get().database
    if using != membership.using:
        raise InvalidOption(
            f"a job for database {using!r} cannot join a batch in {membership.using!r}: "
            "set(batch=None) leaves it out"
        )
    found = {batches.MEMBER: membership.bid}
    return found | {batches.BY: membership.by} if membership.by else found
