"""Discarded: what is written of jobs that are thrown away unrun, as part of each such statement."""

from __future__ import annotations

from typing import Final

from .settle import OF_A_SET, settled
from .track import FORGOTTEN

_DISCARDED: Final = f"""{FORGOTTEN}, counted AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, discarded)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype, count(*)
    FROM gone
    GROUP BY queue, jobtype
), {{settled}}
"""
# What follows the CTE `gone` of jobs, or of entries of a set. The statement has to read `settled`.
DISCARDED: Final = _DISCARDED.format(settled=settled("gone", outcome="'discarded'"))
DISCARDED_OF_SET: Final = _DISCARDED.format(
    settled=settled("gone", outcome="'discarded'", key=OF_A_SET)
)
