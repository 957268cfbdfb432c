"""Jobs: what waits in a queue or is in work, with what the ready entry and the lease say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.db import connections
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from faktory_django import settings
from faktory_django.lifecycle import mutate
from faktory_django.models import Process

from .acts import Act, action, kill
from .contents import ContentsAdmin, shown
from .filters import InWorkFilter, ReadyQueueFilter, WindowJobtypeFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from faktory_django.models import Job

# Leases are as few as claimed batches; a job that none of them names waits in its queue.
HELD: Final = """
SELECT h.id, l.wid, l.claimed_at, l.expires_at, p.hostname, p.pid, p.running
FROM faktory_django_lease l
CROSS JOIN LATERAL unnest(l.ids) AS h(id)
LEFT JOIN faktory_django_process p ON p.wid = l.wid
WHERE l.ids && %(ids)s::bigint[] AND h.id = ANY(%(ids)s::bigint[])
ORDER BY h.id, l.id
"""
NOT_WAITING: Final = ngettext_lazy(
    "%(count)d was not waiting: it is in work or has ended, and is untouched.",
    "%(count)d were not waiting: they are in work or have ended, and are untouched.",
    "count",
)


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a job, and whether it has been started."""

    wid: str
    process: str
    claimed_at: datetime
    expires_at: datetime | None
    started_at: datetime | None


def holds(ids: Sequence[int], *, using: str) -> dict[int, Hold]:
    """Return who holds these jobs; those that are missing wait."""
    if not ids:
        return {}
    with connections[using].cursor() as cursor:
        cursor.execute(HELD, {"ids": list(ids)})
        return dict(_holds(cursor.fetchall()))


def running(text: str | None) -> dict[int, datetime]:
    """Return the jobs that a process says it runs, and since when."""
    try:
        return {int(i): datetime.fromtimestamp(at, UTC) for i, at in json.loads(text or "[]")}
    except (ValueError, TypeError, OverflowError, OSError):
        return {}


class JobAdmin(ContentsAdmin):
    """Jobs in the order in which they were pushed."""

    list_display = ("short_jid", "jobtype", "queue", "state", "process", "since")
    list_filter = (InWorkFilter, ReadyQueueFilter, WindowJobtypeFilter)
    deferred_in_list = ("body", "failure")
    facts = (
        *("jid", "jobtype", "queue", "priority", "state", "process", "since", "until"),
        *("pushed_at", "enqueued_at", "reserve_for", "retry", "crashes"),
    )
    actions = (
        action(
            Act(
                "kill",
                _("Kill"),
                partial(kill, "waiting"),
                ngettext_lazy(
                    "%(count)d job is dead now.", "%(count)d jobs are dead now.", "count"
                ),
                untouched=NOT_WAITING,
            )
        ),
        action(
            Act(
                "discard",
                _("Discard"),
                lambda ids, using: mutate.discard("waiting", ids, using=using),
                ngettext_lazy(
                    "%(count)d job was thrown away.", "%(count)d jobs were thrown away.", "count"
                ),
                untouched=NOT_WAITING,
                question=ngettext_lazy(
                    "%(count)d job will be thrown away if it is still waiting.",
                    "%(count)d jobs will be thrown away if they are still waiting.",
                    "count",
                ),
            )
        ),
    )

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read who holds the jobs of the page."""
        found = holds([job.pk for job in entries], using=settings.get().database)
        for job in entries:
            vars(job)["hold"] = found.get(job.pk)

    @admin.display(description=_("state"))
    def state(self, job: Job) -> str:
        """Waiting, claimed by a process that has not started it, or running."""
        hold = _hold(job)
        if hold is None:
            return str(_("waiting"))
        started = hold.started_at or hold.expires_at
        return str(_("running") if started else _("claimed"))

    @admin.display(description=_("process"))
    def process(self, job: Job) -> str:
        """The process that holds it."""
        hold = _hold(job)
        if hold is None or not hold.wid:
            return "-"
        return self.link(Process, hold.wid, hold.process)

    @admin.display(description=_("since"))
    def since(self, job: Job) -> str:
        """Since when it is in this state."""
        hold = _hold(job)
        return shown(job.enqueued_at if hold is None else hold.started_at or hold.claimed_at)

    @admin.display(description=_("reserved until"))
    def until(self, job: Job) -> str:
        """When its reservation ends by itself, for a client of the wire."""
        hold = _hold(job)
        return shown(hold.expires_at if hold is not None else None)


def _hold(job: Job) -> Hold | None:
    found: Hold | None = vars(job).get("hold")
    return found


def _holds(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Hold]]:
    for job, wid, claimed_at, expires_at, hostname, pid, slots in rows:
        name = wid if pid is None else f"{hostname}:{pid}"
        yield job, Hold(wid, name, claimed_at, expires_at, running(slots).get(job))
