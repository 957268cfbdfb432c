"""Cron: the entries of code and of people on one page; pause, resume, run now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db.models import Q
from django.http import Http404, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from faktory_django import crontab, registry
from faktory_django.contents import line
from faktory_django.errors import InvalidOption
from faktory_django.lifecycle import cron_entries
from faktory_django.lifecycle.connection import database
from faktory_django.models import CronEntry

from . import access, cron_runs
from .page import back, page, render
from .record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from .cron_runs import Run

PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One entry, its last runs, and what this person may do."""

    entry: CronEntry
    queue: str
    runs: Sequence[Run]
    may_act: bool
    edit_url: str

    @property
    def key(self) -> str:
        """Its key as it stands in forms, whatever the language."""
        return str(self.entry.pk)

    @property
    def job(self) -> str:
        """The type of its job, on one line."""
        return line(self.entry.jobtype)

    @property
    def in_code(self) -> bool:
        """Whether code has the say over it."""
        return bool(self.entry.source == CronEntry.Source.CODE)


@page(methods=("GET", "HEAD", "POST"))
def cron(request: HttpRequest) -> HttpResponse:
    """Show the entries by name; do to one what its button says."""
    if request.method == "POST":
        return _act(request)
    entries = _entries(_key(request.GET.get("after", "0")))
    shown = entries[:PER_PAGE]
    context = {
        "title": _("Cron"),
        "live": True,
        "rows": _rows(request, shown),
        "next": str(shown[-1].pk) if len(entries) > PER_PAGE else "",
        "marks": [cron_runs.OUTCOMES[name] for name in cron_runs.LEGEND],
        "add_url": _admin_url("add") if request.user.has_perm(_ADD) else "",
    }
    return render(request, "cron.html", context)


_ADD: Final = "faktory_django.add_cronentry"
_CHANGE: Final = "faktory_django.change_cronentry"


def queue_of(entry: CronEntry) -> str:
    """Return the queue that the jobs of an entry enter."""
    registry.discovered(entry.jobtype)  # a web process may not know the job's own options yet
    return crontab.options_of(entry).queue


def _entries(after: int) -> list[CronEntry]:
    entries = CronEntry.objects.using(database(None).alias).order_by("name", "pk")
    if after:
        last = entries.filter(pk=after).first()
        if last is None:
            return []
        entries = entries.filter(Q(name__gt=last.name) | Q(name=last.name, pk__gt=after))
    return list(entries.defer("args", "custom")[: PER_PAGE + 1])


def _rows(request: HttpRequest, entries: Sequence[CronEntry]) -> list[Row]:
    pairs = [(entry, queue_of(entry)) for entry in entries]
    seen = [(entry, queue) for entry, queue in pairs if access.opens(request, queue, "view")]
    runs = cron_runs.last_runs([entry.pk for entry, _queue in seen])
    may, edits = access.may(request, "act"), request.user.has_perm(_CHANGE)
    return [
        Row(
            entry,
            queue,
            runs.get(entry.pk, []),
            may and access.opens(request, queue, "act"),
            _admin_url("change", entry.pk) if edits else "",
        )
        for entry, queue in seen
    ]


def _admin_url(page_name: str, *args: int) -> str:
    try:
        return reverse(f"admin:faktory_django_cronentry_{page_name}", args=args)
    except NoReverseMatch:
        return ""


def _act(request: HttpRequest) -> HttpResponse:
    access.check(request, "act")
    acts = {"pause": _pause, "resume": _resume, "run": _run}
    wanted = next((name for name in acts if name in request.POST), "")
    if not wanted:
        raise BadRequest("say pause, resume or run")
    key = _key(request.POST[wanted])
    entry = CronEntry.objects.using(database(None).alias).filter(pk=key).first()
    if entry is None:
        raise Http404(_("There is no such entry."))
    access.check(request, "act", queue_of(entry))
    acts[wanted](request, entry)
    return HttpResponseRedirect(back(request, "cron"))


def _pause(request: HttpRequest, entry: CronEntry) -> None:
    cron_entries.pause([entry.pk])
    record(request, "pause", "cron", what=entry.name)
    messages.success(request, _("%(entry)s is paused.") % {"entry": entry.name})


def _resume(request: HttpRequest, entry: CronEntry) -> None:
    try:
        cron_entries.resume([entry.pk])
    except InvalidOption as wrong:
        messages.error(request, str(wrong))
        return
    record(request, "resume", "cron", what=entry.name)
    messages.success(request, _("%(entry)s goes on.") % {"entry": entry.name})


def _run(request: HttpRequest, entry: CronEntry) -> None:
    jid = cron_entries.run_now(entry.pk)
    if jid is None:
        messages.error(request, _("No job of %(entry)s was pushed.") % {"entry": entry.name})
        return
    record(request, "run", "cron", what=entry.name)
    messages.success(request, _("A job of %(entry)s was pushed.") % {"entry": entry.name})


def _key(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequest(_("There is no such page."))
    return int(text)
