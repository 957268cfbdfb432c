"""Audit: who did what on the dashboard, to how many jobs, chosen by which search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import BadRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from faktory_django import settings
from faktory_django.contents import line
from faktory_django.lifecycle.connection import database
from faktory_django.models import AuditEntry
from faktory_django.search import BadSearch, parse

from . import access
from .lists import LISTS
from .page import page, render
from .record import user_name

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PER_PAGE: Final = 50
MAX_KEY: Final = 2**63 - 1
# What is done to other things than jobs.
OTHER_ACTS: Final[dict[str, Any]] = {
    "pause": pgettext_lazy("act", "Pause"),
    "resume": pgettext_lazy("act", "Resume"),
    "quiet": pgettext_lazy("act", "Quiet"),
    "stop": pgettext_lazy("act", "Stop"),
    "run": pgettext_lazy("act", "Run now"),
    "cancel": pgettext_lazy("call a job off", "Cancel"),
    "force": pgettext_lazy("call a job off", "End by force"),
    "push": pgettext_lazy("act", "Edit a copy and push"),
    "throttle": pgettext_lazy("act", "Throttle"),
    "unthrottle": pgettext_lazy("act", "Remove the throttle"),
    "release": pgettext_lazy("act", "Release"),
}
TARGETS: Final[dict[str, Any]] = {
    **{name: found.title for name, found in LISTS.items()},
    "job": gettext_lazy("Job"),
    "queue": gettext_lazy("Queue"),
    "process": gettext_lazy("Process"),
    "cron": gettext_lazy("Cron entry"),
    "lock": gettext_lazy("Unique lock"),
    "throttle": gettext_lazy("Throttle"),
    "limit": gettext_lazy("Limit"),
    "batch": gettext_lazy("Batch"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as it is shown; args says that what was searched for in arguments may be seen."""

    entry: AuditEntry
    args: bool

    @property
    def act(self) -> str:
        """What was done, in the words of its button."""
        found = self._act
        return str(found.label if found else OTHER_ACTS.get(self.entry.act, self.entry.act))

    @property
    def done(self) -> Any:
        """The sentence with the number of jobs; None for other things than jobs."""
        return self._act.done if self._act else None

    @property
    def target(self) -> str:
        """What it was done to."""
        return str(TARGETS.get(self.entry.target, self.entry.target))

    @property
    def what(self) -> str:
        """The queue, the job or the process."""
        return line(self.entry.what)

    @property
    def search(self) -> str:
        """The search, unless it tells what arguments hold."""
        return self.entry.filter if self.args or not _reads(self.entry.filter) else "•••"

    @property
    def _act(self) -> Any:
        found = LISTS.get(self.entry.target)
        return found.acts.get(self.entry.act) if found else None


@page()
def audit(request: HttpRequest) -> HttpResponse:
    """Show the entries, the latest first."""
    before = _key(request.GET.get("before", ""))
    entries = AuditEntry.objects.using(database(None).alias).filter(pk__lt=before)
    if _only_own(request):
        entries = entries.filter(user=user_name(request))
    found = list(entries.select_related("operation").order_by("-pk")[: PER_PAGE + 1])
    args = access.may(request, "args")
    context = {
        "title": _("Audit"),
        "lines": [Line(entry, args) for entry in found[:PER_PAGE]],
        "next": found[PER_PAGE - 1].pk if len(found) > PER_PAGE else None,
        "first": before < MAX_KEY,
        "own": _only_own(request),
    }
    return render(request, "audit.html", context)


def sees(request: HttpRequest, entry: AuditEntry) -> bool:
    """Return whether a person may see an entry: where queues have a hook, only their own."""
    return not _only_own(request) or entry.user == user_name(request)


def _only_own(request: HttpRequest) -> bool:
    hooked = bool(settings.get().dashboard_queue_access)
    return hooked and not getattr(request.user, "is_superuser", False)


def _reads(search: str) -> bool:
    try:
        return parse(search).reads_contents
    except BadSearch:
        return True


def _key(text: str) -> int:
    if not text:
        return MAX_KEY
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequest(_("There is no such page."))
    return int(text)
