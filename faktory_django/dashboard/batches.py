"""Batches: how far each is, and one of them with its jobs, its children and a button to cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from faktory_django.contents import line
from faktory_django.lifecycle.batch import statuses
from faktory_django.lifecycle.batch_cancel import cancel
from faktory_django.lifecycle.connection import database
from faktory_django.models import Batch

from . import access, queries_batches
from .page import page, render
from .progress import Progress
from .record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from faktory_django.lifecycle.batch import Status

    from .queries_batches import Member

PER_PAGE: Final = 50
CHILDREN: Final = 20
# Of each place and queue; and the jobs that are looked at to count them.
SHOWN: Final = 10
MOST: Final = 20_000
MAX_KEY: Final = 2**63 - 1

STATES: Final[dict[str, Any]] = {
    "open": pgettext_lazy("a batch", "open"),
    "running": pgettext_lazy("a batch", "running"),
    "success": pgettext_lazy("a batch", "succeeded"),
    "failed": pgettext_lazy("a batch", "failed"),
    "cancelled": pgettext_lazy("a batch", "cancelled"),
}
CALLBACKS: Final[dict[str, Any]] = {
    Batch.State.NOT_YET: pgettext_lazy("a callback", "not yet"),
    Batch.State.ENQUEUED: pgettext_lazy("a callback", "pushed"),
    Batch.State.DONE: pgettext_lazy("a callback", "done"),
}
PLACES: Final[dict[str, Any]] = {
    "running": gettext_lazy("running"),
    "waiting": gettext_lazy("waiting"),
    "scheduled": gettext_lazy("scheduled"),
    "retries": gettext_lazy("in retries"),
    "dead": gettext_lazy("dead"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One batch as it is shown."""

    status: Status

    @property
    def name(self) -> str:
        """What it is, on one line; its id when nobody has said."""
        return line(self.status.description) or self.status.bid

    @property
    def state_name(self) -> str:
        """What it has come to."""
        return str(STATES[self.status.state])

    @property
    def progress(self) -> Progress:
        """The bar."""
        return Progress(self.status.percent)

    @property
    def complete(self) -> str:
        """What became of the callback; a dash when there is none."""
        return str(CALLBACKS[self.status.complete_st]) if self.status.has_complete else "-"

    @property
    def success(self) -> str:
        """The same of the other one."""
        return str(CALLBACKS[self.status.success_st]) if self.status.has_success else "-"

    @property
    def goes_on(self) -> bool:
        """Whether it can be cancelled."""
        return self.status.state in {"open", "running", "failed"}


@dataclass(frozen=True, slots=True)
class Callback:
    """A job that follows, or has followed."""

    name: Any
    jobtype: str
    jid: str
    state: Any


@dataclass(frozen=True, slots=True)
class Place:
    """Jobs of a batch that are in one place; jobs are the first ones of each queue."""

    name: Any
    number: int
    jobs: Sequence[Member]


@page()
def batches(request: HttpRequest) -> HttpResponse:
    """Show batches, the latest first."""
    keys = queries_batches.bids(before=_key(request.GET.get("before", "")), limit=PER_PAGE + 1)
    context = {
        "title": _("Batches"),
        "live": True,
        "rows": _rows([bid for _id, bid in keys[:PER_PAGE]]),
        "next": str(keys[PER_PAGE - 1][0]) if len(keys) > PER_PAGE else "",
    }
    return render(request, "batches.html", context)


@page(methods=("GET", "HEAD", "POST"))
def batch(request: HttpRequest, bid: str) -> HttpResponse:
    """Show one batch; cancel it when its button says so."""
    rows = _rows([bid])
    if not rows:
        raise Http404(_("There is no such batch."))
    members = queries_batches.members(bid, shown=SHOWN, most=MOST)
    if request.method == "POST":
        return _cancel(request, bid, members)
    children = queries_batches.bids(before=MAX_KEY, limit=CHILDREN, parent=bid)
    context = {
        "title": rows[0].name,
        "live": True,
        "row": rows[0],
        "places": _places(request, members),
        "children": _rows([child for _id, child in children]),
        "callbacks": _callbacks(bid),
        "may_cancel": rows[0].goes_on and _may_cancel(request, members),
    }
    return render(request, "batch.html", context)


def _rows(bids: Sequence[str]) -> list[Row]:
    found = statuses(database(None), bids) if bids else {}
    return [Row(found[bid]) for bid in bids if bid in found]


def _places(request: HttpRequest, members: Sequence[Member]) -> list[Place]:
    """Return where the jobs are, of queues that this person may see."""
    seen = [one for one in members if access.opens(request, one.queue, "view")]
    found = []
    for place, name in PLACES.items():
        jobs = [one for one in seen if one.place == place]
        numbers = {one.queue: one.number for one in jobs}
        if jobs:
            found.append(Place(name, sum(numbers.values()), jobs))
    return found


def _callbacks(bid: str) -> list[Callback]:
    found = Batch.objects.using(database(None).alias).get(bid=bid)
    given = (
        (_("Complete"), found.complete, found.complete_st),
        (_("Success"), found.success, found.success_st),
        (_("At the first death"), found.dead, found.dead_st),
    )
    return [
        Callback(name, job["jobtype"], job["jid"], CALLBACKS[state])
        for name, job, state in given
        if job is not None
    ]


def _may_cancel(request: HttpRequest, members: Sequence[Member]) -> bool:
    queues = {one.queue for one in members}
    return access.may(request, "act") and all(access.opens(request, q, "act") for q in queues)


def _cancel(request: HttpRequest, bid: str, members: Sequence[Member]) -> HttpResponse:
    access.check(request, "act")
    if "cancel" not in request.POST:
        raise BadRequest("say cancel")
    if not _may_cancel(request, members):
        raise PermissionDenied
    found = cancel(database(None), bid)
    record(request, "cancel", "batch", what=bid, count=found.discarded)
    text = ngettext(
        "The batch is cancelled, and %(count)d job was discarded.",
        "The batch is cancelled, and %(count)d jobs were discarded.",
        found.discarded,
    )
    messages.success(request, text % {"count": found.discarded})
    return HttpResponseRedirect(reverse("faktory:batch", args=[bid]))


def _key(text: str) -> int:
    if not text:
        return MAX_KEY
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequest(_("There is no such page."))
    return int(text)
