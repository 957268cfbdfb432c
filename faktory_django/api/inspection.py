"""Inspection: what became of a job, for views that show it to those who wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from datetime import datetime

MAX_JID: Final = 255
# Nothing more happens by itself.
OVER: Final = frozenset({"dead", "done", "failed", "discarded", "expired", "cancelled", "unknown"})


class JobStatus(msgspec.Struct, frozen=True):
    """What became of a job when it was asked, and how far it said it was.

    state is scheduled, waiting, working, retries, dead, done, failed, discarded, expired,
    cancelled or unknown.
    """

    jid: str
    state: str
    percent: int | None = None
    text: str | None = None
    updated_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in OVER


def status(jid: str, *, using: str | None = None) -> JobStatus:
    """Return what became of a job, in one query, two when it is nowhere.

    Raises InvalidOption when jid is no text.
    """
    # A view may run before any job of this process: the models are imported when they are needed.
    from faktory_django.lifecycle.history import latest  # noqa: PLC0415
    from faktory_django.lifecycle.track import statuses  # noqa: PLC0415

    if not isinstance(jid, str):
        raise InvalidOption(f"a jid is a str, got {jid!r:.100}")
    if not jid or "\0" in jid or len(jid) > MAX_JID:
        return JobStatus(jid, "unknown")
    [found] = statuses([jid], using=using)
    if found.state == "unknown" and (ended := latest([jid], using=using).get(jid)):
        return JobStatus(jid, ended.outcome, updated_at=ended.finished_at)
    return JobStatus(jid, found.state, found.percent, found.text, found.updated_at)
