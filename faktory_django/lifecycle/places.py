"""Places: the tables in which a job can be, for statements that ask whether there is one."""

from __future__ import annotations

from typing import Final

# Where a job is that may still run by itself.
LIVING: Final = (
    "faktory_django_job",
    "faktory_django_retryjob",
    "faktory_django_scheduledjob",
)
ALL: Final = (*LIVING, "faktory_django_deadjob")


def anywhere(condition: str, *, tables: tuple[str, ...] = ALL) -> str:
    """Return a condition of SQL: one of these tables has a row, called e, that meets another."""
    return " OR ".join(f"EXISTS (SELECT FROM {table} e WHERE {condition})" for table in tables)
