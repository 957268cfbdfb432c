"""Progress: how far a job says it is, for the bar on its page and in the list of what runs."""

from __future__ import annotations

from typing import NamedTuple

from faktory_django.contents import line
from faktory_django.lifecycle.track import statuses

MAX_TEXT = 200


class Progress(NamedTuple):
    """What a job says of itself; it may say one, both or nothing. state is for one that is gone."""

    percent: int | None = None
    text: str | None = None
    state: str = ""

    @property
    def value(self) -> str:
        """The percentage for HTML, whatever the language writes; empty while it is not known."""
        return "" if self.percent is None else str(self.percent)

    @property
    def said(self) -> str:
        """What it says, on one line, cut."""
        text = line(self.text or "")
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"

    def __bool__(self) -> bool:
        """Whether there is something to see."""
        return self.percent is not None or bool(self.text)


def of(jid: str) -> Progress:
    """Return how far the jobs of a jid say they are, or were; one query."""
    [found] = statuses([jid])
    return Progress(found.percent, found.text, found.state)
