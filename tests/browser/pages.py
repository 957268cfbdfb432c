"""The pages of the dashboard, by the names of their pictures, and where each can be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.urls import reverse

from tests.dashboard.world import BID

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dashboard.world import World

    Parts = Callable[[World], dict[str, Any]]

PLAIN: Final = (
    *("overview", "busy", "queues", "scheduled", "retries", "dead"),
    *("finished", "errors", "batches", "cron", "throttles"),
    *("types", "storage", "audit", "locks"),
)
# What comes after a hyphen in a name tells pages of one URL apart.
PAGES: Final[dict[str, Parts]] = {
    **dict.fromkeys(PLAIN, lambda _: {}),
    "queue": lambda _: {"name": "default"},
    "type": lambda _: {"jobtype": "shop.jobs.charge_card"},
    "batch": lambda _: {"bid": BID},
    "operation": lambda busy: {"key": busy.operation},
    "job-waiting": lambda busy: {"jid": busy.waiting},
    "job-running": lambda busy: {"jid": busy.running},
    "job-scheduled": lambda busy: {"jid": busy.scheduled},
    "job-retry": lambda busy: {"jid": busy.retry},
    "job-dead": lambda busy: {"jid": busy.dead},
    "job-finished": lambda busy: {"jid": busy.finished},
    "job-gone": lambda _: {"jid": "nowhere"},
    "job_edit": lambda busy: {"jid": busy.retry},
}
# Besides: lists that are searched, in vain, or wrongly.
QUERIES: Final = {
    "retries-searched": "?q=error:timed",
    "retries-empty": "?q=jid:nowhere",
    "retries-wrong": "?q=colour:red",
}


def address(name: str, busy: World) -> str:
    """Return the address of a page."""
    parts = PAGES[name](busy) if name in PAGES else {}
    return reverse(f"faktory:{name.partition('-')[0]}", kwargs=parts) + QUERIES.get(name, "")
