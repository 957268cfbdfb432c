"""Overview: is everything all right?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from .page import page, render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@page()
def overview(request: HttpRequest) -> HttpResponse:
    """Show the numbers, what is wrong, the queues and how it went."""
    return render(request, "overview.html", {"title": _("Dashboard"), "live": True})
