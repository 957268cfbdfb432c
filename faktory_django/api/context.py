"""What a running job knows of itself."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from faktory_django.errors import JobCancelled
from faktory_django.features import history, tracking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from .batch import Batch

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
    def batch(self) -> Batch | None:
        """The batch that it is in, or whose callback it is; None when there is none."""
        from .batch import of_job  # noqa: PLC0415 - a batch asks for the job that runs

        return of_job(self.custom)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the jid and the jobtype in its records."""
        extra = {"jid": self.jid, "jobtype": self.jobtype}
        return _JobLogger(_logger, extra)

    def progress(self, percent: float | None = None, text: str | None = None) -> None:
        """Say how far the job is: percent from 0 to 100, text in words; None leaves it as it was.

        It only takes a note, so async code calls it too: the process writes the latest of all
        notes twice a second at most. Raises InvalidOption for a value that cannot be.
        """
        told = None if percent is None else tracking.percent(percent)
        words = None if text is None else tracking.text(text)
        if told is not None or words is not None:
            _host().progress(self, told, words)

    def log(self, text: str) -> None:
        """Keep a line of up to 1,000 characters for the page of the job.

        It only takes a note, so async code calls it too: the process writes the notes of all its
        jobs twice a second at most. Nothing is kept with LOG_DAYS 0, of a job with encrypted
        arguments, and of what a run says beyond LOG_LINES. Raises InvalidOption unless it is str.
        """
        _host().log(self, history.line(text))

    @property
    def cancelled(self) -> bool:
        """Whether somebody has cancelled the job: it should end soon. Costs next to nothing."""
        return _host().cancelled(self)

    def check_cancelled(self) -> None:
        """Raise JobCancelled when somebody has cancelled the job."""
        if self.cancelled:
            raise JobCancelled("the job was cancelled")

    @property
    def cursor(self) -> Any:
        """What an iterable job has yielded last, in this run or an earlier one; None at first."""
        found = _checkpoint.get()
        return None if found is None else found.cursor

    def extend(self, by: float | timedelta) -> None:
        """Let this run take until by (seconds or timedelta) from now; never shortens its time.

        Raises InvalidOption unless by is more than 0 and at most one day, and ReservationLost
        when the time of the run is over already.
        """
        _host().extend(self, tracking.extension_seconds(by))


class Host(Protocol):
    """What runs jobs, and takes what they say of themselves; from any thread."""

    def progress(self, job: CurrentJob, percent: int | None, text: str | None) -> None:
        """Take a note of how far a job is."""

    def log(self, job: CurrentJob, text: str) -> None:
        """Take a line of a job's log."""

    def extend(self, job: CurrentJob, seconds: float) -> None:
        """Let a run take until seconds from now. Raises ReservationLost when it is too late."""

    def cancelled(self, job: CurrentJob) -> bool:
        """Return whether somebody has asked a job to stop."""

    def stopping(self) -> bool:
        """Return whether jobs that can go on elsewhere are to rest."""


_hosts: Final[list[Host]] = []


class Checkpoint(Protocol):
    """How far an iterable job has come."""

    @property
    def cursor(self) -> Any:
        """What it has yielded last, in this run or the one before; None when it has not."""


_checkpoint: ContextVar[Checkpoint | None] = ContextVar("faktory_django_checkpoint", default=None)


def host(found: Host) -> None:
    """Let jobs of this process speak to this host; a worker calls it at its start."""
    _hosts[:] = [found]


@contextmanager
def hosted(found: Host) -> Iterator[None]:
    """Let jobs speak to this host for a while."""
    before, _hosts[:] = list(_hosts), [found]
    try:
        yield
    finally:
        _hosts[:] = before


def _host() -> Host:
    if not _hosts:
        raise RuntimeError("no worker runs here")
    return _hosts[0]


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
