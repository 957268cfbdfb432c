"""@job: a function becomes a job that can be pushed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Set
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from asgiref.sync import async_to_sync, sync_to_async

from faktory_django import encryption, payload, registry, settings
from faktory_django.errors import (
    InvalidArguments,
    InvalidOption,
    InvalidTime,
)

from . import cancelling, fairness, inspection, limits, results, unique
from . import options as checks
from .joining import keys
from .middleware import push_chain
from .requests import PushRequest, checked
from .signatures import Signature
from .storing import STOPPED, JobHandle, Stored, announced, store, store_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta


P = ParamSpec("P")
R = TypeVar("R")


class Job(Generic[P, R]):
    """A function that can be pushed, and still be called.

    `set(queue=..., priority=..., retry=..., reserve_for=..., using=...)` returns a variant.
    All push methods raise TypeError when the arguments do not fit the function, and
    InvalidPayload when the job cannot be stored; then nothing is.
    """

    def __init__(
        self,
        function: Callable[P, R],
        definition: registry.Definition,
        options: Mapping[str, Any],
    ) -> None:
        self.definition = definition
        self._function = function
        self._options = options
        self._signature = inspect.signature(definition.function)
        self._positions = _positions(self._signature)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Job {self.definition.jobtype}>"

    @property
    def jobtype(self) -> str:
        """The name that workers of all languages know it by."""
        return self.definition.jobtype

    @property
    def options(self) -> Mapping[str, Any]:
        """What @job and .set() have said about its pushes."""
        return self._options

    @property
    def _using(self) -> str | None:
        using: str | None = self._options.get("using")
        return using

    def set(self, **options: Any) -> Job[P, R]:
        """Return this job with other options for its pushes.

        Raises InvalidOption or InvalidQueueName.
        """
        checks.check_options(options, checks.PUSH_OPTIONS)
        fairness.check_signature(self.jobtype, self._signature, options)
        if "limit" in options:
            limits.check_keys(self.jobtype, options["limit"], self._signature)
        return Job(self._function, self.definition, {**self._options, **options})

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """Return the job with its arguments, for batches, chains and groups."""
        return Signature(self, args, kwargs)

    @staticmethod
    def status(jid: str, *, using: str | None = None) -> inspection.JobStatus:
        """Return what became of a job, of any jobtype; one query, two when it is nowhere."""
        return inspection.status(jid, using=using)

    @staticmethod
    async def astatus(jid: str, *, using: str | None = None) -> inspection.JobStatus:
        """status for async code."""
        return await sync_to_async(inspection.status)(jid, using=using)

    @staticmethod
    def result(jid: str, *, using: str | None = None) -> Any:
        """Return what a job has returned, of any jobtype, when it was pushed with keep_result.

        Raises NoResult, which says why there is none.
        """
        return results.result(jid, using=using)

    @staticmethod
    async def aresult(jid: str, *, using: str | None = None) -> Any:
        """result for async code."""
        return await sync_to_async(results.result)(jid, using=using)

    @staticmethod
    def cancel(
        jid: str,
        *,
        kill_after: float | timedelta | None = None,
        by: str = "",
        using: str | None = None,
    ) -> str:
        """Cancel a job, of any jobtype: "cancelled" at once, "asked" to stop, or "not found".

        A run that has not stopped kill_after seconds later is ended by force.
        """
        return cancelling.cancel(jid, kill_after=kill_after, by=by, using=using)

    @staticmethod
    async def acancel(
        jid: str,
        *,
        kill_after: float | timedelta | None = None,
        by: str = "",
        using: str | None = None,
    ) -> str:
        """cancel for async code."""
        wish = sync_to_async(cancelling.cancel)
        return await wish(jid, kill_after=kill_after, by=by, using=using)

    def perform_async(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Push the job: it runs as soon as the transaction has committed.

        The handle is false when a middleware stopped the push, or when another job holds the unique
        lock and this one was refused.
        """
        return self._push_one(args, kwargs)

    def perform_in(self, delay: float | timedelta, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Push the job to run after delay (seconds or timedelta), by the database's clock."""
        return self._push_one(args, kwargs, delay_seconds=checks.delay_seconds(delay))

    def perform_at(self, when: datetime, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Push the job to run at an aware datetime; at once when that has passed."""
        return self._push_one(args, kwargs, at=checks.instant(when))

    def perform_bulk(
        self,
        args_list: Iterable[Sequence[Any]],
        *,
        at: datetime | None = None,
        delay: float | timedelta | None = None,
    ) -> list[JobHandle]:
        """Push one job for each list of positional arguments, a statement for each thousand.

        All or none. Jobs that a middleware stopped are missing from the result; duplicates of
        unique jobs are in it, with handles that say what became of them.
        """
        if at is not None and delay is not None:
            raise InvalidTime(f"either at or delay, got at={at!r} and delay={delay!r}")
        when: dict[str, Any] = {
            "at": None if at is None else checks.instant(at),
            "delay_seconds": None if delay is None else checks.delay_seconds(delay),
        }
        rows = [_listed(args) for args in args_list]
        size = settings.get().max_bulk_rows
        if len(rows) <= size or unique.may_be_asked_for(self._options):
            # a unique job takes its lock in the order of all keys, which a page does not know
            return announced(self.jobtype, self._push_rows(rows, when), using=self._using)
        # a decorator may run before the app registry is ready; a push cannot
        from faktory_django.lifecycle.push import together  # noqa: PLC0415

        with together(using=self._using):
            pages = [rows[start : start + size] for start in range(0, len(rows), size)]
            stored = [one for page in pages for one in self._push_rows(page, when)]
        return announced(self.jobtype, stored, using=self._using)

    async def aperform_async(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """perform_async for async code, in the transaction of the surrounding sync_to_async."""
        return await sync_to_async(self.perform_async)(*args, **kwargs)

    async def aperform_in(
        self, delay: float | timedelta, *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle:
        """perform_in for async code."""
        return await sync_to_async(self.perform_in)(delay, *args, **kwargs)

    async def aperform_at(self, when: datetime, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """perform_at for async code."""
        return await sync_to_async(self.perform_at)(when, *args, **kwargs)

    async def aperform_bulk(
        self,
        args_list: Iterable[Sequence[Any]],
        *,
        at: datetime | None = None,
        delay: float | timedelta | None = None,
    ) -> list[JobHandle]:
        """perform_bulk for async code."""
        return await sync_to_async(self.perform_bulk)(args_list, at=at, delay=delay)

    def _push_one(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        at: datetime | None = None,
        delay_seconds: float | None = None,
    ) -> JobHandle:
        request = self._request(args, kwargs, {"at": at, "delay_seconds": delay_seconds})
        return self._push(request) if request is not None else STOPPED

    def _request(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        when: Mapping[str, Any] | None = None,
        *,
        custom: Mapping[str, Any] | None = None,
    ) -> PushRequest | None:
        """Return a push, as the middleware wants it; None when it stops it. custom is added."""
        self._check_fit(args, kwargs)
        request: PushRequest | None = PushRequest(
            jid=payload.new_jid(),
            jobtype=self.definition.jobtype,
            args=args,
            kwargs=kwargs,
            options=self._options,
            custom={**(self._options.get("custom") or {}), **keys(self._options), **(custom or {})},
            encrypt=self.definition.encrypt,
            **(when or {}),
        )
        if (middleware := push_chain()) is not None:
            request = checked(middleware(request), encrypt=self.definition.encrypt)
            if request is not None and request.jobtype == self.definition.jobtype:
                self._check_fit(request.args, request.kwargs)
        return request

    def _check_fit(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        least, most = self._positions
        if kwargs or not least <= len(args) <= most:
            self._signature.bind(*args, **kwargs)  # slower, and says what does not fit

    def _push(self, request: PushRequest) -> JobHandle:
        stored = None
        if request.at is None and request.delay_seconds is None:
            stored = store_alike(request, [request.jid], [request.args], using=self._using)
        stored = stored or store([request], using=self._using)
        [handle] = announced(self.jobtype, stored, using=self._using)
        return handle

    def _push_rows(self, rows: Sequence[Sequence[Any]], when: Mapping[str, Any]) -> list[Stored]:
        """Push in one statement."""
        if rows and push_chain() is None and not any(when.values()):
            for args in rows:
                self._check_fit(args, {})
            custom = {**(self._options.get("custom") or {}), **keys(self._options)}
            jids = payload.new_jids(len(rows))
            like = PushRequest(jids[0], self.jobtype, (), {}, self._options, custom)
            like.encrypt = self.definition.encrypt
            if (stored := store_alike(like, jids, rows, using=self._using)) is not None:
                return stored
        requests = [self._request(args, {}, when) for args in rows]
        return store([r for r in requests if r is not None], using=self._using)


def _positions(signature: inspect.Signature) -> tuple[float, float]:
    """Return how many arguments by position alone fit for certain: from the least to the most."""
    kinds = inspect.Parameter
    least, most = 0.0, 0.0
    for parameter in signature.parameters.values():
        required = parameter.default is kinds.empty
        if parameter.kind in {kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD}:
            most += 1
            least += required
        elif parameter.kind is kinds.VAR_POSITIONAL:
            most = math.inf
        elif parameter.kind is kinds.KEYWORD_ONLY and required:
            least = math.inf
    return least, most


def _listed(args: Any) -> Sequence[Any]:
    # A forgotten bracket: the letters of a text would be its arguments.
    if isinstance(args, (str, bytes, Mapping, Set)) or not isinstance(args, Iterable):
        raise InvalidArguments(
            f"each job of a bulk push is a list of arguments, got {checks.shown(args)}"
        )
    return args if isinstance(args, (list, tuple)) else list(args)


@overload
def job(function: Callable[P, R], /) -> Job[P, R]: ...


@overload
def job(**options: Any) -> Callable[[Callable[P, R]], Job[P, R]]: ...


def job(function: Any = None, /, **options: Any) -> Any:
    """Make a function, a coroutine function, or a class with perform(), a job.

    A generator function becomes an iterable job: what it yields are its checkpoints.

    Options: name, aliases, queue, priority (-100 to 100), retry (-1 to 1000), reserve_for
    (60 to 86400 s), timeout_seconds (at most reserve_for), backtrace, custom, using, history (1 to
    366 days or a timedelta for which it is kept when it has ended, False), keep_result,
    limit (a Limit, a Rate or a list of them), atomic,
    backoff (retries so far -> seconds or timedelta), retry_on, discard_on (exception classes),
    unique_for (seconds or timedelta: no other job with the same arguments is let in for so long),
    unique_until ("success" or "start"), unique_key (names of arguments, or a callable that takes
    them), on_duplicate ("refuse", "raise", "existing", "replace" or "debounce"), expires_in
    (seconds or timedelta: it is thrown away when it has not started by then), expires_at,
    on_dead (called with the job hash of a job that died), redact (words of keys and parameters
    whose values no page shows), encrypt (the arguments are stored encrypted).

    Raises InvalidOption or InvalidQueueName, and DuplicateJobType for a name in use.
    """
    checks.check_options(options, checks.JOB_OPTIONS)
    if function is None:
        return lambda wrapped: _define(wrapped, options)
    return _define(function, options)


def _define(wrapped: Any, options: Mapping[str, Any]) -> Job[Any, Any]:
    function = _performer(wrapped)
    inner = getattr(wrapped, "perform", wrapped)
    yields_async = inspect.isasyncgenfunction(inner)
    is_async = inspect.iscoroutinefunction(function) or yields_async
    jobtype = options.get("name") or f"{wrapped.__module__}.{wrapped.__qualname__}"
    if is_async and options.get("atomic"):
        raise InvalidOption(
            f"{jobtype} is async; atomic=True needs a plain function, "
            "for a transaction belongs to one thread"
        )
    _check_timeout(options)
    fairness.check_signature(jobtype, inspect.signature(function), options)
    if "limit" in options:
        limits.check_keys(jobtype, options["limit"], inspect.signature(function))
    if options.get("encrypt") and not encryption.is_installed():
        raise InvalidOption(f"{jobtype} has encrypt=True: {encryption.NO_EXTRA}")
    own: dict[str, Any] = {
        k: options[k] for k in options if k not in checks.PUSH_OPTIONS and k != "name"
    }
    own |= {k: tuple(own[k]) for k in _TUPLES if k in own}
    pushed_with = {k: options[k] for k in options if k in checks.PUSH_OPTIONS}
    definition = registry.Definition(
        jobtype=jobtype,
        function=function,
        is_async=is_async,
        iterable=yields_async or inspect.isgeneratorfunction(inner),
        options=pushed_with,
        **own,
    )
    registry.register(definition)
    return Job(wrapped, definition, pushed_with)


_TUPLES = ("aliases", "retry_on", "discard_on", "redact")


def _check_timeout(options: Mapping[str, Any]) -> None:
    if (timeout := options.get("timeout_seconds")) is None:
        return
    reserve_for = options.get("reserve_for") or _default_reserve_for()
    if timeout > reserve_for:
        raise InvalidOption(
            f"timeout_seconds must be at most reserve_for ({reserve_for}), got {timeout!r}"
        )


def _default_reserve_for() -> int:
    try:
        return settings.get().default_reserve_for
    except InvalidOption:  # manage.py check says it, if the modules with jobs can be imported
        return checks.MAX_RESERVE_FOR


def _performer(wrapped: Any) -> Callable[..., Any]:
    """Return what runs a job: the function, or perform() of a new instance of the class."""
    if inspect.isclass(wrapped):
        return _performer_of_class(wrapped)
    if isinstance(wrapped, Job):
        raise InvalidOption(f"{wrapped.jobtype} is a job already")
    if not callable(wrapped) or not hasattr(wrapped, "__qualname__"):
        raise InvalidOption(f"@job wants a function or a class, got {wrapped!r}")
    function: Callable[..., Any] = wrapped
    return function


def _performer_of_class(wrapped: Any) -> Callable[..., Any]:
    perform = getattr(wrapped, "perform", None)
    if not callable(perform):
        raise InvalidOption(f"class {wrapped.__qualname__} has no method perform(self, ...)")
    _check_construction(wrapped)
    signature = inspect.signature(perform)
    own = list(signature.parameters.values())
    if not isinstance(inspect.getattr_static(wrapped, "perform"), (staticmethod, classmethod)):
        own = own[1:]  # self

    if inspect.iscoroutinefunction(perform):

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            return await wrapped().perform(*args, **kwargs)

        run: Callable[..., Any] = run_async
    else:

        def run(*args: Any, **kwargs: Any) -> Any:
            return wrapped().perform(*args, **kwargs)

    update_wrapper(run, perform)
    run.__module__, run.__qualname__ = wrapped.__module__, wrapped.__qualname__
    run.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    return run


def _check_construction(wrapped: type) -> None:
    try:
        inspect.signature(wrapped).bind()
    except TypeError as wrong:
        raise InvalidOption(
            f"class {wrapped.__qualname__} must be made without arguments: {wrong}"
        ) from None
    except ValueError:  # it is written in C and does not say
        return


def run_on_dead(jobtype: str, dead: dict[str, Any]) -> Any:
    """Call the on_dead hook of a jobtype with the job hash of the job that died, in the clear."""
    definition = registry.find(jobtype)
    if definition is None or (hook := definition.on_dead) is None:
        return None
    dead = encryption.opened(dead)
    return async_to_sync(hook)(dead) if inspect.iscoroutinefunction(hook) else hook(dead)


registry.register(registry.Definition(jobtype=registry.ON_DEAD, function=run_on_dead))
