"""Rows: jobs as lists show them: on one line, secrets hidden, long values cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from faktory_django import contents
from faktory_django.search import quoted

if TYPE_CHECKING:
    from datetime import datetime

    from faktory_django.lifecycle.matching import Entry

MAX_LINE: Final = 300
MAX_JID: Final = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One job of a list; name is what it calls itself when it is wrapped by a framework."""

    id: int
    at: datetime
    jid: str
    name: str
    jobtype: str
    queue: str
    priority: int
    args: str
    errtype: str
    message: str
    attempts: int
    narrower: str
    outcome: str = ""
    run_seconds: float | None = None

    @property
    def short_jid(self) -> str:
        """The beginning and the end of the jid."""
        text = contents.line(self.jid)
        return text if len(text) <= MAX_JID else f"{text[:4]}…{text[-4:]}"

    @property
    def error(self) -> str:
        """The name of the error's class, without where it is from."""
        return self.errtype.rpartition("::")[2].rpartition(".")[2] or self.errtype


def row(entry: Entry, search: str, *, args: bool) -> Row:
    """Return an entry as it is shown; args says that its arguments may be seen.

    narrower is the part of an address that finds those of its queue, within the search.
    """
    body = contents.loads(entry.body)
    failure = contents.loads(entry.failure)
    return Row(
        id=entry.id,
        at=entry.at,
        jid=entry.jid,
        name=contents.line(contents.name(entry.jobtype, body)),
        jobtype=entry.jobtype,
        queue=entry.queue,
        priority=entry.priority,
        args=_args(entry, body) if args else "",
        errtype=contents.line(failure.get("errtype"))[:MAX_LINE],
        message=contents.line(failure.get("message"))[:MAX_LINE],
        attempts=contents.attempts(failure) or entry.attempts,
        narrower=_narrower(search, f"queue:{quoted(entry.queue)}"),
        outcome=entry.outcome,
        run_seconds=entry.run_seconds,
    )


def _narrower(search: str, term: str) -> str:
    return urlencode({"q": search if term in search.split() else f"{search} {term}".strip()})


def _args(entry: Entry, body: dict[str, Any]) -> str:
    if entry.outcome and entry.body is None:
        return ""
    if entry.body is not None and "args" not in body:
        return ""
    text = contents.args_line(entry.jobtype, entry.body, body)
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"
