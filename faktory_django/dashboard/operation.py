"""Operation: how far an act on many jobs is; the page goes on with it while it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.http import Http404, HttpResponseRedirect
from django.utils.translation import gettext as _

from faktory_django.lifecycle import operations
from faktory_django.lifecycle.connection import database
from faktory_django.models import Operation

from . import access
from .audit import Line, sees
from .outcome import say
from .page import came_from, is_fragment, page, render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

# How long a request goes on with it.
SECONDS: Final = 0.8


@page(methods=("GET", "HEAD", "POST"))
def operation(request: HttpRequest, key: int) -> HttpResponse:
    """Show how far it is; a POST goes on with it, or stops it."""
    found = _operation(request, key)
    if request.method == "POST":
        access.check(request, "act")
        connection = database(None)
        if "stop" in request.POST:
            operations.stop(connection, found.pk)
        else:
            operations.advance(connection, found.pk, seconds=SECONDS)
        if not is_fragment(request):
            return HttpResponseRedirect(request.get_full_path())
        found = _operation(request, key)
    return render(request, "operation.html", _context(request, found))


def _operation(request: HttpRequest, key: int) -> Operation:
    using = database(None).alias
    found = Operation.objects.using(using).select_related("audit").filter(pk=key).first()
    if found is None or not sees(request, found.audit):
        raise Http404(_("There is no such operation."))
    return found


def _context(request: HttpRequest, found: Operation) -> dict[str, Any]:
    line = Line(found.audit, args=access.may(request, "args"))
    return {
        "title": line.act,
        "operation": found,
        "line": line,
        "back": came_from(request),
        "running": found.state == Operation.State.RUNNING,
        "state": found.get_state_display(),
        "part": min(found.looked, found.total),
        "percent": 100 * min(found.looked, found.total) // max(found.total, 1),
        "changed": say(line.done, found.audit.count) if line.done else "",
    }
