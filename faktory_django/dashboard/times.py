"""Times: how long ago, or until when, in words; the exact instant is for the title."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from . import figures

if TYPE_CHECKING:
    from datetime import datetime

# Clocks differ by a little: what is a moment off is now.
MOMENT: Final = timedelta(seconds=1)
FAR: Final = timedelta(days=60)


def relative(moment: datetime, now: datetime) -> str:
    """Return "2 min ago" or "in 3 min"; a date when it is further than 60 days."""
    ahead = moment - now
    if abs(ahead) < MOMENT:
        return pgettext("a moment", "now")
    if abs(ahead) > FAR:
        return date_format(local(moment), "DATE_FORMAT")
    if ahead > timedelta(0):
        return _("in %(duration)s") % {"duration": figures.duration(ahead.total_seconds())}
    return _("%(duration)s ago") % {"duration": figures.duration(-ahead.total_seconds())}


def exact(moment: datetime) -> str:
    """Return the instant in the viewer's zone, to the millisecond, with the zone."""
    here = local(moment)
    return f"{here:%Y-%m-%d %H:%M:%S}.{here.microsecond // 1000:03d} {here.tzname()}"


def to_the_second(moment: datetime) -> str:
    """Return the instant in the viewer's zone, to the second, with the zone."""
    here = local(moment)
    return f"{here:%Y-%m-%d %H:%M:%S} {here.tzname()}"


def local(moment: datetime) -> datetime:
    """Return the moment in the viewer's zone."""
    return timezone.localtime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
