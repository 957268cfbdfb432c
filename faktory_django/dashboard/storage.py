"""Storage: how large the tables are, whether vacuum keeps up, and what is kept for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.utils.translation import gettext as _

from faktory_django import settings
from faktory_django.lifecycle.connection import database, execute

from . import figures, queries_storage
from .horizon import LONG_SECONDS, Holder
from .page import page, render

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

MAX_HOLDERS: Final = 5
# Fewer dead rows than vacuum waits for are no trouble.
FEW_DEAD: Final = 100_000


@dataclass(frozen=True, slots=True)
class Table:
    """One table; rows is the planner's estimate, sizes are in bytes."""

    name: str
    title: Any
    rows: int
    live: int
    dead: int
    table_bytes: int
    index_bytes: int
    vacuumed_at: datetime | None
    analysed_at: datetime | None

    @property
    def lags(self) -> bool:
        """Whether vacuum does not keep up: more is dead than lives, and that is much."""
        return self.dead > FEW_DEAD and self.dead > self.live


@dataclass(frozen=True, slots=True)
class Kept:
    """How long something is kept, the setting that says so, and the oldest of it."""

    what: str
    setting: str
    limit: str
    oldest_at: datetime | None = None


@page()
def storage(request: HttpRequest) -> HttpResponse:
    """Show tables, the horizon of vacuum and retention; three queries beside the frame's."""
    tables = _tables()
    *oldest, version = execute(database(None), queries_storage.KEPT)[0]
    context = {
        "title": _("Storage"),
        "live": True,
        "tables": tables,
        "total_bytes": sum(t.table_bytes + t.index_bytes for t in tables),
        "holders": holders(),
        "retention": _kept(*oldest),
        "server_version": version,
    }
    return render(request, "storage.html", context)


def holders(*, seconds: float = LONG_SECONDS) -> list[Holder]:
    """Return who has held back vacuum for so long, the worst first."""
    params = {"seconds": seconds, "limit": MAX_HOLDERS}
    return [Holder(*row) for row in execute(database(None), queries_storage.HOLDERS, params)]


def _tables() -> list[Table]:
    ours = apps.get_app_config("faktory_django").get_models()
    models = {model._meta.db_table: model for model in ours if not model._meta.proxy}
    rows = execute(database(None), queries_storage.TABLES, {"names": sorted(models)})
    return [Table(row[0], models[row[0]]._meta.verbose_name_plural, *row[1:]) for row in rows]


def _kept(
    oldest_dead: datetime | None,
    oldest_minute: datetime | None,
    oldest_hour: datetime | None,
    oldest_day: datetime | None,
    oldest_finished: datetime | None,
) -> list[Kept]:
    ours = settings.get()

    def days(count: int) -> str:
        return figures.duration(count * 86_400) if count else _("off")

    past = [
        (_("Finished jobs"), "HISTORY_DAYS", ours.history_days, oldest_finished),
        (_("Failed attempts"), "ATTEMPT_DAYS", ours.attempt_days, None),
        (_("Log lines of jobs"), "LOG_DAYS", ours.log_days, None),
    ]

    counters = [
        (_("Counters of minutes"), "MINUTE", ours.minute_counters_days, oldest_minute),
        (_("Counters of hours"), "HOUR", ours.hour_counters_days, oldest_hour),
        (_("Counters of days"), "DAY", ours.day_counters_days, oldest_day),
    ]
    return [
        Kept(_("Dead jobs"), "DEAD_MAX_DAYS", days(ours.dead_max_days), oldest_dead),
        Kept(_("Dead jobs, at most"), "DEAD_MAX_JOBS", figures.exact(ours.dead_max_jobs)),
        *(Kept(what, f"{name}_COUNTERS_DAYS", days(n), at) for what, name, n, at in counters),
        *(Kept(what, name, days(n), at) for what, name, n, at in past),
    ]
