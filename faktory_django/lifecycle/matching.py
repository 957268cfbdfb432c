"""Matching: entries of a set, or jobs that wait in a queue, that meet a search.

A look walks the order of the list, above a place in it, past a bounded number of entries: it costs
the same at any size, and says how far it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faktory_django import contents, redaction
from faktory_django.search import Query, Term

from . import matching_sql as sql
from .connection import execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper


# How many entries a look passes, and how many texts of jobs it reads.
WINDOW: Final = 10_000
# Of a queue the jobs are looked up one by one.
WINDOW_OF_QUEUE: Final = 5_000
CANDIDATES: Final = 1_000
LONGEST_BODY: Final = 65_536
_PLACE: Final = re.compile(r"(-?[0-9]{1,19})\.(-?[0-9]{1,19})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_RANKS: Final = 32_767


class Place(NamedTuple):
    """Where an entry stands in its list: time in microseconds, or lane; then id, or pos."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @classmethod
    def read(cls, text: str) -> Place:
        """Return the place that was written. Raises ValueError when it is none."""
        found = _PLACE.fullmatch(text)
        place = cls(int(found[1]), int(found[2])) if found else cls(0, 2**63)
        if max(map(abs, place)) >= 2**63:
            raise ValueError(f"a place is two numbers of 64 bits, got {text!r}")
        return place


@dataclass(frozen=True, slots=True)
class Source:
    """A list: "scheduled", "retries", "dead", "finished", or "waiting" of one queue.

    queues are those that the asker may see; None is all. Entries above last came in later.
    """

    target: str
    queue: str = ""
    queues: tuple[str, ...] | None = None
    last: int | None = None


class Entry(NamedTuple):
    """One entry. at is when it is due, died, ended or entered its queue.

    body is None when it is too long, or was not asked for, or is not kept. The last three are of
    finished jobs.
    """

    id: int
    place: Place
    number: int
    at: datetime
    queue: str
    priority: int
    jid: str
    jobtype: str
    enqueued_at: datetime | None
    body: str | None
    failure: str | None
    outcome: str = ""
    run_seconds: float | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found; whole says that it reached the end of the list, else it goes on at end."""

    entries: list[Entry]
    looked: int
    whole: bool
    end: Place | None


def find(
    connection: BaseDatabaseWrapper,
    source: Source,
    query: Query,
    *,
    after: Place | None = None,
    backwards: bool = False,
    limit: int,
    window: int = WINDOW,
    brief: bool = False,
) -> Found:
    """Return at most limit entries beyond a place that match; two statements at most.

    brief leaves out the texts. Raises ValueError for a place that no list has.
    """
    plain = not query.terms and source.queues is None and source.last is None
    window = min(window, limit + 1) if plain else window
    ask = CANDIDATES if query.deep else limit + 1
    params = _params(source, query, after, backwards=backwards)
    params |= {"window": window, "limit": ask, "longest": LONGEST_BODY}
    statement = sql.find(source.target, query, backwards=backwards, brief=brief and not query.deep)
    rows = execute(connection, statement, params)
    entries, cut = _accepted(source, query, rows, limit)
    if plain and cut is None:
        return Found(entries, len(entries), whole=True, end=None)
    if cut is not None:
        return Found(entries, cut.number, whole=False, end=cut.place)
    if len(rows) == ask and query.deep:
        last = _entry(source, rows[-1])
        return Found(entries, last.number, whole=False, end=last.place)
    edge = execute(connection, sql.edge(source.target, query, backwards=backwards), params)
    looked, end = (edge[0][0], _place(source, edge[0][1:])) if edge else (0, None)
    return Found(entries, looked, whole=looked < window, end=end)


def _accepted(
    source: Source, query: Query, rows: Sequence[tuple[Any, ...]], limit: int
) -> tuple[list[Entry], Entry | None]:
    """Return the entries that match, and the last of them when there are more than limit."""
    found: list[Entry] = []
    judge = Judge(query)
    for row in rows:
        entry = _entry(source, row)
        if not query.deep or judge.accepts(entry):
            if len(found) == limit:
                return found, found[-1]
            found.append(entry)
    return found, None


class Judge:
    """Reads the texts of jobs; what is redacted on the pages cannot be searched either."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self._rules: dict[str, redaction.Rules] = {}

    def accepts(self, entry: Entry) -> bool:
        """Return whether an entry meets the terms that only its text can answer."""
        try:
            args, custom = self._contents(entry) if self.query.reads_contents else (None, None)
            return self.query.accepts(args, custom, contents.loads(entry.failure))
        except (ValueError, RecursionError):
            return False

    def _contents(self, entry: Entry) -> tuple[Any, Any]:
        if entry.body is None:
            raise ValueError("the body is too long to be searched")
        body = contents.loads(entry.body)
        rules = self._rules.get(entry.jobtype)
        if rules is None:
            rules = self._rules[entry.jobtype] = redaction.rules_of(entry.jobtype)
        args = redaction.shown_args(entry.jobtype, body).value
        return args, redaction.redact(body.get("custom"), rules).value


class Tally(NamedTuple):
    """How many match; whole says that all entries were looked at, else it is at least so many."""

    number: int
    looked: int
    whole: bool


def count(connection: BaseDatabaseWrapper, source: Source, query: Query, *, window: int) -> Tally:
    """Return how many entries match, among a bounded number of them."""
    if query.deep or query.jid is not None:
        found = find(connection, source, query, limit=CANDIDATES, brief=True)
        return Tally(len(found.entries), found.looked, found.whole)
    params = _params(source, query, None, backwards=False) | {"window": window + 1}
    number, looked = execute(connection, sql.count(source.target, query), params)[0]
    return Tally(min(number, window), min(looked, window), looked <= window)


def settled(connection: BaseDatabaseWrapper, source: Source, query: Query) -> Query:
    """Return a search of one plain word as one for its jid when the list has that jid."""
    word = query.lone_word
    if word is None:
        return query
    by_jid = Query((Term("jid", word),))
    found = find(connection, source, by_jid, limit=1, brief=True)
    return by_jid if found.entries else query


def _entry(source: Source, row: tuple[Any, ...]) -> Entry:
    number, major, minor, *rest = row
    return Entry(rest[0], _place(source, (major, minor)), number, *rest[1:])


def _place(source: Source, columns: Sequence[Any]) -> Place:
    major, minor = columns
    if source.target == "waiting":
        return Place(int(major), int(minor))
    return Place((major - _EPOCH) // _MICROSECOND, minor)


def _params(
    source: Source, query: Query, after: Place | None, *, backwards: bool
) -> dict[str, Any]:
    major, minor = _bound(source, after, backwards=backwards)
    return {
        **sql.params(query),
        "major": major,
        "minor": minor,
        "queue": source.queue,
        "queues": None if source.queues is None else list(source.queues),
        "last": source.last,
    }


def _bound(source: Source, after: Place | None, *, backwards: bool) -> tuple[Any, int]:
    """Return the place to look from as columns; without one, that before all others."""
    far = 2**63 - 1
    if source.target == "waiting":
        if after is None:
            return (-_RANKS, far) if backwards else (_RANKS, 0)
        if abs(after.major) > _RANKS:
            raise ValueError(f"a rank is a small number, got {after.major}")
        return after
    if after is None:
        ascending = (source.target not in {"dead", "finished"}) is not backwards
        return (_EARLIEST, 0) if ascending else (_LATEST, far)
    try:
        return _EPOCH + after.major * _MICROSECOND, after.minor
    except OverflowError:
        raise ValueError(f"no time is {after.major} microseconds from 1970") from None
