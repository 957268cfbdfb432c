"""@periodic: a job is pushed by a schedule; and the entries of FAKTORY["CRON"]."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from faktory_django import arguments, crontab, payload, registry, settings
from faktory_django.errors import InvalidArguments, InvalidOption
from faktory_django.features.cron import ALL, LAST, POLICIES
from faktory_django.schedule import read

from . import noted
from . import options as checks
from .jobs import Job
from .requests import PushRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")

MIN_WITHIN: Final = 60
MAX_WITHIN: Final = 366 * 86_400
# Of a job, as @job and .set() take them; the database is that of the entries.
OPTIONS: Final = {
    name: check for name, check in checks.PUSH_OPTIONS.items() if name not in {"using", "batch"}
}
SAID_IN_CUSTOM: Final = frozenset({"custom", *noted.OPTIONS})
KEYS: Final = ("job", "schedule", "tz", "args", "kwargs", "missed", "within", *OPTIONS)


def periodic(
    schedule: str,
    *,
    tz: str | None = None,
    name: str | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    missed: str = LAST,
    within: float | timedelta | None = None,
) -> Callable[[Job[P, R]], Job[P, R]]:
    """Push a job by a schedule, once a tick however many workers and servers run.

    schedule has five fields, six with seconds in front, or is a name such as @daily; tz is the
    zone it is told in, TIME_ZONE by default; name is what people know the entry by, the jobtype
    by default; missed says what becomes of ticks at which nobody ran: "skip", "last" or "all",
    none of them older than within (seconds or timedelta). Stands above @job.

    Raises InvalidOption, and TypeError for arguments that do not fit the job.
    """

    def declare(job: Job[P, R]) -> Job[P, R]:
        if not isinstance(job, Job):
            raise InvalidOption(f"@periodic stands above @job, got {checks.shown(job)}")
        inspect.signature(job.definition.function).bind(*args, **(kwargs or {}))
        options = dict(job.options)
        if options.pop("using", None) not in {None, _database()}:
            raise InvalidOption(f"{job.jobtype} goes to another database than cron entries do")
        crontab.declare(
            entry(
                name or job.jobtype,
                job.jobtype,
                schedule,
                tz=tz,
                args=args,
                kwargs=kwargs,
                missed=missed,
                within=within,
                **options,
            )
        )
        return job

    return declare


def entry(
    name: str,
    jobtype: str,
    schedule: str,
    *,
    tz: str | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    missed: str = LAST,
    within: float | timedelta | None = None,
    **options: Any,
) -> crontab.Declared:
    """Return an entry, checked. Raises InvalidOption, InvalidQueueName or InvalidArguments."""
    check_name(name)
    checks.check_options({"name": jobtype}, checks.JOB_OPTIONS)
    checks.check_options(options, OPTIONS)
    zone = settings.project("TIME_ZONE") if tz is None else tz
    read(schedule, zone)
    text, kinds = arguments.encode(args, kwargs or {}, max_depth=_depth())
    custom = _custom(jobtype, args, kwargs or {}, options)
    if note := payload.noted(kinds, named=bool(kwargs)):
        custom[payload.MARK] = note
    return crontab.Declared(
        name=name,
        jobtype=jobtype,
        schedule=schedule,
        zone=zone,
        args=text,
        custom=json.dumps(custom, ensure_ascii=False) if custom else "",
        missed=missed,
        within_seconds=check_missed(missed, within),
        **{name: value for name, value in options.items() if name not in SAID_IN_CUSTOM},
    )


def _custom(
    jobtype: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the jobs of an entry say in custom, by its options and those of its job."""
    definition = registry.find(jobtype)
    own = definition.options if definition else {}
    features = {name: own[name] for name in noted.OPTIONS if name in own}
    said = dict(options.get("custom") or {})
    encrypt = definition is not None and definition.encrypt
    options = {**features, **options}
    request = PushRequest("", jobtype, args, kwargs, options, said, encrypt=encrypt)
    return {**noted.noted(request), **said} if noted.are_asked_for(request) else said


def check_name(name: Any) -> None:
    """Raise InvalidOption unless this can be the name of an entry."""
    right = isinstance(name, str) and name.isprintable()
    if not right or not 1 <= len(name) <= crontab.MAX_NAME:
        raise InvalidOption(
            f"the name of a cron entry must be a str of 1 to {crontab.MAX_NAME} printable "
            f"characters, got {checks.shown(name)}"
        )


def check_missed(missed: Any, within: Any) -> int | None:
    """Return within in seconds, None for however old. Raises InvalidOption."""
    if missed not in POLICIES:
        raise InvalidOption(f"missed must be one of {POLICIES}, got {checks.shown(missed)}")
    seconds = within.total_seconds() if isinstance(within, timedelta) else within
    if seconds is None:
        if missed == ALL:
            raise InvalidOption('missed="all" needs within=, how old a tick may be')
        return None
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not MIN_WITHIN <= seconds <= MAX_WITHIN:
        raise InvalidOption(
            f"within must be {MIN_WITHIN} to {MAX_WITHIN} seconds, got {checks.shown(within)}"
        )
    return int(seconds)


def of_settings() -> list[crontab.Declared]:
    """Return the entries of FAKTORY["CRON"]. Raises FaktoryError, which names the entry."""
    return [_of_setting(name, said) for name, said in settings.get().cron.items()]


def declare_settings() -> None:
    """Take the entries of the settings for what this process declares. Raises as of_settings()."""
    crontab.declare_settings(of_settings())


def _of_setting(name: str, said: Mapping[str, Any]) -> crontab.Declared:
    key = f"FAKTORY['CRON'][{name!r}]"
    unknown = [word for word in said if word not in KEYS]
    if unknown:
        raise InvalidOption(f"{key} has no key {unknown[0]!r}; it knows {', '.join(KEYS)}")
    missing = [word for word in ("job", "schedule") if word not in said]
    if missing:
        raise InvalidOption(f"{key} needs a {missing[0]}")
    given = {word: said[word] for word in said if word not in {"job", "schedule"}}
    try:
        check_fit(said["job"], said.get("args", ()), said.get("kwargs") or {})
        return entry(name, said["job"], said["schedule"], **given)
    except InvalidOption as wrong:
        raise InvalidOption(f"{key}: {wrong}") from wrong
    except ValueError as wrong:  # arguments, a queue
        raise type(wrong)(f"{key}: {wrong}") from wrong


def check_fit(jobtype: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise InvalidArguments when they do not fit the function that has this name here."""
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
        raise InvalidArguments("args must be a list, and kwargs a dict")
    if isinstance(jobtype, str) and (definition := registry.find(jobtype)) is not None:
        checks.check_fit(jobtype, definition.function, args, kwargs)


def _database() -> str | None:
    try:
        return settings.get().database
    except InvalidOption:  # manage.py check says it, if the modules with jobs can be imported
        return None


def _depth() -> int:
    try:
        return settings.get().max_argument_depth
    except InvalidOption:
        return settings.FaktorySettings().max_argument_depth
