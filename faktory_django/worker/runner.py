"""Runner: calls the application's function for one claimed job and says what became of it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import traceback
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from asgiref.sync import sync_to_async
from django.db import transaction

from faktory_django import arguments, encryption, payload, registry, settings, signals
from faktory_django.api import middleware
from faktory_django.api.context import CurrentJob, _checkpoint, _current
from faktory_django.errors import (
    Discard,
    JobCancelled,
    JobInterrupted,
    JobTimeout,
    Kill,
    Retry,
    Snooze,
    UnknownJobType,
    UnreadableArguments,
)
from faktory_django.lifecycle.ack import ack_last
from faktory_django.lifecycle.retry import Error, Fate, Verdict, delay_of, judge

from . import notes
from .iteration import Iteration

if TYPE_CHECKING:
    from collections.abc import Callable

    from faktory_django.lifecycle.fetch import Claimed

logger = logging.getLogger(__name__)
_OURS: Final = (__file__, middleware.__file__)


@dataclass(slots=True)
class Prepared:
    """A claimed job, read: ready to run, or with the error that keeps it from running."""

    claimed: Claimed
    jobtype: str
    retry: int
    limit_seconds: float
    definition: registry.Definition | None = None
    job: CurrentJob | None = None
    error: BaseException | None = None
    backtrace: int = 0
    extended: bool = False
    wid: str = ""
    returned: object = None
    # Somebody has asked it to stop; by the monotonic clock, when it is ended by force.
    cancelled: bool = False
    kill_at: float = math.inf

    def extend(self, limit_seconds: float) -> float:
        """Let the run take so long in all, if that is longer; return its limit."""
        if limit_seconds > self.limit_seconds:
            self.limit_seconds, self.extended = limit_seconds, True
        return self.limit_seconds

    @property
    def is_async(self) -> bool:
        """Whether it runs on the event loop."""
        return self.definition is not None and self.definition.is_async and self.error is None


@dataclass(slots=True)
class Outcome:
    """What became of a run. verdict None: it succeeded, or rests and goes on elsewhere; acked: its
    own transaction ended it.

    note: what features are told of the run, as JSON; of one that succeeded only where something
    is kept of it.
    """

    claimed: Claimed
    jobtype: str
    wait_seconds: float
    run_seconds: float
    verdict: Verdict | None = None
    acked: bool = False
    rests: bool = False
    error: Error | None = None
    counts: bool = True
    job: CurrentJob | None = None
    raised: BaseException | None = None
    is_async: bool = False
    note: str | None = None


def prepare(claimed: Claimed, wid: str = "") -> Prepared:
    """Read a claimed job; whatever is wrong with it becomes its error, never an exception."""
    try:
        body = payload.parse(claimed.body)
    except Exception as wrong:  # noqa: BLE001 - a row written by hand may hold anything
        return Prepared(claimed, "unknown", payload.RETRY, 60.0, error=wrong, wid=wid)
    retry = payload.RETRY if body.retry is None else body.retry
    reserve_for = min(max(body.reserve_for or payload.RESERVE_FOR, 60), 86_400)
    prepared = Prepared(claimed, body.jobtype, retry, float(reserve_for), wid=wid)
    prepared.backtrace = body.backtrace or 0
    try:
        prepared.definition = registry.find(body.jobtype)
        if prepared.definition is None:
            raise UnknownJobType(_unknown(body.jobtype))
        if prepared.definition.timeout_seconds is not None:
            limit = min(prepared.definition.timeout_seconds, reserve_for)
            prepared.limit_seconds = float(limit)
        prepared.job = _current_job(claimed, body, retry, reserve_for)
    except Exception as wrong:  # noqa: BLE001 - arguments of other clients may hold anything
        prepared.error = wrong
    return prepared


def _current_job(claimed: Claimed, body: payload.Body, retry: int, reserve_for: int) -> CurrentJob:
    custom = body.custom or {}
    args, kwargs = body.args, {}
    if isinstance(mark := custom.get(payload.MARK), dict):
        if way := mark.get(payload.ENCRYPTED):
            found = encryption.unseal(f"job {body.jobtype} {body.jid}", args, way)
            args, mark = found.args, {"kinds": found.kinds, "kwargs": found.kwargs}
        args = arguments.decode(args, mark.get("kinds") or {})
        if mark.get("kwargs"):
            *args, kwargs = args
    attempt = 1
    if claimed.failure:
        attempt += payload.retry_count_of(claimed.failure) + 1
    return CurrentJob(
        jid=body.jid,
        jobtype=body.jobtype,
        queue=claimed.queue,
        attempt=attempt,
        args=args,
        kwargs=kwargs,
        custom=custom,
        retry=retry,
        reserve_for=reserve_for,
        enqueued=claimed.enqueued_at,
        created=body.created_at,
    )


def _unknown(jobtype: str) -> str:
    module, _, _ = jobtype.rpartition(".")
    where = f"{module} (is its app in INSTALLED_APPS?)" if module else "the jobs.py of an app"
    return f"no job is registered as {jobtype!r}; it is expected in {where}"


@cache
def _handler(definition: registry.Definition, is_async: bool) -> Callable[[CurrentJob], Any]:  # noqa: FBT001
    function = definition.function

    if definition.iterable and is_async:

        async def adrive(job: CurrentJob) -> Any:
            await _iteration().adrive(function(*job.args, **job.kwargs))

        innermost: Callable[[CurrentJob], Any] = adrive
    elif definition.iterable:

        def drive(job: CurrentJob) -> Any:
            _iteration().drive(function(*job.args, **job.kwargs))

        innermost = drive
    elif is_async:

        async def perform(job: CurrentJob) -> Any:
            return await function(*job.args, **job.kwargs)

        innermost = perform
    else:

        def innermost(job: CurrentJob) -> Any:
            return function(*job.args, **job.kwargs)

    return middleware.chain(settings.get().perform_middleware, innermost, is_async=is_async)


class Guard(Protocol):
    """What keeps a run within its time."""

    def enter(self, prepared: Prepared) -> None:
        """The run begins."""

    def leave(self) -> None:
        """The run has ended: nothing is raised in it any more."""


def run(prepared: Prepared, *, waited: float, using: str, guard: Guard | None = None) -> Outcome:
    """Run a sync job and return what became of it; only the interpreter's end gets past."""
    started = time.monotonic()
    error: BaseException | None = None
    acked = False
    try:
        try:
            if guard is not None:
                guard.enter(prepared)
            acked = _perform(prepared, waited, started, using)
        except BaseException as raised:  # noqa: BLE001 - the application's function raised it
            error = raised
        if guard is not None:
            guard.leave()
    except (JobTimeout, JobCancelled) as late:  # it came between the end of the job and leave()
        error = error or late
        if guard is not None:
            guard.leave()
    return conclude(prepared, waited, time.monotonic() - started, None if acked else error, acked)


def _perform(prepared: Prepared, waited: float, started: float, using: str) -> bool:
    definition, job = _ready(prepared)
    token = _current.set(job)
    try:
        _send(signals.started, job)
        handler = _handler(definition, is_async=definition.is_async)
        if definition.iterable:
            _checkpoint.set(iteration := _begun(prepared, definition, job, using))
            iteration.load()
        if definition.iterable or not definition.atomic:
            prepared.returned = handler(job)
            return False
        with transaction.atomic(using=using):
            prepared.returned = handler(job)
            run_seconds = time.monotonic() - started
            claimed = prepared.claimed
            ack_last(
                claimed.id,
                claimed.lease,
                wait_seconds=waited,
                run_seconds=run_seconds,
                using=using,
                note=notes.of_success(prepared, waited, run_seconds),
            )
        return True
    finally:
        _current.reset(token)
        if definition.iterable:
            _checkpoint.set(None)


async def arun(prepared: Prepared, using: str) -> None:
    """Run an async job; what it raises is the caller's."""
    definition, job = _ready(prepared)
    token = _current.set(job)
    try:
        _send(signals.started, job)
        if definition.iterable:
            _checkpoint.set(iteration := _begun(prepared, definition, job, using))
            await sync_to_async(iteration.load)()
        prepared.returned = await _handler(definition, is_async=True)(job)
    finally:
        _current.reset(token)  # async_to_sync hands the context to its caller
        if definition.iterable:
            _checkpoint.set(None)


def _begun(
    prepared: Prepared, definition: registry.Definition, job: CurrentJob, using: str
) -> Iteration:
    limit, atomic = prepared.limit_seconds, definition.atomic
    return Iteration(job, prepared.claimed, limit_seconds=limit, atomic=atomic, using=using)


def _iteration() -> Iteration:
    found = _checkpoint.get()
    assert isinstance(found, Iteration)  # noqa: S101 - set by who calls the handler
    return found


def _ready(prepared: Prepared) -> tuple[registry.Definition, CurrentJob]:
    if prepared.cancelled:
        raise JobCancelled("the job was cancelled before it started")
    if prepared.error is not None:
        raise prepared.error
    if prepared.definition is None or prepared.job is None:
        raise UnknownJobType(_unknown(prepared.jobtype))
    return prepared.definition, prepared.job


def conclude(
    prepared: Prepared,
    waited: float,
    ran: float,
    raised: BaseException | None,
    acked: bool = False,  # noqa: FBT001, FBT002
) -> Outcome:
    """Return the outcome of a run that raised, or did not."""
    outcome = Outcome(prepared.claimed, prepared.jobtype, waited, ran, acked=acked)
    outcome.job = prepared.job
    outcome.is_async = prepared.is_async
    if raised is None:
        outcome.note = None if acked else notes.of_success(prepared, waited, ran)
        if prepared.job is not None:
            _send(signals.succeeded, prepared.job)
        return outcome
    if isinstance(raised, JobInterrupted):
        outcome.rests = True
        return outcome
    outcome.note = notes.of_failure(prepared, waited, ran)
    outcome.raised = raised
    outcome.error = error_of(prepared, raised)
    outcome.counts = not _leaves_quietly(prepared, raised)
    outcome.verdict = _verdict(prepared, raised, outcome.error)
    if outcome.counts and prepared.job is not None:
        _send(signals.failed, prepared.job, error=raised)
    return outcome


def _verdict(prepared: Prepared, raised: BaseException, error: Error) -> Verdict:
    if _is_cancelled(prepared, raised):
        return Verdict(Fate.CANCELLED)
    if isinstance(raised, Snooze):
        return Verdict(Fate.SNOOZE, delay_seconds=raised.delay_seconds)
    if _leaves_quietly(prepared, raised):
        return Verdict(Fate.GONE)
    delay = delay_of(prepared.definition)
    if isinstance(raised, Retry) and (asked := raised.delay_seconds) is not None:
        return judge(prepared.retry, prepared.claimed.failure, error, delay=lambda _: asked)
    if isinstance(raised, UnreadableArguments):  # whatever the job says, it is not lost
        return judge(
            prepared.retry,
            prepared.claimed.failure,
            error,
            delay=delay,
            kill=prepared.retry == 0,
        )
    retry_on = prepared.definition.retry_on if prepared.definition else None
    hopeless = (
        retry_on is not None
        and prepared.retry != 0
        and not isinstance(raised, (*retry_on, JobTimeout, Retry))
    )
    kill = hopeless or isinstance(raised, Kill)
    return judge(prepared.retry, prepared.claimed.failure, error, delay=delay, kill=kill)


def _leaves_quietly(prepared: Prepared, raised: BaseException) -> bool:
    if isinstance(raised, (Snooze, Discard)) or _is_cancelled(prepared, raised):
        return True
    if isinstance(raised, UnreadableArguments):
        return False
    return prepared.definition is not None and isinstance(raised, prepared.definition.discard_on)


def _is_cancelled(prepared: Prepared, raised: BaseException) -> bool:
    if isinstance(raised, asyncio.CancelledError):
        return prepared.cancelled
    return isinstance(raised, JobCancelled)


def error_of(prepared: Prepared, raised: BaseException) -> Error:
    """Return what went wrong as it is kept; an exception that cannot be printed is named."""
    if isinstance(raised, JobTimeout):
        timeout = prepared.definition.timeout_seconds if prepared.definition else None
        backtrace = _backtrace(prepared, raised)
        if prepared.definition is not None and prepared.definition.iterable:
            limit = timeout or (prepared.job.reserve_for if prepared.job else 0)
            message = f"the job ran longer than {limit:g} s without a checkpoint"
            return Error.cut("JobTimeout", message, backtrace)
        if prepared.extended:
            message = (
                "the job ran longer than the time it had asked for "
                f"({prepared.limit_seconds:.0f} s in all)"
            )
            name = "ReservationExpired" if timeout is None else "JobTimeout"
            return Error.cut(name, message, backtrace)
        if timeout is not None:
            message = f"the job ran longer than its timeout_seconds ({timeout})"
            return Error.cut("JobTimeout", message, backtrace)
        return Error.cut(
            "ReservationExpired",
            f"the job ran longer than its reserve_for ({prepared.limit_seconds:.0f} s)",
            backtrace,
        )
    kind = type(raised)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _dotted(kind)
    try:
        message = str(raised)[:10_000]
    except BaseException:  # noqa: BLE001 - the application's __str__
        message = f"<{name} that cannot be printed>"
    return Error.cut(name, message, _backtrace(prepared, raised))


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _backtrace(prepared: Prepared, raised: BaseException) -> list[str]:
    """Return the application's frames, the innermost last; those of the runner are left out."""
    frames = [
        frame
        for frame in traceback.extract_tb(raised.__traceback__, limit=-25)
        if not frame.filename.startswith(_OURS)
    ]
    lines = [line for text in traceback.format_list(frames) for line in text.splitlines()]
    # Without the lines of carets: they would take the place of lines that say something.
    lines = [line for line in lines if line.strip(" ^~")]
    return lines[-prepared.backtrace :]  # all of them for 0


def _send(signal: Any, job: CurrentJob, **facts: Any) -> None:
    if signal.receivers:
        try:
            signal.send_robust(job.jobtype, job=job, **facts)
        except BaseException:  # send_robust lets SystemExit and its kin through
            logger.exception("a receiver of a signal would have ended the worker")
