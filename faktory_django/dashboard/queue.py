"""Queue: one queue: how it fares, and what runs next in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404
from django.utils.translation import gettext as _

from . import access, history, queue_table
from .listing import listing
from .page import now, page, render
from .turns import turns

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@page()
def queue(request: HttpRequest, name: str) -> HttpResponse:
    """Show one queue, what runs next first."""
    access.check(request, "view", name)
    facts = queue_table.one(request, name, history.minutes(now(request)))
    if facts is None:
        raise Http404(_("No queue of this name is known."))
    found = listing(request, "waiting", name)
    context = {
        **found,
        "title": _('Queue "%(queue)s"') % {"queue": name},
        "queues": [facts],
        "size": facts.size,
        "turns": turns(request, name),
        "live": not found["wrong"],
    }
    return render(request, "queue.html", context, status=400 if found["wrong"] else 200)
