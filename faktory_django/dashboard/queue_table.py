"""Queue table: each queue with its size, oldest wait and rates; on the overview and its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faktory_django.lifecycle import queues
from faktory_django.lifecycle.connection import database
from faktory_django.models import Queue

from . import access, history
from .counts import Count, queue_counts
from .page import now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.http import HttpRequest

    from .charts import Sparkline


@dataclass(frozen=True, slots=True)
class Row:
    """One queue; rates are jobs per second, oldest_seconds is None where nothing waits."""

    name: str
    paused: bool
    size: Count
    oldest_seconds: float | None
    in_rate: float
    out_rate: float
    sparkline: Sparkline
    may_act: bool
    may_flush: bool


def rows(
    request: HttpRequest, minutes: Mapping[str, history.Minutes], *, after: str = "", limit: int
) -> tuple[list[Row], bool]:
    """Return queues in the order of their names, those after a name, and whether more follow."""
    known = Queue.objects.using(database(None).alias).order_by("name")
    if (visible := access.queue_names(request, "view")) is not None:
        known = known.filter(name__in=visible)
    page = list(known.filter(name__gt=after)[: limit + 1])
    return _rows(request, page[:limit], minutes), len(page) > limit


def one(request: HttpRequest, name: str, minutes: Mapping[str, history.Minutes]) -> Row | None:
    """Return one queue by its name, if it is known; whether a person may see it is not asked."""
    known = Queue.objects.using(database(None).alias).filter(name=name)
    return next(iter(_rows(request, list(known), minutes)), None)


def size(name: str) -> Count:
    """Return how much waits in a queue."""
    return queue_counts([name])[name]


def _rows(
    request: HttpRequest, page: Sequence[Queue], minutes: Mapping[str, history.Minutes]
) -> list[Row]:
    names = [queue.name for queue in page]
    sizes = queue_counts(names)
    waits = queues.latencies(names) if names else {}
    at, idle = now(request), history.Minutes()
    may = {action: access.may(request, action) for action in ("act", "flush")}
    found = []
    for queue in page:
        recent = minutes.get(queue.name, idle)
        waiting = sizes[queue.name]
        row = Row(
            name=queue.name,
            paused=queue.paused,
            size=waiting,
            oldest_seconds=waits.get(queue.name) if waiting.number else None,
            in_rate=history.per_second(recent.pushed, at),
            out_rate=history.per_second(recent.ran, at),
            sparkline=history.sparkline(queue.name, recent),
            may_act=may["act"] and access.opens(request, queue.name, "act"),
            may_flush=may["flush"] and access.opens(request, queue.name, "flush"),
        )
        found.append(row)
    return found
