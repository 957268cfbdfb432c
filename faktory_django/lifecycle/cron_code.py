"""Cron of code: entries appear when a process that declares them starts, and are marked when none
declares them any more.

Two releases may run side by side. Each says again and again what it declares; of two definitions
of one name the one that was declared later for the first time counts, for all of them: nobody
writes back and forth. A definition that no process has declared for a minute is forgotten.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import msgspec
from django.db import transaction

from faktory_django import crontab
from faktory_django.errors import InvalidOption
from faktory_django.models import CronEntry

from .connection import execute
from .cron_entries import reckon

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

    from faktory_django.crontab import Declared

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 15.0
SILENT_SECONDS: Final = 60.0

# A row that another process has just renewed is left alone.
DECLARE: Final = """
INSERT INTO faktory_django_crondeclaration AS d
    (name, fingerprint, definition, first_at, seen_at)
SELECT n.name, n.fingerprint, n.definition, clock_timestamp(), clock_timestamp()
FROM unnest(%(names)b::text[], %(fingerprints)b::text[], %(definitions)b::text[])
    AS n(name, fingerprint, definition)
ORDER BY n.name, n.fingerprint
ON CONFLICT (name, fingerprint) DO UPDATE SET seen_at = excluded.seen_at
WHERE d.seen_at < excluded.seen_at - interval '10 s'
"""
FORGET: Final = """
DELETE FROM faktory_django_crondeclaration d
WHERE d.id = ANY(ARRAY(
    SELECT d.id
    FROM faktory_django_crondeclaration d
    WHERE d.seen_at < clock_timestamp() - %(seconds)s * interval '1 s'
    ORDER BY d.id
    FOR UPDATE SKIP LOCKED
))
"""
# What the table of entries should say and does not; no definition: nobody declares it.
CHANGES: Final = """
SELECT coalesce(w.name, e.name), w.definition, w.fingerprint, e.id, clock_timestamp()
FROM (
    SELECT DISTINCT ON (d.name) d.name, d.fingerprint, d.definition
    FROM faktory_django_crondeclaration d
    ORDER BY d.name, d.first_at DESC, d.id DESC
) AS w
FULL JOIN (
    SELECT e.id, e.name, e.fingerprint, e.gone_at
    FROM faktory_django_cronentry e
    WHERE e.source = 'code'
) AS e ON e.name = w.name
WHERE (w.name IS NULL AND e.gone_at IS NULL)
OR (w.name IS NOT NULL AND (e.gone_at IS NOT NULL OR e.fingerprint IS DISTINCT FROM w.fingerprint))
ORDER BY 1
"""
# One at a time: two would insert the same entry.
ALONE: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('faktory_django_cronentry.' || current_schema(), 0))
"""


class Declarer:
    """Says what this process declares; a process that was cut off forgets nobody at first."""

    def __init__(self) -> None:
        self._last = 0.0

    def run(self, connection: BaseDatabaseWrapper, entries: Sequence[Declared]) -> None:
        """Declare, forget whom nobody declares, and bring the table of entries up to date."""
        if entries:
            _declare(connection, entries)
        now = time.monotonic()
        if now - self._last < 2 * EVERY_SECONDS:
            forget(connection, seconds=SILENT_SECONDS)
        self._last = now
        apply(connection)


def forget(connection: BaseDatabaseWrapper, *, seconds: float) -> None:
    """Drop the definitions that nobody has declared for some seconds."""
    execute(connection, FORGET, {"seconds": seconds})


def apply(connection: BaseDatabaseWrapper) -> None:
    """Make the entries of code what the definitions say, where they differ."""
    if not execute(connection, CHANGES):
        return
    with transaction.atomic(using=connection.alias):
        execute(connection, ALONE)
        for name, definition, fingerprint, key, now in execute(connection, CHANGES):
            if definition is None:
                _mark(connection, key, now)
            else:
                _write(connection, name, crontab.read(definition), fingerprint, now)


def _declare(connection: BaseDatabaseWrapper, entries: Sequence[Declared]) -> None:
    params = {
        "names": [entry.name for entry in entries],
        "fingerprints": [entry.fingerprint for entry in entries],
        "definitions": [entry.definition for entry in entries],
    }
    execute(connection, DECLARE, params)


def _mark(connection: BaseDatabaseWrapper, key: int, now: datetime) -> None:
    CronEntry.objects.using(connection.alias).filter(pk=key).update(gone_at=now)


def _write(
    connection: BaseDatabaseWrapper, name: str, wanted: Declared, fingerprint: str, now: datetime
) -> None:
    code = CronEntry.objects.using(connection.alias).filter(name=name, source="code")
    entry = code.select_for_update().first() or CronEntry(name=name, source="code")
    when = entry.schedule, entry.zone
    for field, value in msgspec.structs.asdict(wanted).items():
        setattr(entry, field, value)
    entry.fingerprint, entry.gone_at = fingerprint, None
    if when != (entry.schedule, entry.zone):
        try:
            reckon(entry, now)
        except InvalidOption as wrong:
            # of a release that knows more: its own processes look at it
            logger.error("cron entry %s cannot be read here: %s", name, wrong)
            entry.next_at, entry.problem = now, str(wrong)
    entry.save(using=connection.alias)
