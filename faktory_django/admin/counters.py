"""Counters: what was pushed, done and failed in each minute, hour and day."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from django.contrib import admin
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from faktory_django.models import BUCKET_SECONDS

from .filters import ResolutionFilter, WindowJobtypeFilter, WindowQueueFilter
from .operator import OperatorAdmin

if TYPE_CHECKING:
    from faktory_django.models import Counter


class CounterAdmin(OperatorAdmin):
    """Counters: days, then hours, then minutes, the latest first: the order of their index."""

    list_display = (
        *("starts_at", "resolution", "queue", "jobtype"),
        *("pushed", "done", "failed", "discarded", "reaped"),
    )
    list_filter = (ResolutionFilter, WindowQueueFilter, WindowJobtypeFilter)
    ordering = ("-resolution", "-starts_at", "-queue", "-jobtype")
    deferred_in_list = ("waits", "runs")
    fieldsets = (
        (None, {"fields": ("starts_at", "resolution", "queue", "jobtype")}),
        (_("Counts"), {"fields": ("pushed", "done", "failed", "discarded", "reaped")}),
        (_("Seconds"), {"fields": ("wait_times", "run_times")}),
    )
    actions = None

    @admin.display(description=_("from ready to start"))
    def wait_times(self, counter: Counter) -> str:
        """How many runs waited how long."""
        return _histogram(counter.waits)

    @admin.display(description=_("from start to end"))
    def run_times(self, counter: Counter) -> str:
        """How many runs took how long."""
        return _histogram(counter.runs)


def _histogram(counts: list[int] | None) -> str:
    bounds = [localize(seconds) for seconds in (0, *BUCKET_SECONDS)]
    spans = [*(f"{low} - {high}" for low, high in pairwise(bounds)), f"> {bounds[-1]}"]
    lines = ((span, localize(n)) for span, n in zip(spans, counts or (), strict=False) if n)
    return format_html_join("", "<div>{}: {}</div>", lines) or "-"
