"""Figures: numbers and durations in the short form that axes and tiles have room for."""

from __future__ import annotations

from typing import Final

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, pgettext

THOUSANDS: Final = (
    (1_000_000_000, gettext_noop("%(n)s G")),
    (1_000_000, gettext_noop("%(n)s M")),
    (1_000, gettext_noop("%(n)s k")),
)
DURATIONS: Final = (
    (86_400, gettext_noop("%(n)s d")),
    (3_600, gettext_noop("%(n)s h")),
    (60, gettext_noop("%(n)s min")),
    (1, gettext_noop("%(n)s s")),
    (0.001, gettext_noop("%(n)s ms")),
)
BYTES: Final = (
    (1024**4, gettext_noop("%(n)s TB")),
    (1024**3, gettext_noop("%(n)s GB")),
    (1024**2, gettext_noop("%(n)s MB")),
    (1024, gettext_noop("%(n)s kB")),
)
# Up to here a whole number is shown exactly: a person reads four digits at a glance.
EXACT: Final = 10_000


def exact(number: float) -> str:
    """Return a number with all its digits, grouped as the viewer's language groups them."""
    return _grouped(number)


def short(number: float) -> str:
    """Return a number in at most some six characters: 9,999, then 12 k, 1.2 M, 3 G."""
    if abs(number) < EXACT:
        return _grouped(float(f"{number:.2g}") if abs(number) < 10 else round(number))
    return _scaled(number, THOUSANDS)


def tile(number: float) -> str:
    """Return a count with all its digits up to a hundred millions, then in the short form."""
    return exact(number) if abs(number) < 100_000_000 else short(number)


def rate(per_second: float) -> str:
    """Return a rate with the digits that matter: 0, 0.02, 0.3, 12, 1,200."""
    if per_second <= 0:
        return "0"
    if per_second < 0.01:
        return f"< {_grouped(0.01)}"
    places = 2 if per_second < 0.1 else 1 if per_second < 10 else 0
    return _grouped(round(per_second, places))


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: 350 ms, 3 s, 41 min, 2.3 h, 4 d."""
    if seconds <= 0:
        return pgettext("duration", "0 s")
    return _scaled(max(seconds, 0.000_1), DURATIONS)


def size(number: int) -> str:
    """Return a size in bytes in its largest unit, in powers of 1,024: 8 kB, 1.2 GB."""
    if abs(number) < 1024:
        return _("%(n)s B") % {"n": _grouped(number)}
    return _scaled(number, BYTES)


def _scaled(number: float, units: tuple[tuple[float, str], ...]) -> str:
    largest = units[0][0]
    for unit, words in units:
        # 999.96 s of its unit would be rounded to a thousand of it: the next unit says it better.
        if abs(number) >= unit * 0.9995 or unit == units[-1][0]:
            return _(words) % {"n": _digits(number / unit, whole=unit == largest)}
    raise AssertionError("the last unit takes all that is left")


def _digits(number: float, *, whole: bool) -> str:
    places = 0 if abs(number) >= 9.95 and not whole else 1
    rounded = round(number, places)
    return _grouped(int(rounded) if rounded == int(rounded) else rounded)


def _grouped(number: float) -> str:
    whole = number == int(number)
    return str(formats.number_format(int(number) if whole else number, force_grouping=True))
