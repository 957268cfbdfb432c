"""Faktory's own cron files (protocol section 9.5), read into entries."""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import FaktoryError, InvalidOption

from .cron import entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from faktory_django.crontab import Declared

# Of a job in such a file; type and jobtype are the same.
KEYS: Final = frozenset(
    {"type", "jobtype", "args", "queue", "retry", "reserve_for", "backtrace", "priority", "custom"}
)


def entries_of(texts: Iterable[str], *, tz: str | None = None) -> list[Declared]:
    """Return the entries of some files, joined; each is known by its type, and by its schedule
    and a number where that is not enough.

    Raises InvalidOption, which says which entry is wrong.
    """
    found: list[Mapping[str, Any]] = []
    for text in texts:
        try:
            tables = tomllib.loads(text).get("cron", [])
        except tomllib.TOMLDecodeError as wrong:
            raise InvalidOption(f"not TOML: {wrong}") from wrong
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            raise InvalidOption("cron entries are written as [[cron]] tables")
        found += tables
    names = _names([(_type(one), str(one.get("schedule", ""))) for one in found])
    return [_entry(name, one, tz) for name, one in zip(names, found, strict=True)]


def _entry(name: str, table: Mapping[str, Any], tz: str | None) -> Declared:
    job = table.get("job")
    said = f"[[cron]] {name!r}"
    if not isinstance(job, dict) or "schedule" not in table:
        raise InvalidOption(f"{said} needs a schedule and a [cron.job]")
    unknown = sorted((set(table) - {"schedule", "job"}) | (set(job) - KEYS))
    if unknown:
        raise InvalidOption(f"{said} has a key {unknown[0]!r}, which is not known")
    options = {key: value for key, value in job.items() if key not in {"type", "jobtype", "args"}}
    custom = options.get("custom")
    if isinstance(custom, dict) and "priority" in custom:
        options["custom"] = {key: value for key, value in custom.items() if key != "priority"}
        options.setdefault("priority", custom["priority"])
    try:
        return entry(
            name, _type(table), table["schedule"], tz=tz, args=job.get("args", []), **options
        )
    except FaktoryError as wrong:
        raise InvalidOption(f"{said}: {wrong}") from wrong


def _type(table: Mapping[str, Any]) -> str:
    job = table.get("job")
    found = (job.get("type") or job.get("jobtype")) if isinstance(job, dict) else None
    return found if isinstance(found, str) else ""


def _names(entries: list[tuple[str, str]]) -> list[str]:
    types = Counter(jobtype for jobtype, _schedule in entries)
    wanted = [t if types[t] == 1 else f"{t} ({schedule})" for t, schedule in entries]
    seen: Counter[str] = Counter()
    names = []
    for name in wanted:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names
