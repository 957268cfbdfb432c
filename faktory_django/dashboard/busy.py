"""Busy: the processes of all languages and what they run; quiet and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from faktory_django.lifecycle import beat
from faktory_django.lifecycle.connection import database
from faktory_django.models import Process

from . import access, figures, fleet
from .page import back, page, render
from .record import record

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PER_PAGE: Final = 100
MAX_RUNNING: Final = 100
MAX_WID: Final = 200
STATES: Final = {"quiet": Process.State.QUIET, "stop": Process.State.TERMINATE}
ALL: Final = "all"


@page(methods=("GET", "HEAD", "POST"))
def busy(request: HttpRequest) -> HttpResponse:
    """Show who works and on what; ask one process, or all, to be quiet or to stop."""
    if request.method == "POST":
        return _act(request)
    after = _wid(request.GET.get("after", ""))
    processes, more = fleet.processes(after=after, limit=PER_PAGE)
    runs, more_runs = fleet.runs(request, processes, limit=MAX_RUNNING)
    context = {
        "title": _("Busy"),
        "live": True,
        "processes": processes,
        "after": after,
        "next_wid": processes[-1].wid if more else "",
        "runs": runs,
        "more_runs": more_runs,
        "may_steer": access.may(request, "steer"),
    }
    return render(request, "busy.html", context)


def _act(request: HttpRequest) -> HttpResponse:
    access.check(request, "steer")
    for act, state in STATES.items():
        if act in request.POST:
            wid = _wid(request.POST[act])
            if wid == ALL:
                return _ask_all(request, act, state)
            asked = beat.set_state(database(None), fleet.workers(wid), state)
            return _told(request, act, wid, asked)
    raise BadRequest("say quiet or stop, and whom")


def _ask_all(request: HttpRequest, act: str, state: str) -> HttpResponse:
    if "confirmed" in request.POST:
        asked = beat.set_state(database(None), fleet.workers(), state)
        return _told(request, act, ALL, asked)
    count = len(fleet.workers())
    if act == "stop":
        title, yes = _("Stop all"), _("Yes, stop them")
        question = ngettext(
            "%(count)s worker will be asked to stop.",
            "%(count)s workers will be asked to stop.",
            count,
        )
        remark = _("What they run gets its time to end; then it goes back into its queue.")
    else:
        title, yes = _("Quiet all"), _("Yes, quiet them")
        question = ngettext(
            "%(count)s worker will be asked to take no more jobs.",
            "%(count)s workers will be asked to take no more jobs.",
            count,
        )
        remark = _("What they run goes on. Only a new start makes them take jobs again.")
    context = {
        "title": title,
        "question": question % {"count": figures.exact(count)},
        "remark": remark,
        "fields": [(act, ALL), ("next", back(request, "busy"))],
        "yes": yes,
        "back": back(request, "busy"),
    }
    return render(request, "confirm.html", context)


def _told(request: HttpRequest, act: str, wid: str, asked: int) -> HttpResponse:
    if not asked:
        messages.warning(request, _("It was asked already, or has ended."))
        return HttpResponseRedirect(back(request, "busy"))
    record(request, act, "process", what=wid, count=asked)
    if act == "stop":
        text = ngettext(
            "%(count)s process was asked to stop.", "%(count)s processes were asked to stop.", asked
        )
    else:
        text = ngettext(
            "%(count)s process was asked to take no more jobs.",
            "%(count)s processes were asked to take no more jobs.",
            asked,
        )
    messages.success(request, text % {"count": figures.exact(asked)})
    return HttpResponseRedirect(back(request, "busy"))


def _wid(text: str) -> str:
    if len(text) > MAX_WID or "\0" in text:
        raise BadRequest("there is no such process")
    return text
