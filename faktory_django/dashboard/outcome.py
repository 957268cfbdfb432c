"""Outcome: what an act on jobs has changed, in words, and the page that comes afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import figures
from .page import back

if TYPE_CHECKING:
    from django.http import HttpRequest

    from .lists import Act


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many jobs an act changed, of how many."""

    changed: int
    asked: int


def home(request: HttpRequest, target: str) -> str:
    """Return the page that a form came from, else the list it is about."""
    return back(request, "queues" if target == "waiting" else target)


def say(text: Any, number: int, *, count: str = "") -> str:
    """Return a text of an Act with a number in it, written as count if that is given."""
    return str(text % {"number": number, "count": count or figures.exact(number)})


def tell(request: HttpRequest, wanted: Act, outcome: Outcome) -> None:
    """Say what an act has changed, and what had moved on."""
    if outcome.changed:
        messages.success(request, say(wanted.done, outcome.changed))
    left = outcome.asked - outcome.changed
    if left > 0:
        text = ngettext(
            "%(count)s job had moved on and is untouched.",
            "%(count)s jobs had moved on and are untouched.",
            left,
        )
        messages.warning(request, text % {"count": figures.exact(left)})


def tell_nothing(request: HttpRequest) -> None:
    """Say that there was nothing to do."""
    messages.warning(request, _("No job matches, so nothing was done."))
