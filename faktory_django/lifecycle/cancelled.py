"""Cancelled: what is written of jobs that somebody called off, as parts of statements."""

from __future__ import annotations

from typing import Final

from .settle import OF_A_SET, settled

# Whether the holder of a job j was asked to stop it.
ASKED: Final = "EXISTS (SELECT FROM faktory_django_cancel c WHERE c.job_id = j.id)"

# What follows the CTE `gone` of jobs, or of entries of a set: features settle them, those who
# track them hear of it.
_CANCELLED: Final = """
{settled}, told AS (
    UPDATE faktory_django_track t
    SET "end" = 'cancelled', ended_at = clock_timestamp()
    FROM gone g
    WHERE t.jid = g.jid
), called_off AS (
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, discarded)
    SELECT date_trunc('minute', clock_timestamp()), queue, jobtype,
        count(*) + 0 * (SELECT count(*) FROM settled_off)  -- read, or it is not run
    FROM gone
    GROUP BY queue, jobtype
)
"""


def _settled(key: str = "e.id") -> str:
    return settled("gone", outcome="'cancelled'", key=key, name="settled_off").strip()


CANCELLED: Final = _CANCELLED.format(settled=_settled())
CANCELLED_OF_SET: Final = _CANCELLED.format(settled=_settled(OF_A_SET))

# Of the jobs that leave a holder without an end, those that were asked to stop do not return.
_DROPPED = """
gone AS MATERIALIZED (
    DELETE FROM faktory_django_job j
    WHERE j.id = ANY(ARRAY({ids})) AND {asked}
    RETURNING j.*
), {cancelled}
"""


def dropped(ids: str) -> str:
    """Return the CTEs that end those jobs of a SELECT of ids that were asked to stop."""
    return _DROPPED.format(ids=ids, asked=ASKED, cancelled=CANCELLED).strip()
