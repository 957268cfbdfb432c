"""Language: the switch at the foot of every page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponseRedirect

from faktory_django import settings

from . import viewer
from .page import back, page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@page(methods=("POST",))
def language(request: HttpRequest) -> HttpResponse:
    """Keep the language that was chosen in Django's own cookie, and go back to the page."""
    response = HttpResponseRedirect(back(request, "overview"))
    chosen = request.POST.get("language", "")
    if chosen in viewer.languages():
        viewer.keep(request, response, settings.project("LANGUAGE_COOKIE_NAME"), chosen)
    return response
