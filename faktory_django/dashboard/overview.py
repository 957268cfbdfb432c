"""Overview: is everything all right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from faktory_django.lifecycle.stats import totals

from . import history, queue_table
from .counts import Count, counts
from .page import is_fragment, now, page, render
from .warnings import warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from .warnings import Trouble

MAX_QUEUES: Final = 30


@page()
def overview(request: HttpRequest) -> HttpResponse:
    """Show the numbers, what is wrong, the last hour, the queues, and the days before."""
    minutes = history.minutes(now(request))
    queues, more_queues = queue_table.rows(request, minutes, limit=MAX_QUEUES)
    troubles = warnings(request, minutes)
    context = {
        "title": _("Dashboard"),
        "live": True,
        "trouble": _trouble(request, troubles),
        "tiles": _tiles(request),
        "warnings": troubles,
        "hour": history.hour_chart(minutes, now(request)),
        "queues": queues,
        "more_queues": more_queues,
    }
    if not is_fragment(request):
        context |= _history(request)
    return render(request, "overview.html", context)


def _tiles(request: HttpRequest) -> list[dict[str, Any]]:
    found, happened = counts(request), totals()
    done, failed = happened["done"], happened["failed"]
    tiles = [
        ("processed", _("Processed"), Count(done + failed), ""),
        ("failed", _("Failed"), Count(failed), ""),
        ("busy", _("Busy"), found["busy"], "busy"),
        ("enqueued", _("Enqueued"), found["queues"], "queues"),
        ("retries", _("Retries"), found["retries"], "retries"),
        ("scheduled", _("Scheduled"), found["scheduled"], "scheduled"),
        ("dead", _("Dead"), found["dead"], "dead"),
    ]
    return [
        {
            "name": name,
            "label": label,
            "count": count,
            "url": reverse(f"faktory:{url}") if url else "",
            "of": found["slots"] if name == "busy" and found["slots"].number else None,
        }
        for name, label, count, url in tiles
    ]


def _history(request: HttpRequest) -> dict[str, Any]:
    asked = request.GET.get("days", "")
    period = int(asked) if asked in map(str, history.PERIODS) else history.DEFAULT_PERIOD
    chart = history.days_chart(period, now(request))
    return {"history": chart, "period": period, "periods": history.PERIODS}


def _trouble(request: HttpRequest, troubles: Sequence[Trouble]) -> str:
    """Return what the title of the tab says before the page's name."""
    if troubles:
        count = len(troubles)
        return ngettext("%(count)d warning", "%(count)d warnings", count) % {"count": count}
    dead = counts(request)["dead"].number
    return ngettext("%(count)d dead", "%(count)d dead", dead) % {"count": dead} if dead else ""
