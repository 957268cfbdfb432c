"""Finished: the list of jobs that have ended, as far as that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.utils.translation import pgettext_lazy

from faktory_django.features.history import OUTCOMES

from .listing import listing
from .page import page, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest, HttpResponse

# How a job has ended, in a word; the mark is for those who look quickly.
NAMES: Final[dict[str, Any]] = {
    "done": pgettext_lazy("how a job ended", "succeeded"),
    "failed": pgettext_lazy("how a job ended", "failed"),
    "dead": pgettext_lazy("how a job ended", "died"),
    "discarded": pgettext_lazy("how a job ended", "discarded"),
    "expired": pgettext_lazy("how a job ended", "expired"),
    "cancelled": pgettext_lazy("how a job ended", "cancelled"),
}
GOOD: Final = frozenset({"done"})
BAD: Final = frozenset({"failed", "dead"})


@dataclass(frozen=True, slots=True)
class Choice:
    """A link to those that have ended in one way, within the search."""

    name: Any
    query: str
    current: bool


def kind(outcome: str) -> str:
    """Return the class of style of an outcome."""
    if outcome in GOOD:
        return "good"
    return "bad" if outcome in BAD else "neither"


@page()
def finished(request: HttpRequest) -> HttpResponse:
    """Show jobs that have ended, the latest first."""
    found = listing(request, "finished")
    rows = [(row, NAMES.get(row.outcome, row.outcome), kind(row.outcome)) for row in found["rows"]]
    context = {
        **found,
        "title": found["list"].title,
        "ended": rows,
        "choices": list(_choices(found["search"])),
        "live": not found["wrong"],
    }
    return render(request, "finished.html", context, status=400 if found["wrong"] else 200)


def _choices(search: str) -> Iterator[Choice]:
    words = search.split()
    rest = [word for word in words if not word.lower().startswith("outcome:")]
    for outcome in OUTCOMES:
        word = f"outcome:{outcome}"
        query = urlencode({"q": " ".join([*rest, word])})
        yield Choice(NAMES[outcome], query, word in words)
