"""Types: how the jobs of each type do: how many, how many fail, how long they wait and run."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.utils.formats import date_format, time_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from faktory_django import registry
from faktory_django.contents import cut
from faktory_django.lifecycle.connection import database, execute
from faktory_django.models import Counter
from faktory_django.search import quoted

from . import access, charts, queries_types, times
from .page import now, page, render
from .quantiles import added, bucket_names, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.http import HttpRequest, HttpResponse

MAX_TYPES: Final = 500
MAX_DOC: Final = 2_000
MINUTE, HOUR, DAY = Counter.Resolution.values


@dataclass(frozen=True, slots=True)
class Period:
    """How far back, in spans of how many seconds: a resolution of the counters."""

    name: str
    label: Any
    steps: int
    span: int

    def since(self, at: datetime) -> datetime:
        """Return when the first span begins; the last one has just begun."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        begun = (at - epoch) // timedelta(seconds=self.span)
        return epoch + (begun - self.steps + 1) * timedelta(seconds=self.span)


PERIODS: Final = {
    period.name: period
    for period in (
        Period("hour", gettext_lazy("1 hour"), 60, MINUTE),
        Period("day", gettext_lazy("24 hours"), 24, HOUR),
        Period("week", gettext_lazy("7 days"), 7, DAY),
        Period("month", gettext_lazy("30 days"), 30, DAY),
        Period("quarter", gettext_lazy("90 days"), 90, DAY),
    )
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was counted of a type in some time; waits and runs are histograms of seconds."""

    pushed: int = 0
    done: int = 0
    failed: int = 0
    waits: Sequence[int] = ()
    runs: Sequence[int] = ()

    @property
    def ran(self) -> int:
        """Runs, whether they succeeded or not."""
        return self.done + self.failed

    @property
    def failed_percent(self) -> float | None:
        """How many of a hundred runs failed."""
        return 100 * self.failed / self.ran if self.ran else None

    @property
    def wait_p50(self) -> float | None:
        """The seconds that half of the jobs waited at most."""
        return quantile(self.waits, 0.5)

    @property
    def wait_p95(self) -> float | None:
        """The seconds that 95 of 100 jobs waited at most."""
        return quantile(self.waits, 0.95)

    @property
    def run_p50(self) -> float | None:
        """The seconds that half of the runs took at most."""
        return quantile(self.runs, 0.5)

    @property
    def run_p95(self) -> float | None:
        """The seconds that 95 of 100 runs took at most."""
        return quantile(self.runs, 0.95)


@dataclass(frozen=True, slots=True)
class About:
    """What the @job of a type says in the code that this process has."""

    place: str
    doc: str
    aliases: tuple[str, ...]


@page()
def types(request: HttpRequest) -> HttpResponse:
    """Show all types that something was counted of, those that ran most first."""
    period = _period(request)
    params = {**_params(request, period), "limit": MAX_TYPES}
    rows = execute(database(None), queries_types.TYPES, params)
    context = {
        "title": _("Job types"),
        "live": period.span == MINUTE,
        "types": [(jobtype, Numbers(*numbers)) for jobtype, *numbers in rows],
        "cut": len(rows) == MAX_TYPES,
        "period": period,
        "periods": PERIODS.values(),
    }
    return render(request, "types.html", context)


@page()
def type_page(request: HttpRequest, jobtype: str) -> HttpResponse:
    """Show one type over time."""
    period = _period(request)
    params = {**_params(request, period), "jobtype": jobtype}
    rows = execute(database(None), queries_types.TYPE, params)
    found = {step: Numbers(*numbers) for step, *numbers in rows}
    numbers = [found.get(step, Numbers()) for step in range(period.steps)]
    total = total_of(numbers)
    context = {
        "title": jobtype or "-",
        "live": period.span == MINUTE,
        "jobtype": jobtype,
        "total": total,
        "charts": _charts(period, period.since(now(request)), numbers),
        "histogram": _histogram(total),
        "queues": execute(database(None), queries_types.TYPE_QUEUES, params),
        "finished": urlencode({"q": f"type:{quoted(jobtype)}"}),
        "about": about(jobtype),
        "period": period,
        "periods": PERIODS.values(),
    }
    return render(request, "type.html", context)


def total_of(numbers: Sequence[Numbers]) -> Numbers:
    """Add up what was counted in several spans."""
    return Numbers(
        pushed=sum(n.pushed for n in numbers),
        done=sum(n.done for n in numbers),
        failed=sum(n.failed for n in numbers),
        waits=added(n.waits for n in numbers),
        runs=added(n.runs for n in numbers),
    )


def about(jobtype: str) -> About | None:
    """Return what the code says of a type, None when it is not in Python, or not known here."""
    definition = registry.discovered(jobtype)
    if definition is None:
        return None
    function = definition.function
    place = f"{function.__module__}.{function.__qualname__}"
    doc = cut((inspect.getdoc(function) or "")[:MAX_DOC])
    return About(place, doc, definition.aliases)


def _period(request: HttpRequest) -> Period:
    name = request.GET.get("period", "hour")
    if name not in PERIODS:
        raise BadRequest(_("period must be one of %(names)s") % {"names": ", ".join(PERIODS)})
    return PERIODS[name]


def _params(request: HttpRequest, period: Period) -> Mapping[str, Any]:
    return {
        "since": period.since(now(request)),
        "span": period.span,
        "queues": access.queue_names(request, "view"),
    }


def _charts(period: Period, since: datetime, numbers: Sequence[Numbers]) -> list[charts.Chart]:
    steps = _steps(period, since)
    counts = [
        charts.Series(_("Failed"), "failed", [n.failed for n in numbers]),
        charts.Series(_("Succeeded"), "done", [n.done for n in numbers]),
    ]
    runs = [
        charts.Series(_("p50: half of them"), "median", [n.run_p50 for n in numbers]),
        charts.Series(_("p95: 95 of 100"), "high", [n.run_p95 for n in numbers]),
    ]
    waits = [
        charts.Series(_("p50: half of them"), "median", [n.wait_p50 for n in numbers]),
        charts.Series(_("p95: 95 of 100"), "high", [n.wait_p95 for n in numbers]),
    ]
    each_ten_times = _("at most; each line is about ten times the one below")
    return [
        charts.bars(_("Runs"), _unit(period), steps, counts),
        charts.durations(_("Run time"), each_ten_times, steps, runs),
        charts.durations(_("Wait in the queue"), each_ten_times, steps, waits),
    ]


def _unit(period: Period) -> str:
    return {
        MINUTE: _("jobs per minute"),
        HOUR: _("jobs per hour"),
        DAY: _("jobs per day"),
    }[period.span]


def _steps(period: Period, since: datetime) -> charts.Steps:
    begun = [since + i * timedelta(seconds=period.span) for i in range(period.steps)]
    if period.span == DAY:
        labels = [date_format(at, "MONTH_DAY_FORMAT") for at in begun]
        return charts.Steps(_("Day (UTC)"), labels, [date_format(at) for at in begun])
    return charts.Steps(_("Time"), [time_format(times.local(at), "H:i") for at in begun])


def _histogram(total: Numbers) -> charts.Chart:
    names = bucket_names()
    series = [charts.Series(_("Runs"), "run", list(total.runs) or [0] * len(names))]
    steps = charts.Steps(_("Run time"), names)
    return charts.bars(_("How long runs took"), _("runs that succeeded"), steps, series)
