"""Checkpoint: how far an iterable job has come, as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from faktory_django.contents import cut
from faktory_django.lifecycle.connection import database
from faktory_django.lifecycle.cursors import named

if TYPE_CHECKING:
    from datetime import datetime

MAX_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was written last; cursor is the JSON of what the job yielded, empty when sealed."""

    cursor: str
    sealed: bool
    items: int
    saved_at: datetime


def of(jid: str) -> Checkpoint | None:
    """Return how far the job of a jid has come; None when nothing was written. One query."""
    found = named(database(None), [jid])
    if not found:
        return None
    _jid, cursor, sealed, items, saved_at = found[0]
    return Checkpoint("" if sealed else cut(cursor[1:-1][:MAX_TEXT]), sealed, items, saved_at)
