"""Inspection: what became of a job, for views that show it to those who wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from datetime import datetime

MAX_JID: Final = 255


class JobStatus(msgspec.Struct, frozen=True):
    """What became of a job when it was asked, and how far it said it was.

    state is scheduled, waiting, working, retries, dead, done, failed, cancelled or unknown.
    """

    jid: str
    state: str
    percent: int | None = None
    text: str | None = None
    updated_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in {"dead", "done", "failed", "cancelled", "unknown"}


def status(jid: str, *, using: str | None = None) -> JobStatus:
    """Return what became of a job, in one query. Raises InvalidOption when jid is no text."""
    # A view may run before any job of this process: the models are imported when they are needed.
    from faktory_django.lifecycle.track import statuses  # noqa: PLC0415

    if not isinstance(jid, str):
        raise InvalidOption(f"a jid is a str, got {jid!r:.100}")
    if not jid or "\0" in jid or len(jid) > MAX_JID:
        return JobStatus(jid, "unknown")
    [found] = statuses([jid], using=using)
    return JobStatus(jid, found.state, found.percent, found.text, found.updated_at)
