"""Discarded: what is written of jobs that are thrown away unrun, as part of each such statement."""

from __future__ import annotations

from typing import Final

from .track import FORGOTTEN

# What follows the CTE `gone` (queue, jobtype, jid of the jobs).
DISCARDED: Final = f"""{FORGOTTEN}, counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, discarded)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, count(*)
    FROM gone
    GROUP BY queue, jobtype
)
"""
