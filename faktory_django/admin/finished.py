"""Finished: jobs that have ended, as far as that is kept, the latest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from faktory_django.contents import line, loads

from .filters import WindowJobtypeFilter, WindowQueueFilter
from .operator import OperatorAdmin

if TYPE_CHECKING:
    from django.http import HttpRequest

    from faktory_django.models import FinishedJob

MAX_LINE = 100


class FinishedJobAdmin(OperatorAdmin):
    """What is known of how a job ended; results and arguments are on the dashboard only."""

    list_display = ("jid", "jobtype", "queue", "outcome", "finished_at", "run_seconds", "error")
    list_filter = (WindowQueueFilter, WindowJobtypeFilter)
    search_fields = ("jid",)
    search_help_text = _("the whole jid")
    deferred_in_list = ("body", "result")
    fields = (
        *("jid", "jobtype", "queue", "outcome", "pushed", "enqueued_at", "started_at"),
        *("finished_at", "run_seconds", "attempts", "wid", "error", "remark"),
    )
    actions = None

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find jobs by their whole jid, which an index has."""
        del request
        jid = search_term.strip()
        return (queryset.filter(jid=jid) if jid else queryset), False

    @admin.display(description=_("error"))
    def error(self, job: FinishedJob) -> str:
        """The class and the message of the error that ended it, on one short line."""
        failure = loads(job.failure)
        parts = filter(None, (line(failure.get(k)) for k in ("errtype", "message")))
        return Truncator(": ".join(parts)).chars(MAX_LINE)
