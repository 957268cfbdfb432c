"""Cron runs: the last jobs of each entry, and where they are now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from faktory_django.lifecycle import history
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.holders import holds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

SHOWN: Final = 10
LAST: Final = """
SELECT e.id, t.tick_at, t.jid, t.by_hand, t.problem
FROM unnest(%(entries)b::bigint[]) AS e(id)
CROSS JOIN LATERAL (
    SELECT *
    FROM faktory_django_crontick k
    WHERE k.entry_id = e.id
    ORDER BY k.tick_at DESC
    LIMIT %(shown)s
) AS t
ORDER BY e.id, t.tick_at
"""
# A job that is nowhere has ended; how is known when it is in the history.
PLACES: Final = """
SELECT j.jid, 'waiting', j.id FROM faktory_django_job j WHERE j.jid = ANY(%(jids)b::text[])
UNION ALL
SELECT r.jid, 'retries', 0 FROM faktory_django_retryjob r WHERE r.jid = ANY(%(jids)b::text[])
UNION ALL
SELECT s.jid, 'scheduled', 0
FROM faktory_django_scheduledjob s
WHERE s.jid = ANY(%(jids)b::text[])
UNION ALL
SELECT d.jid, 'dead', 0 FROM faktory_django_deadjob d WHERE d.jid = ANY(%(jids)b::text[])
"""
# A mark, and what it means.
OUTCOMES: Final[dict[str, tuple[str, Any]]] = {
    "done": ("✓", pgettext_lazy("a run", "succeeded")),
    "failed": ("✗", pgettext_lazy("a run", "failed")),
    "discarded": ("⊘", pgettext_lazy("a run", "discarded")),
    "expired": ("⊘", pgettext_lazy("a run", "expired")),
    "cancelled": ("⊘", pgettext_lazy("a run", "cancelled")),
    "ended": ("✓", pgettext_lazy("a run", "ended")),
    "waiting": ("…", pgettext_lazy("a run", "waiting")),
    "running": ("▶", pgettext_lazy("a run", "in work")),
    "scheduled": ("…", pgettext_lazy("a run", "scheduled")),
    "retries": ("↻", pgettext_lazy("a run", "failed, will be tried again")),
    "dead": ("✗", pgettext_lazy("a run", "dead")),
    "refused": ("!", pgettext_lazy("a run", "refused at the push")),
}
LEGEND: Final = ("ended", "discarded", "waiting", "running", "retries", "dead", "refused")


@dataclass(frozen=True, slots=True)
class Run:
    """One job that was pushed at a tick, or by hand."""

    tick_at: datetime
    jid: str
    by_hand: bool
    problem: str
    outcome: str

    @property
    def mark(self) -> str:
        """One character for people who see."""
        return OUTCOMES[self.outcome][0]

    @property
    def words(self) -> Any:
        """What became of it."""
        return OUTCOMES[self.outcome][1]

    @property
    def how(self) -> Any:
        """Who asked for it."""
        return _("by hand") if self.by_hand else _("by its schedule")

    @property
    def there(self) -> bool:
        """Whether the job has a page."""
        return self.outcome not in {"ended", "refused"}


def last_runs(keys: Sequence[int]) -> dict[int, list[Run]]:
    """Return the last runs of entries, the latest last; four queries at most."""
    ticks = execute(database(None), LAST, {"entries": list(keys), "shown": SHOWN})
    places = _places([jid for _key, _at, jid, _by, problem in ticks if not problem])
    found: dict[int, list[Run]] = {}
    for key, tick_at, jid, by_hand, problem in ticks:
        outcome = "refused" if problem else places.get(jid, "ended")
        found.setdefault(key, []).append(Run(tick_at, jid, by_hand, problem, outcome))
    return found


def _places(jids: Sequence[str]) -> dict[str, str]:
    rows = execute(database(None), PLACES, {"jids": list(jids)}) if jids else []
    held = holds([key for _jid, place, key in rows if place == "waiting"])
    found = {jid: "running" if key in held else place for jid, place, key in rows}
    gone = [jid for jid in jids if jid not in found]
    ended = history.latest(gone) if gone else {}
    return found | {jid: end.outcome for jid, end in ended.items()}
