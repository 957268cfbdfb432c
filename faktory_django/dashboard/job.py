"""Job: what happened to this one job, where it is, and why it is not running."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from faktory_django import payload, settings
from faktory_django.contents import cut, line, name
from faktory_django.features import fairness
from faktory_django.features.batches import bid_of
from faktory_django.search import quoted

from . import access, checkpoint, job_rows, locks, past, progress, why
from .error_groups import pattern_of
from .limit_keys import shown_key
from .lists import LISTS
from .page import came_from, is_fragment, now, page, render
from .progress import Progress
from .serving import services
from .timeline import Moments, past_timeline, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.http import HttpRequest, HttpResponse

    from faktory_django.models import UniqueLock

    from .job_rows import Row
    from .lists import Act
    from .past import Past
    from .serving import Service
    from .timeline import Event

STATES: Final[dict[str, Any]] = {
    "running": gettext_lazy("running"),
    "claimed": gettext_lazy("claimed"),
    "cancelling": gettext_lazy("cancelling"),
    "waiting": gettext_lazy("waiting"),
    "retries": gettext_lazy("in retries"),
    "scheduled": gettext_lazy("scheduled"),
    "dead": gettext_lazy("dead"),
}
# What is said of how a job ended that is nowhere any more.
ENDED: Final = frozenset({"done", "failed", "expired", "cancelled"})
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
    may_cancel: bool = False
    lock: UniqueLock | None = None

    @property
    def holds_lock(self) -> bool:
        """Whether the lock on its key is its own."""
        return self.lock is not None and self.lock.jid == self.row.job.jid

    @property
    def lock_until(self) -> Any:
        """What frees its lock."""
        return locks.UNTIL.get(self.lock.until, "") if self.lock else ""

    @property
    def gone_at(self) -> datetime | None:
        """When it expires, if it does."""
        return expiry_of(self.row)

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
    def turn(self) -> Mapping[str, Any]:
        """Its fairness key, and its weight unless that is 1; empty for a job without a key."""
        found: Mapping[str, Any] = (self.row.job.traits or {}).get(fairness.TRAIT, {})
        return found

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
    held = locks.of(row.job for row in rows)
    served = services((row.job.queue for row in rows), now(request)) if rows else {}
    kept = past.of(request, jid)
    context = {
        "title": _title(rows, kept),
        "jid": jid,
        "jobs": [_shown(request, row, i, served, held) for i, row in enumerate(rows, 1)],
        "live": True,
        "came_from": came_from(request),
        "progress": _progress(jid, rows),
        "past": kept,
        "ended": _ended(kept, now(request)) if not rows else [],
        "checkpoint": checkpoint.of(jid) if rows and not is_fragment(request) else None,
    }
    # htmx does not put an error on the page, and that a job has ended is none
    status = 200 if rows or kept or is_fragment(request) else 404
    return render(request, "job.html", context, status=status)


def _title(rows: Sequence[Row], kept: Past) -> str:
    if rows:
        return line(name(rows[0].job.jobtype, rows[0].contents.body))
    found = [end.row.jobtype for end in kept.ends] + [one.attempt.jobtype for one in kept.failed]
    return line(found[0]) if found else _("Job")


def _ended(kept: Past, at: datetime) -> list[Event]:
    """Return what is known to have happened to a job that is nowhere any more."""
    return past_timeline(
        [(end.pushed_at, end.row.enqueued_at, end.row.started_at) for end in kept.ends],
        [(one.attempt.at, one.attempt.number) for one in kept.failed],
        [(end.row.finished_at, end.outcome, end.kind) for end in kept.ends],
        at,
    )


def _progress(jid: str, rows: Sequence[Row]) -> Progress:
    """Return how far it is. Of one that is gone nobody knows whose it was: only how it ended."""
    found = progress.of(jid)
    if rows:
        return found
    return Progress(state=found.state if found.state in ENDED else "")


def _shown(
    request: HttpRequest,
    row: Row,
    number: int,
    served: Mapping[str, Service],
    held: Mapping[str, UniqueLock],
) -> Shown:
    at = now(request)
    retry = payload.retry_of(row.job.body)
    queue = row.job.queue
    lock = held.get(locks.key_of(row.job))
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
        reasons=[
            *reasons(row, served[queue], at, retry, may_see_args=may["args"]),
            *why.expiring(expiry_of(row), at),
            *why.locked(lock, row.job.jid, at),
        ],
        events=timeline(moments(row), at, retrying=row.place == "retries"),
        retry=retry,
        may_see_args=may["args"],
        may_copy=may["act"] and may["args"] and not row.contents.encrypted,
        acts=tuple(acts),
        lock=lock,
        may_cancel=may["act"] and row.hold is not None,
    )


def state_of(row: Row) -> str:
    """Return which of STATES a job is in."""
    if row.hold is None:
        return row.place
    if row.hold.asked_at is not None:
        return "cancelling"
    started = row.hold.started_at or row.hold.expires_at
    return "running" if started else "claimed"


def reasons(
    row: Row, service: Service, at: datetime, retry: int, *, may_see_args: bool
) -> Sequence[why.Reason]:
    """Return why a job is not running, or what it is doing."""
    ours, found, attempts = settings.get(), row.job, row.contents.attempts
    if row.hold is not None:
        silent = ours.silent_process_seconds
        limit = max(found.reserve_for, int(row.hold.limit_seconds))
        return why.working(row.hold, at, reserve_for=limit, silent_seconds=silent)
    if row.place == "waiting":
        waited = (at - found.enqueued_at).total_seconds() if found.enqueued_at else 0.0
        key = shown_key(row.limit.key, args=may_see_args) if row.limit else ""
        return why.waiting(service, row.ahead, waited, row.others, row.limit, key)
    if row.place == "dead":
        return why.dead(attempts, retry, ours.dead_max_days)
    due_at: datetime = getattr(found, "due_at")  # noqa: B009 - of two of the four tables
    if row.place == "retries":
        return why.retrying(service, due_at, at, attempts)
    return why.scheduled(service, due_at, at)


def expiry_of(row: Row) -> datetime | None:
    """Return when a job expires that is not in work; None when it does not."""
    at = (row.job.traits or {}).get("expires_at") if row.hold is None else None
    return datetime.fromtimestamp(at, UTC) if isinstance(at, (int, float)) else None


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
        asked_at=hold.asked_at if hold else None,
        asked_by=line(hold.asked_by) if hold else "",
        kill_at=hold.kill_at if hold else None,
    )
