"""Cron: at each tick of an entry a job is pushed, once, however many processes look.

The row of the tick, the push and the next tick are one transaction; the row's key lets nobody
push a second time.
"""

from __future__ import annotations

import json
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction

from faktory_django import crontab, encryption, payload, registry, settings
from faktory_django.errors import FaktoryError, InvalidOption
from faktory_django.features import cron as rules
from faktory_django.features import history, tracking, traits, unique
from faktory_django.models import CronEntry
from faktory_django.schedule import read

from .connection import execute
from .push import Push, push

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .push_traits import Refusal

logger = logging.getLogger(__name__)

# An entry that could not be looked at is left to other processes for so long.
TROUBLE_SECONDS: Final = 60.0
# What one transaction pushes of an entry at most; the rest follows at once.
AT_A_TIME: Final = 1_000
KEEP_TICKS: Final = 50
# How long an entry is kept that no running code declares any more.
KEEP_GONE_DAYS: Final = 30

WAITS: Final = "NOT e.paused AND e.gone_at IS NULL"
NEXT: Final = f"""
SELECT extract(epoch FROM e.next_at - clock_timestamp())::float8
FROM faktory_django_cronentry e
WHERE {WAITS} AND e.id <> ALL(%(without)b::bigint[])
ORDER BY e.next_at, e.id
LIMIT 1
"""
# Skipped, not waited for: whoever holds it is at it.
DUE: Final = f"""
SELECT e.id, clock_timestamp()
FROM faktory_django_cronentry e
WHERE {WAITS} AND e.next_at <= clock_timestamp() AND e.id <> ALL(%(without)b::bigint[])
ORDER BY e.next_at, e.id
LIMIT 1
FOR UPDATE SKIP LOCKED
"""
# A tick that has its row was pushed.
TICK: Final = """
INSERT INTO faktory_django_crontick (entry_id, tick_at, jid, by_hand, pushed_at, problem)
SELECT %(entry)b, t.tick_at, t.jid, false, clock_timestamp(), ''
FROM unnest(%(ticks)b::timestamptz[], %(jids)b::text[]) AS t(tick_at, jid)
ON CONFLICT (entry_id, tick_at) DO NOTHING
RETURNING jid
"""
REFUSED: Final = """
UPDATE faktory_django_crontick k
SET problem = t.problem
FROM unnest(%(jids)b::text[], %(problems)b::text[]) AS t(jid, problem)
WHERE k.entry_id = %(entry)b AND k.jid = t.jid
"""
TRIM_TICKS: Final = """
DELETE FROM faktory_django_crontick k
USING faktory_django_cronentry e
WHERE k.entry_id = e.id AND k.tick_at < (
    SELECT l.tick_at
    FROM faktory_django_crontick l
    WHERE l.entry_id = e.id
    ORDER BY l.tick_at DESC
    LIMIT 1 OFFSET %(keep)s - 1
)
"""
GONE: Final = """
SELECT e.id
FROM faktory_django_cronentry e
WHERE e.gone_at < clock_timestamp() - %(days)s * interval '1 day'
"""


class Scheduler:
    """Pushes what is due; remembers which entries it cannot read, for a minute."""

    def __init__(self) -> None:
        self._trouble: dict[int, float] = {}

    def run(self, connection: BaseDatabaseWrapper, *, seconds: float = 0.25) -> float | None:
        """Push what is due, for some seconds; return in how many to come again."""
        until = time.monotonic() + seconds
        while self._one(connection):
            if time.monotonic() >= until:
                return 0.0
        return self.next_seconds(connection)

    def next_seconds(self, connection: BaseDatabaseWrapper) -> float | None:
        """Return in how many seconds the next tick is due; None when there is none."""
        found = execute(connection, NEXT, {"without": self._without()})
        return None if not found or found[0][0] is None else max(found[0][0], 0.0) + 0.001

    def _without(self) -> list[int]:
        now = time.monotonic()
        self._trouble = {key: at for key, at in self._trouble.items() if at > now}
        return list(self._trouble)

    def _one(self, connection: BaseDatabaseWrapper) -> bool:
        """Look at one entry that is due; return whether there was one."""
        with transaction.atomic(using=connection.alias):
            found = execute(connection, DUE, {"without": self._without()})
            if not found:
                return False
            key, now = found[0]
            entry = CronEntry.objects.using(connection.alias).get(pk=key)
            try:
                tick(connection, entry, now)
            except InvalidOption as wrong:
                # a zone that this host does not know, a schedule of a newer release
                logger.error("cron entry %s cannot be looked at here: %s", entry.name, wrong)
                self._trouble[key] = time.monotonic() + TROUBLE_SECONDS
                entry.problem = str(wrong)
                entry.save(using=connection.alias, update_fields=["problem"])
        return True


def tick(connection: BaseDatabaseWrapper, entry: CronEntry, now: datetime) -> None:
    """Push what is due of an entry that is locked, and set its next tick.

    Raises InvalidOption when its schedule or its zone cannot be read.
    """
    seconds = entry.within_seconds
    found = rules.plan(
        read(entry.schedule, entry.zone),
        next_at=entry.next_at or now,
        now=now,
        missed=entry.missed,
        within=None if seconds is None else timedelta(seconds=seconds),
        limit=AT_A_TIME,
    )
    jids = payload.new_jids(len(found.push))
    params = {"entry": entry.pk, "ticks": list(found.push), "jids": jids}
    fresh = [row[0] for row in execute(connection, TICK, params)] if jids else []
    store(connection, entry, fresh)
    entry.next_at, entry.problem = found.next_at, ""
    entry.save(using=connection.alias, update_fields=["next_at", "problem"])


def store(connection: BaseDatabaseWrapper, entry: CronEntry, jids: Sequence[str]) -> None:
    """Push a job of an entry under each jid; a refusal is noted at its tick."""
    refused = _pushed(connection, entry, jids)
    if refused:
        logger.warning(
            "cron entry %s: a push was refused: %s", entry.name, next(iter(refused.values()))
        )
        params = {"entry": entry.pk, "jids": list(refused), "problems": list(refused.values())}
        execute(connection, REFUSED, params)


def job_of(entry: CronEntry, jid: str) -> Push:
    """Return the job that an entry pushes. Raises EncryptionNotReady or PayloadTooLarge."""
    options = crontab.options_of(entry)
    definition = registry.find(entry.jobtype)
    custom: dict[str, Any] = history.said(definition.options) if definition else {}
    custom |= json.loads(entry.custom) if entry.custom else {}
    args = entry.args
    if options.encrypt:
        note = custom.pop(payload.MARK, {})
        named = note.get("kwargs", False)
        if custom.get(unique.FOR) is not None:
            own = custom.get(unique.KEY) or unique.digest(args)
            custom[unique.KEY] = encryption.fingerprint(entry.jobtype, own)
        args = encryption.seal(entry.jobtype, args, note.get("kinds", {}), named=named)
        custom[payload.MARK] = encryption.MARK
    if options.priority:
        custom["priority"] = options.priority
    told = None if options.reserve_for == payload.RESERVE_FOR else options.reserve_for
    head, middle, tail = payload.template(
        entry.jobtype,
        queue=options.queue,
        retry=options.retry,
        custom=custom,
        reserve_for=told,
        backtrace=entry.backtrace,
    )
    body = f"{head}{jid}{middle}{args}{tail}"
    limit = settings.get().max_payload_bytes
    if (size := len(body.encode())) > limit:
        raise payload.too_large(entry.jobtype, size, limit)
    return Push(
        options.queue,
        jid,
        entry.jobtype,
        body,
        priority=options.priority,
        reserve_for=options.reserve_for,
        tracked=tracking.is_asked_for(custom),
        traits=traits.traits_of(
            custom,
            traits.Pushed(
                entry.jobtype,
                options.queue,
                args,
                history=history.Defaults.of(settings.get()),
            ),
        ),
    )


def trim(connection: BaseDatabaseWrapper) -> None:
    """Forget all but the last ticks, and entries that no code has declared for a month."""
    execute(connection, TRIM_TICKS, {"keep": KEEP_TICKS})
    gone = [row[0] for row in execute(connection, GONE, {"days": KEEP_GONE_DAYS})]
    if gone:
        CronEntry.objects.using(connection.alias).filter(pk__in=gone).delete()


def _pushed(
    connection: BaseDatabaseWrapper, entry: CronEntry, jids: Sequence[str]
) -> dict[str, str]:
    """Push, all at once or each on its own; return what was refused, and why."""
    if not jids:
        return {}
    try:
        with transaction.atomic(using=connection.alias):
            refused = push([job_of(entry, jid) for jid in jids], using=connection.alias)
    except FaktoryError as wrong:
        if len(jids) == 1:
            return {jids[0]: str(wrong)}
        each = [_pushed(connection, entry, [jid]) for jid in jids]
        return {jid: why for refused in each for jid, why in refused.items()}
    return {jids[refusal.place]: _standing(refusal) for refusal in refused}


def _standing(refusal: Refusal) -> str:
    """Say why there is no job of this tick."""
    return f"{refusal.message}: job {refusal.other}" if refusal.other else refusal.message
