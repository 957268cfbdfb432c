"""Queues: all of them; pause, resume and clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from faktory_django.lifecycle import operations, queues
from faktory_django.lifecycle.connection import database
from faktory_django.lifecycle.matching import Source
from faktory_django.settings import check_queue_name

from . import access, figures, history, queue_table
from .page import back, now, page, render
from .record import record, user_name

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PER_PAGE: Final = 100
# More than this takes a typed name.
TYPED_ABOVE: Final = 1_000
# How long a request goes on clearing before it shows how far it is.
CLEAR_SECONDS: Final = 1.0


@page(methods=("GET", "HEAD", "POST"))
def queue_list(request: HttpRequest) -> HttpResponse:
    """Show the queues by name; pause, resume or clear the one whose button was pressed."""
    if request.method == "POST":
        return _act(request)
    after = request.GET.get("after", "")
    if after and check_queue_name(after):
        raise BadRequest("after must be the name of a queue")
    minutes = history.minutes(now(request))
    rows, more = queue_table.rows(request, minutes, after=after, limit=PER_PAGE)
    context = {
        "title": _("Queues"),
        "live": True,
        "queues": rows,
        "after": after,
        "next_name": rows[-1].name if more else "",
    }
    return render(request, "queues.html", context)


def _act(request: HttpRequest) -> HttpResponse:
    access.check(request, "act")
    for act, run in (("pause", _pause), ("resume", _resume), ("clear", _clear)):
        if act in request.POST:
            name = request.POST[act]
            if check_queue_name(name):
                raise BadRequest("there is no such queue")
            access.check(request, "flush" if act == "clear" else "act", name)
            return run(request, name)
    raise BadRequest("say pause, resume or clear")


def _pause(request: HttpRequest, name: str) -> HttpResponse:
    queues.pause(name)
    record(request, "pause", "queue", what=name)
    messages.success(request, _('Queue "%(queue)s" is paused.') % {"queue": name})
    return HttpResponseRedirect(back(request, "queues"))


def _resume(request: HttpRequest, name: str) -> HttpResponse:
    queues.resume(name)
    record(request, "resume", "queue", what=name)
    messages.success(request, _('Queue "%(queue)s" goes on.') % {"queue": name})
    return HttpResponseRedirect(back(request, "queues"))


def _clear(request: HttpRequest, name: str) -> HttpResponse:
    size = queues.sizes([name], cap=TYPED_ABOVE + 1)[name]
    typed = name if size > TYPED_ABOVE else ""
    wrong = "confirmed" in request.POST and typed != request.POST.get("typed", "")
    if "confirmed" not in request.POST or wrong:
        return _confirm(request, name, typed, wrong=wrong)
    connection = database(None)
    source = Source("waiting", name)
    begun = operations.begin(
        connection, source, "", act="discard", user=user_name(request), total=size
    )
    if operations.advance(connection, begun.pk, seconds=CLEAR_SECONDS):
        return HttpResponseRedirect(reverse("faktory:operation", args=[begun.pk]))
    begun.audit.refresh_from_db()
    count = begun.audit.count
    text = ngettext("%(count)s job was discarded.", "%(count)s jobs were discarded.", count)
    messages.success(request, text % {"count": figures.exact(count)})
    return HttpResponseRedirect(back(request, "queues"))


def _confirm(request: HttpRequest, name: str, typed: str, *, wrong: bool) -> HttpResponse:
    size = queue_table.size(name)
    question = ngettext(
        '%(count)s job that waits in queue "%(queue)s" will be discarded.',
        '%(count)s jobs that wait in queue "%(queue)s" will be discarded.',
        size.number,
    )
    said = {"count": size.text(figures.exact), "queue": name}
    context = {
        "title": _("Clear a queue"),
        "question": question % said,
        "remark": _("Jobs in work go on. What is discarded cannot be brought back."),
        "fields": [("clear", name), ("next", back(request, "queues"))],
        "typed": typed,
        "wrong": wrong,
        "yes": _("Yes, discard them"),
        "back": back(request, "queues"),
    }
    return render(request, "confirm.html", context, status=400 if wrong else 200)
