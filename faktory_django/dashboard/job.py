"""Job: what happened to this one job, where it is, and why it is not running."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from faktory_django import payload, settings
from faktory_django.contents import cut, line, name
from faktory_django.features.batches import bid_of
from faktory_django.search import quoted

from . import access, job_rows, progress, why
from .error_groups import pattern_of
from .lists import LISTS
from .page import came_from, is_fragment, now, page, render
from .progress import Progress
from .serving import services
from .timeline import Moments, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

    from .job_rows import Row
    from .lists import Act
    from .serving import Service
    from .timeline import Event

STATES: Final[dict[str, Any]] = {
    "running": gettext_lazy("running"),
    "claimed": gettext_lazy("claimed"),
    "waiting": gettext_lazy("waiting"),
    "retries": gettext_lazy("in retries"),
    "scheduled": gettext_lazy("scheduled"),
    "dead": gettext_lazy("dead"),
}
# Longer arguments are folded.
SHORT_LINES: Final = 20
SHORT_TEXT: Final = 1_600


@dataclass(frozen=True, slots=True)
class Shown:
    """One job as its page shows it; number tells those of one jid apart."""

    number: int
    row: Row
    state: str
    reasons: Sequence[why.Reason]
    events: list[Event]
    retry: int
    may_see_args: bool
    may_copy: bool
    acts: Sequence[Act]

    @property
    def state_name(self) -> str:
        """What its state is called."""
        return str(STATES[self.state])

    @property
    def error(self) -> str:
        """The class and the message of its latest error, on one line."""
        failure = self.row.contents.failure
        return ": ".join(filter(None, (line(failure.get(k)) for k in ("errtype", "message"))))

    @property
    def same_error(self) -> str:
        """Where the jobs of its list with the same error are; empty for none."""
        failure = self.row.contents.failure
        said = (line(failure.get(k)) for k in ("errtype", "message"))
        pattern = pattern_of(*said)
        if not pattern or not LISTS[self.row.place].failed:
            return ""
        search = urlencode({"q": f"error:{quoted(pattern)}"})
        return f"{reverse(f'faktory:{self.row.place}')}?{search}"

    @property
    def traceback(self) -> str:
        """The lines of the latest error's traceback."""
        return cut("\n".join(self.row.contents.backtrace))

    @property
    def folds(self) -> bool:
        """Whether its arguments are too long to stand open."""
        text = self.row.contents.args
        return text.count("\n") >= SHORT_LINES or len(text) > SHORT_TEXT

    @property
    def bid(self) -> str:
        """The batch that it is in, or whose callback it is; empty for none."""
        return bid_of(json.dumps(self.row.job.traits)) or ""

    @property
    def due_at(self) -> datetime | None:
        """When it is due, if it waits for a time."""
        return getattr(self.row.job, "due_at", None)

    @property
    def died_at(self) -> datetime | None:
        """When it died."""
        return getattr(self.row.job, "died_at", None)


@page()
def job(request: HttpRequest, jid: str) -> HttpResponse:
    """Show the jobs of a jid; the part that is renewed says what becomes of them."""
    rows = job_rows.rows(request, jid)
    served = services((row.job.queue for row in rows), now(request)) if rows else {}
    context = {
        "title": line(name(rows[0].job.jobtype, rows[0].contents.body)) if rows else _("Job"),
        "jid": jid,
        "jobs": [_shown(request, row, i, served) for i, row in enumerate(rows, 1)],
        "live": True,
        "came_from": came_from(request),
        "progress": _progress(jid, rows),
    }
    # htmx does not put an error on the page, and that a job has ended is none
    status = 200 if rows or is_fragment(request) else 404
    return render(request, "job.html", context, status=status)


def _progress(jid: str, rows: Sequence[Row]) -> Progress:
    """Return how far it is. Of one that is gone nobody knows whose it was: only how it ended."""
    found = progress.of(jid)
    if rows:
        return found
    return Progress(state=found.state if found.state in {"done", "failed"} else "")


def _shown(request: HttpRequest, row: Row, number: int, served: Mapping[str, Service]) -> Shown:
    at = now(request)
    retry = payload.retry_of(row.job.body)
    queue = row.job.queue
    may = {
        action: access.may(request, action) and access.opens(request, queue, action)
        for action in ("act", "args")
    }
    # what is in work is its worker's
    acts = LISTS[row.place].acts.values() if may["act"] and row.hold is None else ()
    return Shown(
        number=number,
        row=row,
        state=state_of(row),
        reasons=reasons(row, served[queue], at, retry),
        events=timeline(moments(row), at, retrying=row.place == "retries"),
        retry=retry,
        may_see_args=may["args"],
        may_copy=may["act"] and may["args"] and not row.contents.encrypted,
        acts=tuple(acts),
    )


def state_of(row: Row) -> str:
    """Return which of STATES a job is in."""
    if row.hold is None:
        return row.place
    started = row.hold.started_at or row.hold.expires_at
    return "running" if started else "claimed"


def reasons(row: Row, service: Service, at: datetime, retry: int) -> Sequence[why.Reason]:
    """Return why a job is not running, or what it is doing."""
    ours, found, attempts = settings.get(), row.job, row.contents.attempts
    if row.hold is not None:
        silent = ours.silent_process_seconds
        limit = max(found.reserve_for, int(row.hold.limit_seconds))
        return why.working(row.hold, at, reserve_for=limit, silent_seconds=silent)
    if row.place == "waiting":
        waited = (at - found.enqueued_at).total_seconds() if found.enqueued_at else 0.0
        return why.waiting(service, row.ahead, waited)
    if row.place == "dead":
        return why.dead(attempts, retry, ours.dead_max_days)
    due_at: datetime = getattr(found, "due_at")  # noqa: B009 - of two of the four tables
    if row.place == "retries":
        return why.retrying(service, due_at, at, attempts)
    return why.scheduled(service, due_at, at)


def moments(row: Row) -> Moments:
    """Return what is known of when things happened to a job."""
    hold, contents = row.hold, row.contents
    return Moments(
        pushed_at=contents.pushed_at,
        enqueued_at=row.job.enqueued_at,
        failed_at=contents.failed_at,
        attempts=contents.attempts,
        claimed_at=hold.claimed_at if hold else None,
        started_at=hold.started_at if hold else None,
        due_at=getattr(row.job, "due_at", None),
        died_at=getattr(row.job, "died_at", None),
        expires_at=hold.expires_at if hold else None,
    )
