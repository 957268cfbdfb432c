"""Timeline: what is known to have happened to a job, and what comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A moment in a job's life; kind is "past", "failed", "now" or "future"."""

    at: datetime
    label: str
    kind: str = "past"


@dataclass(frozen=True, slots=True)
class Moments:
    """The instants that a job's row, its hash, its failure and its lease tell."""

    pushed_at: datetime | None = None
    enqueued_at: datetime | None = None
    failed_at: datetime | None = None
    attempts: int = 0
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    died_at: datetime | None = None
    expires_at: datetime | None = None
    asked_at: datetime | None = None
    asked_by: str = ""
    kill_at: datetime | None = None


def timeline(moments: Moments, now: datetime, *, retrying: bool = False) -> list[Event]:
    """Return what happened in the order in which it did, then what comes."""
    found = [event for event in _events(moments, retrying=retrying) if event is not None]
    return sorted((_coming(event, now) for event in found), key=lambda event: event.at)


def _events(moments: Moments, *, retrying: bool) -> Iterable[Event | None]:
    yield _event(moments.pushed_at, _("pushed"))
    yield _event(moments.enqueued_at, _("entered its queue"))
    yield _event(moments.failed_at, _failed(moments.attempts), "failed")
    yield _event(moments.claimed_at, _("claimed"))
    yield _event(moments.started_at, _("started"), "now")
    yield _event(moments.asked_at, _asked(moments.asked_by), "failed")
    yield _event(moments.kill_at, _("ended by force"))
    yield _event(moments.died_at, _("died"), "failed")
    yield _event(moments.due_at, _("next attempt") if retrying else _("due"))
    yield _event(moments.expires_at, _("reservation ends"))


def _event(at: datetime | None, label: str, kind: str = "past") -> Event | None:
    return None if at is None else Event(at, label, kind)


def _asked(by: str) -> str:
    return _("cancelled by %(who)s") % {"who": by} if by else _("cancelled")


def _coming(event: Event, now: datetime) -> Event:
    return Event(event.at, event.label, "future") if event.at > now else event


def _failed(attempts: int) -> str:
    return _("failed") if attempts <= 1 else _("failed for the first time")


def past_timeline(
    begun: Iterable[tuple[datetime | None, datetime | None, datetime | None]],
    failed: Iterable[tuple[datetime, int]],
    ended: Iterable[tuple[datetime, str, str]],
    now: datetime,
) -> list[Event]:
    """Return what happened to jobs that have ended, in order.

    begun are when they were pushed, entered their queues and were started last; failed are runs
    with their numbers; ended are when, how, and whether that is good or bad.
    """
    found: list[Event | None] = []
    for pushed_at, enqueued_at, started_at in begun:
        found.append(_event(pushed_at, _("pushed")))
        found.append(_event(enqueued_at, _("entered its queue")))
        found.append(_event(started_at, _("started")))
    for at, number in failed:
        found.append(_event(at, _("run %(number)s failed") % {"number": number}, "failed"))
    for at, how, kind in ended:
        found.append(_event(at, how, "failed" if kind == "bad" else "past"))
    there = {(event.at, event.label): _coming(event, now) for event in found if event is not None}
    return sorted(there.values(), key=lambda event: event.at)
