"""Sets: the pages of scheduled jobs, retries and dead jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import counts
from .listing import listing
from .page import page, render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@page()
def scheduled(request: HttpRequest) -> HttpResponse:
    """Show scheduled jobs, the next one first."""
    return _set(request, "scheduled")


@page()
def retries(request: HttpRequest) -> HttpResponse:
    """Show retries, the next one first."""
    return _set(request, "retries")


@page()
def dead(request: HttpRequest) -> HttpResponse:
    """Show dead jobs, the latest one first."""
    return _set(request, "dead")


def _set(request: HttpRequest, target: str) -> HttpResponse:
    found = listing(request, target)
    context = {
        **found,
        "title": found["list"].title,
        "size": counts.counts(request)[target],
        "live": not found["wrong"],
    }
    return render(request, "set.html", context, status=400 if found["wrong"] else 200)
