"""Counters of months: busy by day, quiet on Sundays, with one bad day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Mapping

DAYS: Final = 180
MINUTES: Final = 120

_INSERT: Final = """
INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype, pushed, done, failed,
    waits, runs)
SELECT %(seconds)s, date_trunc(%(unit)s, statement_timestamp(), 'UTC') - i * %(step)s::interval,
    %(queue)s, %(jobtype)s, n, n - bad, bad,
    ARRAY[n / 10, n / 5, n / 4, n / 4, n / 8, n / 20, n / 40, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ARRAY[0, 0, n / 9, n / 4, n / 3, n / 5, n / 10, n / 30, n / 90, 0, 0, 0, 0, 0, 0, 0]
FROM generate_series(%(first)s::int, %(last)s) AS i
CROSS JOIN LATERAL (
    SELECT (%(level)s * (1 + 0.6 * sin(i / 4.0 + %(phase)s) + 0.3 * sin(i * 1.7 * %(phase)s))
        * CASE WHEN i %% 7 = 3 THEN 0.3 ELSE 1 END)::int AS n
) AS wave
CROSS JOIN LATERAL (
    SELECT n / CASE WHEN i %% 19 = 5 THEN 5 ELSE %(failing)s END AS bad
) AS failures
"""


def write(types: Mapping[str, tuple[str, list[Any]]]) -> None:
    """Write minutes of the last two hours and days of half a year for each type."""
    with connection.cursor() as cursor:
        for number, (jobtype, (queue, _args)) in enumerate(types.items(), 1):
            common: dict[str, Any] = {
                "queue": queue,
                "jobtype": jobtype,
                "failing": 40 + 30 * number,
                "phase": number,
            }
            minutes = {"seconds": 60, "unit": "minute", "step": "1 minute", "level": 300 / number}
            days = {"seconds": 86_400, "unit": "day", "step": "1 day", "level": 40_000 / number}
            cursor.execute(_INSERT, common | minutes | {"first": 0, "last": MINUTES})
            cursor.execute(_INSERT, common | days | {"first": 1, "last": DAYS})
