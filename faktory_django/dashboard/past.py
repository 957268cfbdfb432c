"""Past: what is kept of the jobs of a jid: how they ended, which runs failed, what they logged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from faktory_django import contents, redaction
from faktory_django.lifecycle import attempts, log_lines
from faktory_django.lifecycle.connection import database
from faktory_django.models import FinishedJob

from . import access
from .finished import NAMES, kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.http import HttpRequest

    from faktory_django.lifecycle.attempts import Attempt
    from faktory_django.lifecycle.log_lines import Line

# Of the jobs of one jid, from each table.
MAX_ENDS: Final = 20
MAX_ATTEMPTS: Final = 50
MAX_LINES: Final = 1_000
FATES: Final[dict[str, Any]] = {
    "retry": pgettext_lazy("after a failed run", "to be tried again"),
    "dead": pgettext_lazy("after a failed run", "dead"),
    "failed": pgettext_lazy("after a failed run", "given up"),
    "discarded": pgettext_lazy("after a failed run", "discarded"),
    "expired": pgettext_lazy("after a failed run", "expired"),
    "cancelled": pgettext_lazy("after a failed run", "cancelled"),
    "crash": pgettext_lazy("after a failed run", "its process died, the job went back"),
}
REMARKS: Final[dict[str, Any]] = {
    "not JSON": gettext_lazy("What it returned was not kept, for it is not JSON: %(what)s"),
    "too large": gettext_lazy("What it returned was not kept, for it is too large: %(what)s"),
}


@dataclass(frozen=True, slots=True)
class End:
    """How a job has ended."""

    row: FinishedJob
    may_see: bool

    @property
    def outcome(self) -> str:
        """How, in a word."""
        return str(NAMES.get(self.row.outcome, self.row.outcome))

    @property
    def kind(self) -> str:
        """The class of its style."""
        return kind(self.row.outcome)

    @property
    def pushed_at(self) -> datetime | None:
        """When it was pushed, if its producer wrote a time that can be read."""
        return contents.instant(self.row.pushed)

    @property
    def error(self) -> str:
        """The class and the message of the error that ended it, on one line."""
        failure = contents.loads(self.row.failure)
        said = (contents.line(failure.get(k)) for k in ("errtype", "message"))
        return ": ".join(filter(None, said))

    @property
    def contents(self) -> contents.Contents | None:
        """What the job carried, secrets hidden, if that was kept."""
        row = self.row
        return contents.Contents.read(row.jobtype, row.body, None) if row.body else None

    @property
    def result(self) -> redaction.Redacted | None:
        """What it returned, secrets hidden; None when nothing is kept."""
        text = self.row.result
        if text is None:
            return None
        if is_encrypted(self.row.mark):
            return redaction.Redacted(_("encrypted"))
        rules = redaction.rules_of(self.row.jobtype)
        if rules.everything:
            return redaction.Redacted(redaction.HIDDEN, (redaction.ALL,))
        try:
            found = redaction.redact(json.loads(text), rules)
        except (ValueError, RecursionError):
            return redaction.Redacted(redaction.HIDDEN)
        return redaction.Redacted(contents.pretty(found.value), found.rules)

    @property
    def remark(self) -> str:
        """Why nothing is kept of what it returned."""
        why, _colon, what = self.row.remark.partition(": ")
        return str(REMARKS[why] % {"what": what}) if why in REMARKS else ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that failed."""

    attempt: Attempt

    @property
    def fate(self) -> str:
        """What became of the job."""
        return str(FATES.get(self.attempt.fate, self.attempt.fate))

    @property
    def error(self) -> str:
        """The class and the message of the error, on one line."""
        found = self.attempt
        return ": ".join(filter(None, map(contents.line, (found.errtype, found.message))))

    @property
    def backtrace(self) -> str:
        """The lines of its traceback."""
        return contents.cut(self.attempt.backtrace)

    @property
    def lines(self) -> int:
        """How many lines these are."""
        return self.attempt.backtrace.count("\n") + 1 if self.attempt.backtrace else 0


@dataclass(frozen=True, slots=True)
class Said:
    """What one run has logged: times and lines, secrets hidden."""

    number: int
    lines: Sequence[tuple[datetime, str]]


@dataclass(frozen=True, slots=True)
class Past:
    """What is kept of a jid, as far as this person may see it; hidden are lines that they may not.

    cut says that there are more lines.
    """

    ends: Sequence[End] = ()
    failed: Sequence[Failed] = ()
    logs: Sequence[Said] = ()
    hidden: bool = False
    cut: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.ends or self.failed or self.logs or self.hidden)


def of(request: HttpRequest, jid: str) -> Past:
    """Return what is kept of the jobs of a jid; three queries."""
    ended = FinishedJob.objects.using(database(None).alias).filter(jid=jid)
    rows = [row for row in ended[:MAX_ENDS] if _opens(request, row.queue, "view")]
    may_see = access.may(request, "args")
    failed = attempts.of(jid, limit=MAX_ATTEMPTS)
    lines = log_lines.of(jid, limit=MAX_LINES + 1)
    seen = [line for line in lines if _opens(request, line.queue, "view")]
    told = [line for line in seen[:MAX_LINES] if may_see and _opens(request, line.queue, "args")]
    return Past(
        ends=[End(row, may_see and _opens(request, row.queue, "args")) for row in rows],
        failed=[Failed(one) for one in failed if _opens(request, one.queue, "view")],
        logs=_logs(told),
        hidden=bool(seen and not told),
        cut=bool(told) and len(lines) > MAX_LINES,
    )


def is_encrypted(mark: str | None) -> bool:
    """Return whether a result is a token."""
    return "encrypted" in contents.loads(mark)


def _opens(request: HttpRequest, queue: str, action: str) -> bool:
    return access.opens(request, queue, action)


def _logs(lines: Sequence[Line]) -> list[Said]:
    runs = groupby(lines, key=lambda line: line.number)
    return [Said(n, [(line.at, _shown(line)) for line in of_run]) for n, of_run in runs]


def _shown(line: Line) -> str:
    """Return a line, nothing of it when it has a word of the rules."""
    rules = redaction.rules_of(line.jobtype)
    hidden = rules.everything or rules.word_for(line.text) is not None
    return redaction.HIDDEN if hidden else contents.cut(line.text)
