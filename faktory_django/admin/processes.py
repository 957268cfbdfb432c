"""Processes: running workers and servers, what they do, and the wish that workers stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.db.models import Count
from django.template.defaultfilters import filesizeformat
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from faktory_django import settings
from faktory_django.lifecycle import beat
from faktory_django.lifecycle.connection import database
from faktory_django.lifecycle.holders import running
from faktory_django.models import Job, Lease, Process

from .acts import Act, action
from .contents import shown
from .operator import OperatorAdmin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest

STATES: Final = Process.State
KINDS: Final = Process.Kind
LATER: Final = ngettext_lazy(
    "%(count)d was asked already, or has ended.",
    "%(count)d were asked already, or have ended.",
    "count",
)


def _ask(state: str, wids: Sequence[str], using: str) -> object:
    return beat.set_state(database(using), wids, state)


def _workers(rows: QuerySet[Process]) -> QuerySet[Process]:
    """Leave out servers, which a person stops where they run."""
    return rows.exclude(kind=KINDS.SERVER)


class ProcessAdmin(OperatorAdmin):
    """The processes that have said that they live."""

    list_display = (
        *("name", "kind", "state", "busy", "queue_names", "label_names", "memory"),
        *("started_at", "beat_at"),
    )
    list_filter = ("kind", "state")
    fields = (
        *("name", "kind", "wid", "state", "busy", "connections", "queue_names", "label_names"),
        *("memory", "version", "started_at", "beat_at", "runs"),
    )
    actions = (
        action(
            Act(
                "quiet",
                _("Quiet"),
                lambda wids, using: _ask(STATES.QUIET, wids, using),
                ngettext_lazy(
                    "%(count)d process was asked to take no more jobs.",
                    "%(count)d processes were asked to take no more jobs.",
                    "count",
                ),
                untouched=LATER,
                permission="steer",
                ends=False,
                changeable=lambda rows: _workers(rows).filter(state=STATES.RUNNING),
            )
        ),
        action(
            Act(
                "stop",
                _("Stop"),
                lambda wids, using: _ask(STATES.TERMINATE, wids, using),
                ngettext_lazy(
                    "%(count)d process was asked to stop.",
                    "%(count)d processes were asked to stop.",
                    "count",
                ),
                untouched=LATER,
                permission="steer",
                ends=False,
                changeable=lambda rows: _workers(rows).exclude(state=STATES.TERMINATE),
            )
        ),
    )

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read how many jobs the workers on the wire hold."""
        wids = [process.wid for process in entries if process.kind == KINDS.WIRE]
        leases = Lease.objects.using(settings.get().database).filter(wid__in=wids)
        held = dict(leases.values_list("wid").annotate(Count("id"))) if wids else {}
        for process in entries:
            vars(process)["held"] = held.get(process.wid, 0)

    @admin.display(description=_("process"))
    def name(self, process: Process) -> str:
        """Host and process id."""
        return str(process)

    @admin.display(description=_("busy"))
    def busy(self, process: Process) -> str:
        """How many jobs it runs, of how many it can; what a worker on the wire holds."""
        if process.kind == KINDS.SERVER:
            return "-"
        if process.kind == KINDS.WIRE:
            return str(localize(vars(process)["held"]))
        return f"{localize(len(running(process.running)))} / {localize(process.concurrency)}"

    @admin.display(description=_("queues"))
    def queue_names(self, process: Process) -> str:
        """The queues it works on, in order."""
        return ", ".join(process.queues)

    @admin.display(description=_("labels"))
    def label_names(self, process: Process) -> str:
        """What it says of itself."""
        return ", ".join(process.labels)

    @admin.display(description=_("memory"))
    def memory(self, process: Process) -> str:
        """Its resident memory."""
        return filesizeformat(process.rss_kb * 1024) if process.rss_kb else "-"

    @admin.display(description=_("running jobs"))
    def runs(self, process: Process) -> str:
        """The jobs it runs, the longest first, with links to them."""
        slots = sorted(running(process.running).items(), key=lambda slot: slot[1])
        lines = ((self.link(Job, i, i), shown(at)) for i, at in slots)
        return format_html_join("\n", '<div>{} <span class="quiet">{}</span></div>', lines) or "-"

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Return none: processes are few."""
        del request
        return ()
