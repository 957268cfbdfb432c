"""Counters of months: busy by day, quiet on Sundays, with one bad day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Mapping

# The resolution, its name, how many spans there are, and about how many jobs ran in each.
SPANS: Final = (
    (60, "minute", 120, 300),
    (3_600, "hour", 48, 1_700),
    (86_400, "day", 180, 40_000),
)

_INSERT: Final = """
INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype, pushed, done, failed,
    waits, runs)
SELECT %(seconds)s, date_trunc(%(unit)s, statement_timestamp(), 'UTC') - i * %(step)s::interval,
    %(queue)s, %(jobtype)s, n, n - bad, bad,
    ARRAY[n / 10, n / 5, n / 4, n / 4, n / 8, n / 20, n / 40, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ARRAY[0, 0, n / 9, n / 4, n / 3, n / 5, n / 10, n / 30, n / 90, 0, 0, 0, 0, 0, 0, 0]
FROM generate_series(0, %(last)s) AS i
CROSS JOIN LATERAL (
    SELECT (%(level)s * (1 + 0.6 * sin(i / 4.0 + %(phase)s) + 0.3 * sin(i * 1.7 * %(phase)s))
        * CASE WHEN i %% 7 = 3 THEN 0.3 ELSE 1 END)::int AS n
) AS wave
CROSS JOIN LATERAL (
    SELECT n / CASE WHEN i %% 19 = 5 THEN 5 ELSE %(failing)s END AS bad
) AS failures
"""


def write(types: Mapping[str, tuple[str, list[Any]]]) -> None:
    """Write minutes of the last two hours, hours of two days and days of half a year."""
    with connection.cursor() as cursor:
        for number, (jobtype, (queue, _args)) in enumerate(types.items(), 1):
            common: dict[str, Any] = {
                "queue": queue,
                "jobtype": jobtype,
                "failing": 40 + 30 * number,
                "phase": number,
            }
            for seconds, unit, last, level in SPANS:
                span = {"seconds": seconds, "unit": unit, "step": f"1 {unit}", "last": last}
                cursor.execute(_INSERT, common | span | {"level": level / number})
