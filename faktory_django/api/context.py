"""What a running job knows of itself."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

_current: ContextVar[CurrentJob | None] = ContextVar("faktory_django_job", default=None)


class CurrentJob(msgspec.Struct, frozen=True):
    """The job that runs. attempt counts from 1; times are the database's.

    enqueued is enqueued_at in Unix seconds, created the text of created_at.
    """

    jid: str
    jobtype: str
    queue: str
    attempt: int
    args: list[Any]
    kwargs: dict[str, Any]
    custom: dict[str, Any]
    retry: int
    reserve_for: int
    enqueued: float
    created: str | None = None

    @property
    def enqueued_at(self) -> datetime:
        """When it last entered its queue."""
        return datetime.fromtimestamp(self.enqueued, UTC)

    @property
    def created_at(self) -> datetime | None:
        """When it was pushed; None when its producer wrote no time that can be read."""
        return _instant(self.created)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the jid and the jobtype in its records."""
        extra = {"jid": self.jid, "jobtype": self.jobtype}
        return _JobLogger(_logger, extra)


class _JobLogger(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return f"{kwargs['extra']['jobtype']} {kwargs['extra']['jid']}: {msg}", kwargs


_logger: Final = logging.getLogger("faktory_django.job")


def current_job() -> CurrentJob:
    """Return the job that runs here. Raises RuntimeError outside a job."""
    job = _current.get()
    if job is None:
        raise RuntimeError("no job runs here")
    return job


def _instant(text: str | None) -> datetime | None:
    """Read a time of a payload; None when there is none or it is not RFC 3339."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
