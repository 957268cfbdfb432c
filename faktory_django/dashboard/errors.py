"""Errors: retries and dead jobs grouped by what went wrong, the most frequent first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from . import access, error_groups
from .page import page, render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@page()
def errors(request: HttpRequest) -> HttpResponse:
    """Show the errors of the next retries and the latest dead jobs."""
    names = access.queue_names(request, "view")
    found = error_groups.groups(names)
    context = {
        "title": _("Errors"),
        "live": True,
        "groups": found.groups[: error_groups.SHOWN],
        "more": max(len(found.groups) - error_groups.SHOWN, 0),
        "looked": found.looked,
        "cut": found.cut,
        "window": error_groups.WINDOW,
    }
    return render(request, "errors.html", context)
