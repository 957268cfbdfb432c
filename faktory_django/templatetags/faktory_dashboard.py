"""Tags and filters of the dashboard's templates: times, numbers, links that keep the filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.utils.html import format_html

from faktory_django.dashboard import figures, times
from faktory_django.dashboard.counts import Count

if TYPE_CHECKING:
    from datetime import datetime, timedelta

register = template.Library()


@register.simple_tag(takes_context=True)
def when(context: template.Context, moment: datetime | None) -> str:
    """Return <time>: "2 min ago", with the exact instant in the viewer's zone as its title."""
    if moment is None:
        return "-"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        times.exact(moment),
        times.relative(moment, context["now"]),
    )


@register.simple_tag
def instant(moment: datetime | None) -> str:
    """Return <time> with the exact instant in the viewer's zone."""
    if moment is None:
        return "-"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), times.exact(moment))


@register.filter
def moment(value: datetime) -> str:
    """Return an instant in the viewer's zone, to the second, with the zone."""
    return times.to_the_second(value)


@register.simple_tag
def number(value: Any) -> str:
    """Return <data>: a short number, its whole value as the title; ≈ before an estimate."""
    count = value if isinstance(value, Count) else Count(value)
    return format_html(
        '<data value="{}" title="{}">{}</data>',
        str(count.number),
        count.text(figures.exact),
        count.text(),
    )


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Return seconds, or a timedelta, in the largest unit: 41 min; - when there is none."""
    if value is None:
        return "-"
    return figures.duration(value if isinstance(value, int | float) else value.total_seconds())


@register.filter
def kilobytes(value: int) -> str:
    """Return KiB in the largest unit: 84 MB; - for 0."""
    return figures.size(value * 1024) if value else "-"


@register.filter
def size(value: int) -> str:
    """Return bytes in the largest unit: 84 MB."""
    return figures.size(value)


@register.filter
def rate(value: float) -> str:
    """Return a rate per second: 0, 0.3, 12."""
    return figures.rate(value)
