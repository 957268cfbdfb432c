"""Locks: which unique jobs hold their lock, until when; a person can free one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from faktory_django.contents import line
from faktory_django.features.unique import START, SUCCESS
from faktory_django.lifecycle import unique
from faktory_django.lifecycle.connection import database
from faktory_django.models import UniqueLock

from . import access
from .page import back, now, page, render
from .record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from django.http import HttpRequest, HttpResponse

    from .job_rows import AnyJob

PER_PAGE: Final = 100
# Where a hook hides queues, so many locks are looked at for a page.
MAX_LOOKED: Final = 1_000
UNTIL: Final[dict[str, Any]] = {
    SUCCESS: pgettext_lazy("a lock is held", "until it succeeds"),
    START: pgettext_lazy("a lock is held", "until it starts"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One lock as it is listed."""

    lock: UniqueLock
    over: bool
    may_act: bool

    @property
    def until(self) -> Any:
        """What frees it."""
        return UNTIL.get(self.lock.until, self.lock.until)

    @property
    def job(self) -> str:
        """The type of its job, on one line."""
        return line(self.lock.jobtype)


@page(methods=("GET", "HEAD", "POST"))
def locks(request: HttpRequest) -> HttpResponse:
    """Show who holds locks, the latest first; free the one that a button names."""
    if request.method == "POST":
        return _release(request)
    before = request.GET.get("before", "")
    found = _seen(request, before)
    shown = found[:PER_PAGE]
    at, may = now(request), access.may(request, "act")
    context = {
        "title": _("Unique locks"),
        "live": True,
        "rows": [
            Row(lock, lock.expires_at <= at, may and access.opens(request, lock.queue, "act"))
            for lock in shown
        ],
        "next": shown[-1].key if len(found) > PER_PAGE else "",
        "first": not before,
    }
    return render(request, "locks.html", context)


def of(jobs: Iterable[AnyJob]) -> dict[str, UniqueLock]:
    """Return the locks on the keys of jobs, by key; no query where none is unique."""
    keys = [key for job in jobs if (key := key_of(job))]
    rows = UniqueLock.objects.using(database(None).alias)
    return {lock.key: lock for lock in rows.filter(key__in=keys)} if keys else {}


def key_of(job: AnyJob) -> str:
    """Return the key of a job's lock; empty for one that is not unique."""
    said = (job.traits or {}).get("unique")
    return str(said.get("key", "")) if isinstance(said, dict) else ""


def _seen(request: HttpRequest, before: str) -> Sequence[UniqueLock]:
    rows = UniqueLock.objects.using(database(None).alias).order_by("-expires_at", "-key")
    if before:
        last = rows.filter(key=before).first()
        if last is None:
            return []
        rows = rows.filter(expires_at__lte=last.expires_at).exclude(
            expires_at=last.expires_at, key__gte=last.key
        )
    looked = rows[: MAX_LOOKED if access.queue_names(request, "view") is not None else PER_PAGE + 1]
    return [lock for lock in looked if access.opens(request, lock.queue, "view")][: PER_PAGE + 1]


def _release(request: HttpRequest) -> HttpResponse:
    access.check(request, "act")
    key, dot, jid = request.POST.get("release", "").partition(".")
    if not dot:
        raise BadRequest(_("Say what is to be done."))
    alias = database(None).alias
    lock = UniqueLock.objects.using(alias).filter(key=key, jid=jid).first()
    if lock is not None:
        access.check(request, "act", lock.queue)
        with transaction.atomic(using=alias):
            freed = unique.release(key, jid)
            if freed:
                record(request, "release", "lock", what=jid)
    if lock is not None and freed:
        text = _("The lock of %(jid)s is free: the next push of such a job is let in.")
        messages.success(request, text % {"jid": jid})
    else:
        messages.warning(request, _("That job does not hold the lock any more."))
    return HttpResponseRedirect(back(request, "locks"))
