"""Batches: what belongs together, and how far it is; the dashboard has the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from faktory_django.lifecycle.batch import statuses
from faktory_django.lifecycle.connection import database

from .operator import OperatorAdmin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faktory_django.models import Batch


class BatchAdmin(OperatorAdmin):
    """Batches, the latest first."""

    list_display = ("bid", "text", "created_at", "jobs", "pending", "failing", "come_to")
    fields = (
        *("bid", "description", "parent_bid", "created_at", "jobs", "pending", "failing"),
        *("come_to", "complete_st", "success_st", "dead_st", "committed_at", "cancelled_at"),
    )
    deferred_in_list = ("complete", "success", "dead", "steps")

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read how far the batches of a page are, in one query."""
        found = statuses(database(None), [entry.bid for entry in entries])
        for entry in entries:
            entry.found = found[entry.bid]

    def text(self, batch: Batch) -> str:
        """Return what it is, cut."""
        return str(batch.description)[:100]

    text.short_description = _("description")  # type: ignore[attr-defined]

    def jobs(self, batch: Any) -> int:
        """Return how many jobs were pushed."""
        return int(batch.found.total)

    jobs.short_description = _("jobs")  # type: ignore[attr-defined]

    def pending(self, batch: Any) -> int:
        """Return how many have not succeeded."""
        return int(batch.found.pending)

    pending.short_description = _("pending")  # type: ignore[attr-defined]

    def failing(self, batch: Any) -> int:
        """Return how many were run and failed."""
        return int(batch.found.failed)

    failing.short_description = _("failed")  # type: ignore[attr-defined]

    def come_to(self, batch: Any) -> str:
        """Return what it has come to."""
        return str(batch.found.state)

    come_to.short_description = _("state")  # type: ignore[attr-defined]
