"""Places: the tables in which a job can be, by name and for statements that ask in which it is."""

from __future__ import annotations

from typing import Final

# Where a job waits for its time, or for a person.
SETS: Final = {
    "scheduled": "faktory_django_scheduledjob",
    "retries": "faktory_django_retryjob",
    "dead": "faktory_django_deadjob",
}
# Where a job can be that is in nobody's hands.
PLACES: Final = {**SETS, "waiting": "faktory_django_job"}

# Where a job is that may still run by itself; the likeliest first.
LIVING: Final = (PLACES["waiting"], SETS["retries"], SETS["scheduled"])
ALL: Final = (*LIVING, SETS["dead"])


def anywhere(condition: str, *, tables: tuple[str, ...] = ALL) -> str:
    """Return a condition of SQL: one of these tables has a row, called e, that meets another."""
    return " OR ".join(f"EXISTS (SELECT FROM {table} e WHERE {condition})" for table in tables)
