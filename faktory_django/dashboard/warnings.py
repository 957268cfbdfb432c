"""Warnings: what is wrong, in words that say what to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from faktory_django import settings
from faktory_django.lifecycle import queues
from faktory_django.lifecycle.connection import database, execute

from . import access, figures, queries_warnings
from .counts import counts, queue_counts
from .horizon import GRAVE_SECONDS
from .page import now
from .storage import holders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.http import HttpRequest

    from .history import Minutes

# How long something may last before it is worth a word.
OVERDUE_SECONDS: Final = 15
UNFOLDED_SECONDS: Final = 180
HORIZON_SECONDS: Final = GRAVE_SECONDS
# A queue whose jobs ran in so many last minutes is served, if only by a client of the wire.
SERVED_MINUTES: Final = 10
MAX_QUEUES: Final = 8


@dataclass(frozen=True, slots=True)
class Trouble:
    """One sentence, and the page that says more; urgent when jobs do not run because of it."""

    text: str
    url: str
    urgent: bool = True


def warnings(request: HttpRequest, minutes: Mapping[str, Minutes]) -> list[Trouble]:
    """Return what is wrong, the urgent first; five short queries, seven when queues wait."""
    found = [
        *_workers(request),
        *_queues(request, minutes),
        *_upkeep(request),
        *_silent(request),
        *_horizon(),
    ]
    return sorted(found, key=lambda trouble: not trouble.urgent)


def _workers(request: HttpRequest) -> Iterator[Trouble]:
    python, wire, slots = execute(database(None), queries_warnings.WORKERS)[0]
    waiting = counts(request)["queues"]
    if not python and not wire and waiting.number:
        yield Trouble(_("No worker runs."), _page("busy"))
    elif python and not wire and counts(request)["busy"].number >= slots and waiting.number:
        text = ngettext(
            "All workers are busy: %(slots)s job at a time is all they can do.",
            "All workers are busy: %(slots)s jobs at a time is all they can do.",
            int(slots),
        )
        yield Trouble(text % {"slots": figures.exact(int(slots))}, _page("busy"), urgent=False)


def _queues(request: HttpRequest, minutes: Mapping[str, Minutes]) -> Iterator[Trouble]:
    limit = {"limit": MAX_QUEUES + 1}
    rows = execute(database(None), queries_warnings.UNSERVED, limit)
    paused = {
        name: is_paused
        for name, is_paused in rows
        if (is_paused or not _served(minutes.get(name))) and access.opens(request, name, "view")
    }
    if not paused:
        return
    names = list(paused)
    sizes = queue_counts(names)
    waits = queues.latencies(names)
    for name in names[:MAX_QUEUES]:
        said = {
            "queue": name,
            "count": sizes[name].text(figures.exact),
            "oldest": figures.duration(waits[name]),
        }
        if paused[name]:
            text = _('Queue "%(queue)s" is paused (%(count)s waiting, oldest %(oldest)s).')
        else:
            text = _('No worker serves queue "%(queue)s" (%(count)s waiting, oldest %(oldest)s).')
        yield Trouble(text % said, _page("queues"), urgent=not paused[name])
    if len(names) > MAX_QUEUES:
        yield Trouble(_("More queues wait that nobody serves."), _page("queues"))


def _upkeep(request: HttpRequest) -> Iterator[Trouble]:
    row = execute(database(None), queries_warnings.UPKEEP, {"now": now(request)})[0]
    scheduled, retry, unfolded = (seconds or 0.0 for seconds in row)
    overdue = max(scheduled, retry)
    if overdue > OVERDUE_SECONDS:
        text = _("Jobs that are due have not been moved into their queues for %(duration)s.")
        place = "scheduled" if scheduled >= retry else "retries"
        yield Trouble(text % {"duration": figures.duration(overdue)}, _page(place))
    elif unfolded > UNFOLDED_SECONDS:
        text = _("Nobody has done the upkeep for %(duration)s: no worker and no wire server.")
        said = {"duration": figures.duration(unfolded)}
        yield Trouble(text % said, _page("busy"), urgent=False)


def _silent(request: HttpRequest) -> Iterator[Trouble]:
    late = settings.get().silent_process_seconds / 2
    params = {"now": now(request), "late": late}
    for host, pid, seconds in execute(database(None), queries_warnings.SILENT, params):
        text = _("%(process)s has not been heard of for %(duration)s.")
        said = {"process": f"{host}:{pid}", "duration": figures.duration(seconds)}
        yield Trouble(text % said, _page("busy"), urgent=False)


def _horizon() -> Iterator[Trouble]:
    for holder in holders(seconds=HORIZON_SECONDS):
        if holder.grave:
            yield Trouble(holder.text, _page("storage"), urgent=False)


def _served(recent: Minutes | None) -> bool:
    return recent is not None and sum(recent.ran[-SERVED_MINUTES:]) > 0


def _page(name: str) -> str:
    return reverse(f"faktory:{name}")
