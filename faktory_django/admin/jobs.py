"""Jobs: what waits in a queue or is in work, with what the ready entry and the lease say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy, pgettext_lazy

from faktory_django import settings
from faktory_django.contents import line
from faktory_django.lifecycle import mutate
from faktory_django.lifecycle.cancel import cancel_in
from faktory_django.lifecycle.holders import Hold, holds
from faktory_django.models import Process, Track

from .acts import MOVED_ON, Act, action, on
from .contents import ContentsAdmin, shown
from .filters import InWorkFilter, ReadyQueueFilter, WindowJobtypeFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

    from faktory_django.models import Job

MAX_TEXT: Final = 100
NOT_WAITING: Final = ngettext_lazy(
    "%(count)d was not waiting: it is in work or has ended, and is untouched.",
    "%(count)d were not waiting: they are in work or have ended, and are untouched.",
    "count",
)


class JobAdmin(ContentsAdmin):
    """Jobs in the order in which they were pushed."""

    list_display = ("short_jid", "jobtype", "queue", "state", "process", "since", "progress")
    list_filter = (InWorkFilter, ReadyQueueFilter, WindowJobtypeFilter)
    deferred_in_list = ("body", "failure")
    facts = (
        *("jid", "jobtype", "queue", "priority", "state", "process", "since", "until"),
        "progress",
        *("pushed_at", "enqueued_at", "reserve_for", "retry", "crashes"),
    )
    actions = (
        action(
            Act(
                "cancel",
                pgettext_lazy("call a job off", "Cancel"),
                on(cancel_in, "waiting"),
                ngettext_lazy(
                    "%(count)d job was cancelled, or asked to stop.",
                    "%(count)d jobs were cancelled, or asked to stop.",
                    "count",
                ),
                untouched=MOVED_ON,
                question=ngettext_lazy(
                    "%(count)d job will be cancelled, or asked to stop if it runs.",
                    "%(count)d jobs will be cancelled, or asked to stop if they run.",
                    "count",
                ),
                ends=False,
            )
        ),
        action(
            Act(
                "kill",
                _("Kill"),
                on(mutate.kill, "waiting"),
                ngettext_lazy(
                    "%(count)d job is dead now.", "%(count)d jobs are dead now.", "count"
                ),
                untouched=NOT_WAITING,
            )
        ),
        action(
            Act(
                "discard",
                _("Discard"),
                on(mutate.discard, "waiting"),
                ngettext_lazy(
                    "%(count)d job was thrown away.", "%(count)d jobs were thrown away.", "count"
                ),
                untouched=NOT_WAITING,
                question=ngettext_lazy(
                    "%(count)d job will be thrown away if it is still waiting.",
                    "%(count)d jobs will be thrown away if they are still waiting.",
                    "count",
                ),
            )
        ),
    )

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read who holds the jobs of the page."""
        found = holds([job.pk for job in entries], using=settings.get().database)
        told = {t.jid: t for t in _tracks(entries)}
        for job in entries:
            vars(job)["hold"] = found.get(job.pk)
            vars(job)["track"] = told.get(job.jid)

    @admin.display(description=_("state"))
    def state(self, job: Job) -> str:
        """Waiting, claimed by a process that has not started it, running, or asked to stop."""
        hold = _hold(job)
        if hold is None:
            return str(_("waiting"))
        if hold.asked_at is not None:
            return str(_("cancelling"))
        started = hold.started_at or hold.expires_at
        return str(_("running") if started else _("claimed"))

    @admin.display(description=_("process"))
    def process(self, job: Job) -> str:
        """The process that holds it."""
        hold = _hold(job)
        if hold is None or not hold.wid:
            return "-"
        return self.link(Process, hold.wid, hold.process)

    @admin.display(description=_("since"))
    def since(self, job: Job) -> str:
        """Since when it is in this state."""
        hold = _hold(job)
        return shown(job.enqueued_at if hold is None else hold.started_at or hold.claimed_at)

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> str:
        """How far it says it is: a bar, and its own words."""
        track: Track | None = vars(job).get("track")
        if track is None or (track.percent is None and not track.description):
            return "-"
        said = Truncator(line(track.description or "")).chars(MAX_TEXT)
        if track.percent is None:
            return said
        return format_html(
            '<progress max="100" value="{}" aria-label="{}">{} %</progress> {} % {}',
            str(track.percent),
            _("progress"),
            str(track.percent),
            str(track.percent),
            said,
        )

    @admin.display(description=_("reserved until"))
    def until(self, job: Job) -> str:
        """When its reservation ends by itself, for a client of the wire."""
        hold = _hold(job)
        return shown(hold.expires_at if hold is not None else None)


def _tracks(entries: Sequence[Any]) -> QuerySet[Track]:
    return Track.objects.using(settings.get().database).filter(jid__in=[j.jid for j in entries])


def _hold(job: Job) -> Hold | None:
    found: Hold | None = vars(job).get("hold")
    return found
