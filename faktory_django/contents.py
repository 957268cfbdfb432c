"""Contents: what a job carries, made readable for pages, secrets hidden. All of it is hostile text.

Somebody may have stored it badly: what is no job hash, no JSON or no text is shown all the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from faktory_django import payload, redaction

if TYPE_CHECKING:
    from datetime import datetime

    from faktory_django.models.job import Payload

MAX_SHOWN: Final = 100_000


@dataclass(frozen=True, slots=True)
class Contents:
    """The body and the failure of a job.

    args and custom are JSON as it may be shown; rules are the words that hid something in them;
    body is the whole job hash, as it was pushed.
    """

    body: dict[str, Any]
    args: str
    custom: str
    failure: dict[str, Any]
    rules: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: Payload) -> Contents:
        """Read them once for each row."""
        found: Contents | None = vars(job).get("contents")
        if found is None:
            found = vars(job)["contents"] = cls.read(job.jobtype, job.body, job.failure)
        return found

    @classmethod
    def read(cls, jobtype: str, text: str, failure: str | None) -> Contents:
        """Read them from the texts in the store."""
        body = loads(text)
        args = _args(jobtype, text, body)
        custom = _custom(jobtype, body.get("custom"))
        rules = tuple(dict.fromkeys(args.rules + custom.rules))
        return cls(body, args.value, custom.value, loads(failure), rules)

    @property
    def facts(self) -> dict[str, Any]:
        """What the job hash says beside the arguments and custom."""
        return {k: v for k, v in self.body.items() if k not in {"args", "custom"}}

    @property
    def encrypted(self) -> bool:
        """Whether its arguments are a token, which is shown nowhere."""
        return payload.is_encrypted(self.body.get("custom"))

    @property
    def pushed_at(self) -> datetime | None:
        """When the job was pushed, if it says so."""
        return instant(self.body.get("created_at"))

    @property
    def failed_at(self) -> datetime | None:
        """When it failed for the first time."""
        return instant(self.failure.get("failed_at"))

    @property
    def attempts(self) -> int:
        """How many runs of it have failed."""
        return attempts(self.failure)

    @property
    def backtrace(self) -> tuple[str, ...]:
        """The lines of the latest failure's backtrace."""
        lines = self.failure.get("backtrace")
        return tuple(cut(str(line)) for line in lines) if isinstance(lines, list) else ()


def name(jobtype: str, body: dict[str, Any]) -> str:
    """Return the class that a job of ActiveJob wraps, else the jobtype."""
    custom = body.get("custom")
    wrapped = custom.get("wrapped") if isinstance(custom, dict) else None
    return line(wrapped) if isinstance(wrapped, str) and wrapped else jobtype


def args_line(jobtype: str, text: str | None, body: dict[str, Any]) -> str:
    """Return the arguments of a job on one line, secrets hidden; text None: it was not read."""
    if text is None:
        return _("too long for a list")
    if "args" not in body:
        return line(_unread(jobtype, text).value)
    if payload.is_encrypted(body.get("custom")):
        return _("encrypted")
    try:
        return line(json.dumps(redaction.shown_args(jobtype, body).value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return redaction.HIDDEN


def attempts(failure: dict[str, Any]) -> int:
    """Return how many runs have failed, as the latest failure says."""
    count = failure.get("retry_count")
    return count + 1 if isinstance(count, int) and count >= 0 else 0


def pretty(value: Any) -> str:
    """Return JSON to be read by people; what cannot be laid out is shown as it is."""
    try:
        return cut(json.dumps(value, ensure_ascii=False, indent=2))
    except (ValueError, RecursionError):
        return cut(repr(value))


def cut(text: str) -> str:
    """Return text that can be sent: without halved characters, of a bounded length."""
    rest = len(text) - MAX_SHOWN
    if rest > 0:
        more = ngettext("… and %(count)d character more", "… and %(count)d characters more", rest)
        text = f"{text[:MAX_SHOWN]}\n{more % {'count': rest}}"
    return text.encode("utf-8", "backslashreplace").decode()


def line(value: Any) -> str:
    """Return a text of somebody on one line, nothing for what is empty."""
    return " ".join(cut(str(value or "")).split())


def loads(text: str | None) -> dict[str, Any]:
    """Return a JSON object; an empty one for what is none."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def instant(value: Any) -> datetime | None:
    """Return an instant as the protocol writes it, None for what is none."""
    try:
        found = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None
    # the years at the ends have no time in some zones
    told = found is not None and found.tzinfo is not None and 1 < found.year < 9999
    return found if told else None


def _args(jobtype: str, text: str, body: dict[str, Any]) -> redaction.Redacted:
    if "args" not in body:
        return _unread(jobtype, text)
    if payload.is_encrypted(body.get("custom")):
        return redaction.Redacted(_("encrypted"))
    try:
        found = redaction.shown_args(jobtype, body)
    except RecursionError:
        return _unread(jobtype, text)
    return redaction.Redacted(pretty(found.value), found.rules)


def _custom(jobtype: str, custom: Any) -> redaction.Redacted:
    if not custom:
        return redaction.Redacted("")
    try:
        found = redaction.redact(custom, redaction.rules_of(jobtype))
    except RecursionError:
        return redaction.Redacted(redaction.HIDDEN)
    return redaction.Redacted(pretty(found.value), found.rules)


def _unread(jobtype: str, text: str) -> redaction.Redacted:
    """Return a text that is no job hash as it is, unless it tells what should be hidden."""
    rules = redaction.rules_of(jobtype)
    if redaction.is_told(text, rules):
        return redaction.Redacted(redaction.HIDDEN, (rules.word_for(text) or redaction.ALL,))
    return redaction.Redacted(cut(text))
