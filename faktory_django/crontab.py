"""Crontab: the cron entries that code and settings of this process declare.

Upkeep writes them to the table of entries, together with what other releases declare.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from faktory_django import registry, settings
from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME: Final = 200


class Declared(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A cron entry; args and custom are texts of JSON.

    What is empty is as the job's own options say, else as the settings do.
    """

    name: str
    jobtype: str
    schedule: str
    zone: str
    args: str = "[]"
    queue: str = ""
    priority: int | None = None
    retry: int | None = None
    reserve_for: int | None = None
    backtrace: int = 0
    custom: str = ""
    missed: str = "last"
    within_seconds: int | None = None

    @property
    def definition(self) -> str:
        """All of it as JSON, which read() understands."""
        return msgspec.json.encode(self, order="sorted").decode()

    @property
    def fingerprint(self) -> str:
        """What differs where anything differs."""
        return hashlib.sha256(self.definition.encode()).hexdigest()


class Entry(Protocol):
    """A row of the table, or what is declared: as far as a push asks."""

    jobtype: Any
    queue: Any
    priority: Any
    retry: Any
    reserve_for: Any


class Options(msgspec.Struct, frozen=True):
    """With what a job of an entry is pushed."""

    queue: str
    priority: int
    retry: int
    reserve_for: int
    encrypt: bool


_in_code: dict[str, Declared] = {}
_in_settings: dict[str, Declared] = {}


def read(definition: str) -> Declared:
    """Read a definition, of this or of another release, whose further keys are passed over."""
    return msgspec.json.decode(definition, type=Declared)


def declare(entry: Declared) -> None:
    """Make an entry of code known. Raises InvalidOption for a name that another one has."""
    if _in_code.setdefault(entry.name, entry) != entry:
        raise InvalidOption(
            f"cron entry {entry.name!r} is declared twice; give one of them another name="
        )


def declare_settings(entries: Iterable[Declared]) -> None:
    """Take these for what the settings declare."""
    _in_settings.clear()
    _in_settings.update((entry.name, entry) for entry in entries)


def declared() -> list[Declared]:
    """Return all entries, by name; of two that share one the settings have the last word."""
    return [entry for _, entry in sorted({**_in_code, **_in_settings}.items())]


def forget(name: str) -> None:
    """Take back what was declared: for tests, which are all releases in one process."""
    _in_code.pop(name, None)
    _in_settings.pop(name, None)


def options_of(entry: Entry) -> Options:
    """Return the options of a push: the entry's own, else its job's, else those of the settings."""
    ours = settings.get()
    definition = registry.find(entry.jobtype)
    own = definition.options if definition else {}

    def first(given: Any, name: str, default: Any) -> Any:
        return given if given not in {None, ""} else own.get(name, default)

    return Options(
        queue=first(entry.queue, "queue", ours.default_queue),
        priority=first(entry.priority, "priority", 0),
        retry=first(entry.retry, "retry", ours.default_retry),
        reserve_for=first(entry.reserve_for, "reserve_for", ours.default_reserve_for),
        encrypt=definition is not None and definition.encrypt,
    )
