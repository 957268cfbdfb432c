"""Cron entries: what people do to them. An edit holds from the next tick on, without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models.functions import Now

from faktory_django import payload
from faktory_django.models import CronEntry
from faktory_django.schedule import read

from .connection import database, execute, now
from .cron import store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.models import QuerySet

# A tick at this very microsecond has been pushed already; then its job is the one.
BY_HAND: Final = """
INSERT INTO faktory_django_crontick AS k (entry_id, tick_at, jid, by_hand, pushed_at, problem)
VALUES (%(entry)b, clock_timestamp(), %(jid)b, true, clock_timestamp(), '')
ON CONFLICT (entry_id, tick_at) DO UPDATE SET tick_at = k.tick_at
RETURNING jid
"""


def save(entry: CronEntry, *, using: str | None = None) -> None:
    """Write an entry that a person has made or edited; its ticks count from now.

    Raises InvalidOption when its schedule or its zone cannot be read.
    """
    alias = database(using).alias
    with transaction.atomic(using=alias):
        if not entry._state.adding:  # a scheduler that is at it comes first
            _locked([entry.pk], alias).first()
        reckon(entry, now(database(using)))
        entry.save(using=alias)


def reckon(entry: CronEntry, now: datetime) -> None:
    """Set the next tick of an entry that is new or has changed. Raises InvalidOption."""
    entry.next_at = read(entry.schedule, entry.zone).next_after(now)
    entry.problem, entry.changed_at = "", now


def pause(keys: Sequence[int], *, using: str | None = None) -> int:
    """Let the ticks of these entries pass; return how many went on until then."""
    going = CronEntry.objects.using(database(using).alias).filter(pk__in=keys, paused=False)
    return going.update(paused=True, changed_at=Now())


def resume(keys: Sequence[int], *, using: str | None = None) -> int:
    """Let these entries tick again, from the next tick on; return how many were paused.

    Raises InvalidOption when a schedule or a zone cannot be read.
    """
    alias = database(using).alias
    with transaction.atomic(using=alias):
        paused = list(_locked(keys, alias).filter(paused=True))
        for entry in paused:
            reckon(entry, now(database(using)))
            entry.paused = False
            entry.save(using=alias, update_fields=["next_at", "problem", "changed_at", "paused"])
    return len(paused)


def run_now(key: int, *, using: str | None = None) -> str | None:
    """Push a job of an entry at once, also of one that is paused; return its jid.

    None when it is gone, or when the push was refused, which its tick says.
    """
    connection = database(using)
    with transaction.atomic(using=connection.alias):
        entry = _locked([key], connection.alias).filter(gone_at=None).first()
        if entry is None:
            return None
        jid = payload.new_jid()
        known: str = execute(connection, BY_HAND, {"entry": entry.pk, "jid": jid})[0][0]
        store(connection, entry, [jid] if known == jid else [])
        refused = entry.ticks.using(connection.alias).filter(jid=known).exclude(problem="")
        return None if refused.exists() else known


def remove(keys: Sequence[int], *, using: str | None = None) -> int:
    """Delete entries of people, and those that no code declares; return how many."""
    alias = database(using).alias
    with transaction.atomic(using=alias):
        found = _locked(keys, alias)
        mine = [e.pk for e in found if e.source == CronEntry.Source.PERSON or e.gone_at]
        CronEntry.objects.using(alias).filter(pk__in=mine).delete()
    return len(mine)


def _locked(keys: Sequence[int], alias: str) -> QuerySet[CronEntry]:
    rows = CronEntry.objects.using(alias).select_for_update(of=("self",))
    return rows.filter(pk__in=keys).order_by("pk")
