"""History: a job that has ended leaves a row, when it or the settings ask for that.

The row is written by the statement that ends the job, so there are as many rows as ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .connection import database, execute
from .partitions import FINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# What settle calls: parallel arrays, a job each. Traits say for how many days a job is kept; notes
# are what the worker says of the run. A failure that cannot be read counts no runs.
KEEP_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_keep_v1(
    jids text[], queues text[], jobtypes text[], enqueued_ats timestamptz[], bodies text[],
    failures text[], traits jsonb[], outcomes text[], notes jsonb[]
)
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    WITH given AS MATERIALIZED (
        SELECT p.*, (p.traits -> 'keep' ->> 'days')::int AS days
        FROM unnest(
            jids, queues, jobtypes, enqueued_ats, bodies, failures, traits, outcomes, notes
        ) AS p(jid, queue, jobtype, enqueued_at, body, failure, traits, outcome, note)
        WHERE p.traits ? 'keep'
        AND p.outcome IN ('done', 'failed', 'dead', 'discarded', 'expired', 'cancelled')
    ), buckets AS MATERIALIZED (
        -- of few different days, while a date is dear
        SELECT d.days, faktory_django_bucket_v1(d.days, moment) AS bucket
        FROM (SELECT DISTINCT g.days FROM given g) AS d
    )
    INSERT INTO {FINISHED} (
        bucket, jid, jobtype, queue, outcome, pushed, enqueued_at, started_at, finished_at,
        run_seconds, attempts, wid, body, failure, result, mark, remark
    )
    SELECT b.bucket, g.jid, g.jobtype, g.queue, g.outcome,
        CASE WHEN g.body ^@ '{{"created_at":"' THEN split_part(left(g.body, 80), '"', 4) END,
        g.enqueued_at, to_timestamp((g.note ->> 'started')::float8), moment,
        (g.note ->> 'ran')::float8,
        coalesce(
            (g.note ->> 'attempt')::int,
            coalesce((substring(g.failure FROM '"retry_count":(\\d{{1,6}})'))::int + 1, 0)
                + (g.outcome = 'done')::int
        ),
        coalesce(g.note ->> 'wid', ''),
        CASE WHEN g.traits -> 'keep' ? 'args' THEN g.body END,
        CASE WHEN g.outcome IN ('failed', 'dead', 'discarded') THEN g.note ->> 'error' END,
        CASE WHEN g.outcome = 'done' AND g.traits -> 'keep' ? 'result' THEN
            g.note ->> 'result' END,
        CASE WHEN g.traits -> 'keep' ? 'result' THEN g.note ->> 'mark' END,
        coalesce(g.note ->> 'remark', '')
    FROM given g
    JOIN buckets b ON b.days = g.days;
END
$$
"""
# The latest of each jid.
LATEST: Final = f"""
SELECT f.jid, f.outcome, f.finished_at, f.result, f.mark, f.remark, f.failure, f.jobtype
FROM unnest(%(jids)b::text[]) AS g(jid)
CROSS JOIN LATERAL (
    SELECT *
    FROM {FINISHED} f
    WHERE f.jid = g.jid
    ORDER BY f.finished_at DESC, f.id DESC
    LIMIT 1
) AS f
"""


class Finished(NamedTuple):
    """How a job has ended, and what was kept of its result."""

    jid: str
    outcome: str
    finished_at: datetime
    result: str | None
    mark: str | None
    remark: str
    failure: str | None
    jobtype: str


def latest(jids: Sequence[str], *, using: str | None = None) -> dict[str, Finished]:
    """Return how jobs ended last, of those that are in the history."""
    rows = execute(database(using), LATEST, {"jids": list(jids)})
    return {row[0]: Finished(*row) for row in rows}
