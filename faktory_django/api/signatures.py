"""Signatures: a job with its arguments, to be pushed later or by somebody else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from faktory_django.errors import InvalidOption

from . import options as checks
from .requests import encoded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .jobs import Job
    from .storing import JobHandle


@dataclass(frozen=True, slots=True)
class Signature:
    """A job and its arguments, as job.s(*args, **kwargs) makes it. Immutable."""

    job: Job[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def set(self, **options: Any) -> Signature:
        """Return it with other options for its push, as job.set() takes them."""
        return replace(self, job=self.job.set(**options))

    def push(self) -> JobHandle:
        """Push it, as perform_async(*args, **kwargs) does."""
        return self.job.perform_async(*self.args, **self.kwargs)

    async def apush(self) -> JobHandle:
        """push for async code."""
        return await self.job.aperform_async(*self.args, **self.kwargs)


def checked(value: Any, what: str) -> Signature | None:
    """Return a signature or None. Raises InvalidOption for anything else."""
    if value is None or isinstance(value, Signature):
        return value
    raise InvalidOption(f"{what} must be a signature, such as job.s(1), got {checks.shown(value)}")


def ready(
    signature: Signature, custom: Mapping[str, Any], *, first: Sequence[Any] = ()
) -> dict[str, Any] | None:
    """Return a job as the store pushes it by itself, when it is time; None: a middleware stops it.

    custom is added to its own, first are arguments before its own. Raises as a push does.
    """
    job = signature.job.set(batch=None)
    request = job._request((*first, *signature.args), signature.kwargs, custom=custom)
    if request is None:
        return None
    [push] = encoded([request])
    return {
        "queue": push.queue,
        "priority": push.priority,
        "jid": push.jid,
        "jobtype": push.jobtype,
        "reserve_for": push.reserve_for,
        "body": push.body,
        "traits": json.loads(push.traits) if push.traits else None,
    }
