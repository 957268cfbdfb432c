"""Discarded: what is written of jobs that are thrown away unrun, as part of each such statement."""

from __future__ import annotations

from typing import Final

from .settle import settled
from .track import FORGOTTEN

# What follows the CTE `gone` of jobs. The statement has to read `settled`.
DISCARDED: Final = f"""{FORGOTTEN}, counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, discarded)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, count(*)
    FROM gone
    GROUP BY queue, jobtype
), {settled("gone", outcome="'discarded'")}
"""
