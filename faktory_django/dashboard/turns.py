"""Turns: whose jobs wait in a queue, of the jobs that have a fairness key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from faktory_django.contents import line
from faktory_django.lifecycle import fairness

from . import access

if TYPE_CHECKING:
    from django.http import HttpRequest

SHOWN: Final = 10
WINDOW: Final = 10_000


@dataclass(frozen=True, slots=True)
class Turns:
    """The keys with most jobs that wait, how many keys more there are, and jobs looked at."""

    most: list[tuple[str, int]]
    rest: int
    jobs: int

    @property
    def bounded(self) -> bool:
        """Whether there may be more jobs than were looked at."""
        return self.jobs >= WINDOW


def turns(request: HttpRequest, queue: str) -> Turns | None:
    """Return whose jobs wait in a queue; None where nothing takes turns, or for other eyes.

    A key comes from the arguments of a job: who may not see those does not see it.
    """
    if not access.may(request, "args") or not access.opens(request, queue, "args"):
        return None
    found = fairness.waiting(queue, limit=SHOWN, window=WINDOW)
    if not found.most:
        return None
    most = [(line(key), jobs) for key, jobs in found.most]
    return Turns(most, found.keys - len(most), found.jobs)
