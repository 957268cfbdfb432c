"""Nav: the bar of pages, with how much waits in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from . import counts

if TYPE_CHECKING:
    from django.http import HttpRequest

# The pages in the order of the bar, by the name of their URL; the rest belong to one of them.
PAGES: Final[dict[str, Any]] = {
    "overview": _("Dashboard"),
    "busy": _("Busy"),
    "queues": _("Queues"),
    "retries": _("Retries"),
    "scheduled": _("Scheduled"),
    "dead": _("Dead"),
    "finished": pgettext_lazy("jobs that have ended", "History"),
    "batches": _("Batches"),
    "cron": _("Cron"),
    "throttles": _("Throttles"),
    "types": _("Job types"),
    "storage": _("Storage"),
    "audit": pgettext_lazy("list of what people did", "Audit"),
}
BELONGS: Final = {
    "queue": "queues",
    "type": "types",
    "operation": "audit",
    "errors": "dead",
    "locks": "queues",
    "batch": "batches",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One link of the bar; count is None where there is nothing to count."""

    name: str
    label: Any
    url: str
    count: counts.Count | None
    current: bool


def nav(request: HttpRequest) -> list[Item]:
    """Return the links of the bar; one query."""
    found = counts.counts(request)
    match = request.resolver_match
    here = match.url_name or "" if match else ""
    here = BELONGS.get(here, here)
    return [
        Item(name, label, reverse(f"faktory:{name}"), found.get(name), name == here)
        for name, label in PAGES.items()
    ]
