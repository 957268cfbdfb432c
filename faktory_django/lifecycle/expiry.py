"""Expiry: jobs past their time are thrown away by whoever has claimed them (protocol 9.2)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from faktory_django.features.expiry import EXPIRED

from .fail import Failing, fail
from .retry import Fate, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .fetch import Claimed

logger = logging.getLogger("faktory_django.jobs")

# Seconds from when a job is due become an instant, by the clock that will be asked again.
EXPIRY_FUNCTION: Final = """
CREATE OR REPLACE FUNCTION faktory_django_expiry_v1(
    traits jsonb[], due_ats timestamptz[], moment timestamptz
)
RETURNS jsonb[] LANGUAGE plpgsql IMMUTABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(traits) AS t(traits) WHERE t.traits ? 'expires_in') THEN
        RETURN traits;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN t.traits ? 'expires_in' THEN
            (t.traits - 'expires_in') || jsonb_build_object('expires_at', least(
                (t.traits ->> 'expires_at')::float8,
                extract(epoch FROM coalesce(t.due_at, moment))::float8
                    + (t.traits ->> 'expires_in')::float8
            ))
        ELSE t.traits END
        FROM unnest(traits, due_ats) WITH ORDINALITY AS t(traits, due_at, nr)
        ORDER BY t.nr
    );
END
$$
"""


def throw_away(connection: BaseDatabaseWrapper, jobs: Sequence[Claimed]) -> int:
    """Throw away claimed jobs that have expired; return how many were still held."""
    gone = Verdict(Fate.GONE)
    moved = fail(
        connection, [Failing(j.id, j.lease, gone, counts=False, outcome=EXPIRED) for j in jobs]
    )
    for job in moved:
        facts = {"jid": job.jid, "jobtype": job.jobtype, "queue": job.queue}
        logger.info("%s %s has expired", job.jobtype, job.jid, extra=facts)
    return len(moved)
