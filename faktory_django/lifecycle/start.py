"""Start: what features do with jobs that have just been claimed, before anybody works on them.

Plain jobs are passed over, without a look at the database.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from faktory_django.features import expiry, unique

from .unique import UNLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .fetch import Claimed


# Keys of traits that say something of the start, as text: traits without them are not read.
_MARKS: Final = (f'"{expiry.AT}"', f'"{unique.ENDS_AT}"')


class Sorted(NamedTuple):
    """Claimed jobs: those to run, those that have expired, and those whose lock ends now."""

    to_run: list[Claimed]
    expired: list[Claimed]
    to_unlock: list[Claimed]


def sort_out(claimed: Sequence[Claimed], moment: float) -> Sorted:
    """Tell claimed jobs apart; moment is in Unix seconds of the database."""
    found = Sorted([], [], [])
    for job in claimed:
        if job.traits is None or not any(mark in job.traits for mark in _MARKS):
            found.to_run.append(job)
            continue
        traits = json.loads(job.traits)
        if expiry.has_passed(traits, moment):
            found.expired.append(job)
            continue
        found.to_run.append(job)
        if unique.ends_at_start(traits):
            found.to_unlock.append(job)
    return found


def unlocking(jobs: Sequence[Claimed]) -> tuple[str, dict[str, Any]]:
    """Return the statement that frees the locks of jobs that start, and its parameters."""
    return UNLOCK, {"ids": [job.id for job in jobs]}
