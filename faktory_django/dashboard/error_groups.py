"""Error groups: failures that are the same but for numbers in their messages.

Among the next 5,000 retries and the latest 5,000 dead jobs: no index knows errors.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from faktory_django import contents
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.matching_sql import HEAD
from faktory_django.search import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

WINDOW: Final = 5_000
MAX_GROUPS: Final = 2_000
MAX_PATTERN: Final = 180
SHOWN: Final = 100
TYPES_SHOWN: Final = 3

# The text after a key of the JSON, which may be what no cast accepts, up to the quotation mark that
# ends it; one inside has a backslash before it, so a key is found only where it is one. Casts and
# regular expressions would take five times as long.
_TEXT: Final = """replace(split_part(replace(left(
        split_part(f.head, '"{key}":', 2), {length}), '\\"', chr(1)), '"', 2), chr(1), '\\"')"""
_FAILURES: Final = f"""
SELECT '{{place}}' AS place, {_TEXT.format(key="errtype", length=120)} AS errtype,
    {_TEXT.format(key="message", length=200)} AS message,
    w.jobtype, count(*) AS number, min(w.at) AS first_at, max(w.at) AS last_at
FROM (
    SELECT s.{{at}} AS at, s.queue, s.jobtype, s.failure
    FROM {{table}} s
    ORDER BY s.{{at}} {{way}}, s.id {{way}}
    LIMIT %(window)s
) AS w
CROSS JOIN LATERAL (SELECT {HEAD.format(failure="w.failure")} AS head OFFSET 0) AS f
WHERE %(queues)s::text[] IS NULL OR w.queue = ANY(%(queues)s::text[])
GROUP BY 1, 2, 3, 4
"""
GROUPS: Final = f"""
SELECT place, errtype, message, jobtype, number, first_at, last_at,
    sum(number) OVER (PARTITION BY place)::bigint
FROM (
    {_FAILURES.format(place="retries", at="due_at", way="ASC", table="faktory_django_retryjob")}
    UNION ALL
    {_FAILURES.format(place="dead", at="died_at", way="DESC", table="faktory_django_deadjob")}
) AS g
ORDER BY number DESC, place, errtype, message, jobtype
LIMIT %(groups)s
"""
# What differs from one failure to the next: numbers, ids, addresses in memory.
_VARIES: Final = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|0x[0-9a-fA-F]+"
    r"|\b(?=[0-9a-f]*[0-9])[0-9a-f]{12,}\b|\d+|[\x00-\x1f\ud800-\udfff]+"
)

_CUT: Final = re.compile(r"\\(u[0-9a-fA-F]{0,3})?$")


@dataclass(slots=True)
class Group:
    """One error; pattern is its line with * for what varies, which a search finds again."""

    errtype: str
    message: str
    pattern: str
    retries: int = 0
    dead: int = 0
    last_at: datetime | None = None
    next_at: datetime | None = None
    types: Counter[str] = field(default_factory=Counter)

    @property
    def number(self) -> int:
        """How many jobs it stands for."""
        return self.retries + self.dead

    @property
    def search(self) -> str:
        """The part of an address that finds its jobs."""
        return urlencode({"q": f"error:{quoted(self.pattern)}"})

    @property
    def most(self) -> list[tuple[str, int]]:
        """The types of job that fail of it most often."""
        return self.types.most_common(TYPES_SHOWN)

    @property
    def more_types(self) -> int:
        """How many other types do."""
        return max(len(self.types) - TYPES_SHOWN, 0)


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups, the largest first; looked is how many jobs they were made of, in each place."""

    groups: list[Group]
    looked: dict[str, int]

    @property
    def cut(self) -> bool:
        """Whether there may be more jobs than were looked at."""
        return any(number >= WINDOW for number in self.looked.values())


def groups(queues: Sequence[str] | None) -> Groups:
    """Return the errors of jobs in these queues, None for all; one query."""
    names = None if queues is None else list(queues)
    params = {"window": WINDOW, "groups": MAX_GROUPS, "queues": names}
    found: dict[str, Group] = {}
    looked: dict[str, int] = {}
    for row in execute(database(None), GROUPS, params):
        place, errtype, message, *rest = row
        looked[place] = int(rest[4])
        group = _group(_unescaped(errtype), _unescaped(message))
        _add(found.setdefault(group.pattern, group), place, rest)
    largest = sorted(found.values(), key=lambda group: (-group.number, group.pattern))
    return Groups(largest, looked)


def pattern_of(errtype: str, message: str) -> str:
    """Return the line of an error with * in the place of what varies; empty for no error."""
    if not errtype and not message:
        return ""
    line = f"{errtype}: {message}"[:MAX_PATTERN]
    return re.sub(r"\*[*\s]*\*", "*", _VARIES.sub("*", line)).strip()


def _group(errtype: str, message: str) -> Group:
    return Group(contents.line(errtype), contents.line(message), pattern_of(errtype, message))


def _add(group: Group, place: str, rest: Sequence[Any]) -> None:
    jobtype, number, first_at, last_at = rest[:4]
    group.types[jobtype] += number
    if place == "dead":
        group.dead += number
        group.last_at = max(filter(None, (group.last_at, last_at)))
    else:
        group.retries += number
        group.next_at = min(filter(None, (group.next_at, first_at)))


def _unescaped(text: str | None) -> str:
    """Return a string as JSON means it; it may have been cut inside an escape."""
    for written in (text or "", _CUT.sub("", text or "")):
        try:
            return str(json.loads(f'"{written}"', strict=False))
        except ValueError:
            continue
    return text or ""
