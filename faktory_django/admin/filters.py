"""Filters: on what an index serves, or within the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext_lazy as _

from faktory_django import settings
from faktory_django.lifecycle.lanes import FAIR_RANK
from faktory_django.models import Counter, Queue

from .window import WINDOW, within_window

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

MAX_CHOICES = 100

# The jobs of a queue that come next, lane by lane, those in work, and those that wait for limits.
JOBS_OF_QUEUE = """
(
    SELECT head.job_id
    FROM (
        SELECT 0::smallint AS rank
        UNION
        SELECT v.rank FROM faktory_django_level v WHERE v.queue = %s
    ) AS l
    CROSS JOIN LATERAL (
        SELECT r.job_id
        FROM faktory_django_ready r
        WHERE r.queue = %s AND r.rank = l.rank
        ORDER BY r.pos
        LIMIT %s
    ) AS head
    ORDER BY CASE l.rank WHEN %s THEN -0.5 ELSE l.rank END DESC
    LIMIT %s
)
UNION ALL
SELECT unnest(ids) FROM faktory_django_lease
UNION ALL
(SELECT w.job_id FROM faktory_django_limitedjob w WHERE w.queue = %s ORDER BY w.job_id LIMIT %s)
"""
JOBS_IN_WORK = "SELECT unnest(ids) FROM faktory_django_lease"


class KnownQueues(SimpleListFilter):
    """A choice among the queues that are known."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the names of the first 100 queues."""
        del request, model_admin
        names = Queue.objects.using(settings.get().database).values_list("name", flat=True)
        return [(name, name) for name in names[:MAX_CHOICES]]


class ReadyQueueFilter(KnownQueues):
    """The jobs of a queue, through the index of its ready entries."""

    title = _("queue (its next 10,000)")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Return what comes next in the queue, and what is in work."""
        del request
        if (queue := self.value()) is None:
            return None
        values = [queue, queue, WINDOW, FAIR_RANK, WINDOW, queue, WINDOW]
        found = RawSQL(JOBS_OF_QUEUE, values)  # noqa: S611 - constant
        return queryset.filter(pk__in=found, queue=queue)


class InWorkFilter(SimpleListFilter):
    """Jobs that wait, or that a lease names."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the two states of a job."""
        del request, model_admin
        return [("waiting", _("waiting")), ("in-work", _("in work"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Return the jobs that are, or are not, in work."""
        del request
        held = RawSQL(JOBS_IN_WORK, [])  # noqa: S611 - constant
        match self.value():
            case "in-work":
                return queryset.filter(pk__in=held)
            case "waiting":
                return queryset.exclude(pk__in=held)
        return None


class WindowFilter(SimpleListFilter):
    """A choice on a column without an index: it looks at the window only."""

    column: str

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Return the matches within the window."""
        if (value := self.value()) is None:
            return None
        everything = self.model_admin.get_queryset(request)
        ordering = self.model_admin.get_ordering(request)
        found = within_window(queryset, everything, ordering)
        return found.filter(**{self.column: value})

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.model_admin = model_admin
        super().__init__(request, params, model, model_admin)


class WindowQueueFilter(WindowFilter, KnownQueues):
    """The queue of an entry of a set."""

    title = _("queue (in the first 10,000)")
    column = "queue"


class WindowJobtypeFilter(WindowFilter):
    """The jobtype; offered are those that are in the window."""

    title = _("jobtype (in the first 10,000)")
    parameter_name = "jobtype"
    column = "jobtype"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return at most 100 jobtypes of the window."""
        ordering = model_admin.get_ordering(request)
        first = model_admin.get_queryset(request).order_by(*ordering)[:WINDOW]
        names = sorted(set(first.values_list("jobtype", flat=True)))
        return [(name, name) for name in names[:MAX_CHOICES]]


class ResolutionFilter(SimpleListFilter):
    """Minutes, hours or days; the index of counters begins with it."""

    title = _("span")
    parameter_name = "resolution"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the spans that are counted."""
        del request, model_admin
        return [(str(value), label) for value, label in Counter.Resolution.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Return the counters of that span."""
        del request
        if (value := self.value()) is None:
            return None
        if value not in {str(known) for known in Counter.Resolution.values}:
            raise IncorrectLookupParameters
        return queryset.filter(resolution=int(value))
