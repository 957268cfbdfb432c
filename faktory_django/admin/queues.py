"""Queues: how much waits in them and for how long; pause, resume and clear."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, ngettext_lazy

from faktory_django import settings
from faktory_django.lifecycle import queues
from faktory_django.models import Job

from .acts import check, confirm, confirmed, pausing, record, selected, tell
from .contents import shown
from .operator import OperatorAdmin
from .window import WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from faktory_django.models import Queue

CLEAR_QUESTION: Final = ngettext_lazy(
    "All jobs that wait in %(count)d queue will be thrown away; those in work go on.",
    "All jobs that wait in %(count)d queues will be thrown away; those in work go on.",
    "count",
)
CLEARED: Final = ngettext_lazy(
    "%(count)d job was thrown away.", "%(count)d jobs were thrown away.", "count"
)
EMPTY: Final = ngettext_lazy("%(count)d queue was empty.", "%(count)d queues were empty.", "count")


@admin.action(permissions=["clear"], description=_("Clear"))
def clear(
    model_admin: OperatorAdmin, request: HttpRequest, queryset: QuerySet[Queue]
) -> HttpResponse | None:
    """Throw away all that waits in the selected queues, each on the record as it is done."""
    check(model_admin, request, "clear")
    if not confirmed(request):
        return confirm(model_admin, request, queryset, _("Clear"), CLEAR_QUESTION)
    cleared = empty = 0
    for queue in queryset.filter(pk__in=selected(queryset)):
        # not one transaction: a queue of millions is emptied a thousand at a time
        jobs = queues.clear(queue.name, using=settings.get().database)
        cleared, empty = cleared + jobs, empty + (not jobs)
        message = ngettext("Clear: %(count)d job", "Clear: %(count)d jobs", jobs)
        record(request, [queue], message % {"count": jobs}, ended=False)
    tell(model_admin, request, CLEARED, cleared, messages.SUCCESS)
    tell(model_admin, request, EMPTY, empty, messages.WARNING)
    return None


class QueueAdmin(OperatorAdmin):
    """The known queues."""

    list_display = ("name", "working", "waiting", "latency", "created_at")
    list_filter = ("paused",)
    search_fields = ("name",)
    search_help_text = _("how the name begins")
    fields = ("name", "working", "waiting", "latency", "created_at")
    actions = (
        *pausing(
            lambda names, using: queues.pause(*names, using=using),
            lambda names, using: queues.resume(*names, using=using),
            paused=ngettext_lazy(
                "%(count)d queue is paused now.", "%(count)d queues are paused now.", "count"
            ),
            resumed=ngettext_lazy(
                "%(count)d queue goes on now.", "%(count)d queues go on now.", "count"
            ),
        ),
        clear,
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find queues by how their name begins, which the index in byte order has."""
        del request
        return queryset.filter(name__startswith=search_term.strip()), False

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read how much waits, counted up to the window, and for how long."""
        names = [queue.name for queue in entries]
        using = settings.get().database
        sizes = queues.sizes(names, using=using, cap=WINDOW + 1) if names else {}
        latencies = queues.latencies(names, using=using) if names else {}
        for queue in entries:
            vars(queue)["size"] = sizes.get(queue.name, 0)
            vars(queue)["latency_seconds"] = latencies.get(queue.name, 0.0)

    @admin.display(description=_("not paused"), boolean=True)
    def working(self, queue: Queue) -> bool:
        """Whether workers take jobs from it."""
        return not queue.paused

    @admin.display(description=_("waiting"))
    def waiting(self, queue: Queue) -> str:
        """How many jobs wait, with a link to them."""
        size: int = vars(queue).get("size", 0)
        text = f"{localize(WINDOW)}+" if size > WINDOW else localize(size)
        return self.link_to_list(Job, urlencode({"queue": queue.name}), text)

    @admin.display(description=_("oldest"))
    def latency(self, queue: Queue) -> str:
        """How long the oldest of its jobs has waited."""
        seconds: float = vars(queue).get("latency_seconds", 0.0)
        return shown(timedelta(seconds=round(seconds)) if seconds else None)
