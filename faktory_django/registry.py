"""Registry: jobtype -> what runs it. A payload names a jobtype, never code."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps

from faktory_django.errors import DuplicateJobType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

# The jobtype of the jobs that run on_dead hooks.
ON_DEAD: Final = "faktory_django.on_dead"

ErrorTypes = tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """All that is known of a jobtype; function is what performs it.

    timeout_seconds None means the job's own reserve_for; options are those of its pushes. An
    iterable job is a generator function: it yields its checkpoints.
    """

    jobtype: str
    function: Callable[..., Any]
    is_async: bool = False
    aliases: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    atomic: bool = False
    backoff: Callable[[int], float | timedelta] | None = None
    retry_on: ErrorTypes | None = None
    discard_on: ErrorTypes = ()
    on_dead: Callable[[dict[str, Any]], Any] | None = None
    redact: tuple[str, ...] = ()
    encrypt: bool = False
    iterable: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


_definitions: dict[str, Definition] = {}


def register(definition: Definition) -> None:
    """Make a jobtype and its aliases known.

    The same function again replaces itself (a module loaded twice); another function under a
    name in use raises DuplicateJobType.
    """
    for name in (definition.jobtype, *definition.aliases):
        known = _definitions.get(name)
        if known is not None and _place(known) != _place(definition):
            raise DuplicateJobType(
                f"jobtype {name!r} belongs to {_place(known)}, {_place(definition)} claims it too"
            )
    for name in (definition.jobtype, *definition.aliases):
        _definitions[name] = definition


def find(jobtype: str) -> Definition | None:
    """Return what is registered under a jobtype or alias, or None."""
    return _definitions.get(jobtype)


def discovered(jobtype: str) -> Definition | None:
    """Return what is registered, after a look into jobs.py of every app if nothing was.

    For web processes, which may not have imported the module that declares the job. Raises what
    such a module raises.
    """
    if (found := find(jobtype)) is None:
        _discover()
        found = find(jobtype)
    return found


def definitions() -> list[Definition]:
    """Return all definitions, each once, by jobtype."""
    return sorted({d.jobtype: d for d in _definitions.values()}.values(), key=lambda d: d.jobtype)


@cache
def _discover() -> None:
    config: Any = apps.get_app_config("faktory_django")
    config.discover_jobs()


def _place(definition: Definition) -> str:
    function = definition.function
    return f"{function.__module__}.{function.__qualname__}"
