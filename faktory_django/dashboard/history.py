"""History: what was done, by the minute of the last hour and by the day, as numbers and charts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from django.utils.formats import date_format, time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from faktory_django.lifecycle.connection import database, execute

from . import charts, figures, queries_counters, times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

HOUR: Final = 60
PERIODS: Final = (7, 30, 90, 180)
DEFAULT_PERIOD: Final = 30


@dataclass(frozen=True)
class Minutes:
    """What one queue did in the minutes of the last hour; the last one has just begun."""

    pushed: list[int] = field(default_factory=lambda: [0] * HOUR)
    done: list[int] = field(default_factory=lambda: [0] * HOUR)
    failed: list[int] = field(default_factory=lambda: [0] * HOUR)

    @cached_property
    def ran(self) -> list[int]:
        """Runs, whether they succeeded or not."""
        return [done + failed for done, failed in zip(self.done, self.failed, strict=True)]


def minutes(now: datetime) -> dict[str, Minutes]:
    """Return the last hour of each queue in which something happened; one query."""
    found: dict[str, Minutes] = defaultdict(Minutes)
    for queue, step, *numbers in execute(database(None), queries_counters.MINUTES, {"now": now}):
        here = found[queue]
        here.pushed[-1 - step], here.done[-1 - step], here.failed[-1 - step] = numbers
    return dict(found)


def per_second(values: Sequence[int], now: datetime) -> float:
    """Return the rate over the last whole minute and the one that has begun."""
    return (values[-1] + values[-2]) / (60 + now.second + now.microsecond / 1e6)


def drawn(values: Sequence[int]) -> list[int | None]:
    """Return the minutes that can be compared.

    The one that has begun is among them once it has outdone the one before: until then it
    would look as if the work had stopped.
    """
    return [*values[:-1], values[-1] if values[-1] > values[-2] else None]


def sparkline(queue: str, found: Minutes) -> charts.Sparkline:
    """Return the line of what a queue ran in each minute of the last hour."""
    most = max(found.ran)
    title = ngettext(
        "%(queue)s: at most %(most)s run in a minute of the last hour",
        "%(queue)s: at most %(most)s runs in a minute of the last hour",
        most,
    )
    return charts.sparkline(drawn(found.ran), title % {"queue": queue, "most": figures.exact(most)})


def hour_chart(found: Mapping[str, Minutes], now: datetime) -> charts.Chart:
    """Return the chart of the last hour, all queues together."""
    begun = [now - timedelta(minutes=HOUR - 1 - i) for i in range(HOUR)]
    labels = [time_format(times.local(at).replace(second=0), "H:i") for at in begun]
    done = [sum(column) for column in zip(*(m.ran for m in found.values()), strict=True)]
    failed = [sum(column) for column in zip(*(m.failed for m in found.values()), strict=True)]
    series = [
        charts.Series(_("Processed"), "done", drawn(done or [0] * HOUR)),
        charts.Series(_("Failed"), "failed", drawn(failed or [0] * HOUR)),
    ]
    steps = charts.Steps(_("Minute"), labels)
    return charts.lines(_("Last hour"), _("jobs per minute"), steps, series)


def days_chart(period: int, now: datetime) -> charts.Chart:
    """Return the chart of as many days, one bar a day: what failed at the bottom."""
    done, failed = [0] * period, [0] * period
    rows = execute(database(None), queries_counters.DAYS, {"now": now, "days": period})
    for step, *numbers in rows:
        done[-1 - step], failed[-1 - step] = numbers
    dates = [now.astimezone(UTC) - timedelta(days=period - 1 - i) for i in range(period)]
    # Translators: a date format of Django, short: the month and the day.
    short = pgettext("date format", "M j")
    labels = [date_format(date, short) for date in dates]
    details = [date_format(date, "DATE_FORMAT") for date in dates]
    series = [
        charts.Series(_("Failed"), "failed", failed),
        charts.Series(_("Succeeded"), "done", done),
    ]
    steps = charts.Steps(_("Day (UTC)"), labels, details)
    return charts.bars(_("History"), _("jobs per day"), steps, series)
