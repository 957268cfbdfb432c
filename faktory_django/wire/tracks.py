"""TRACK: what workers say of their jobs, and what those who wait for them hear (section 9.4)."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import msgspec

from faktory_django import payload
from faktory_django.features import tracking
from faktory_django.lifecycle.track import Setting, Status, set_tracks, statuses

from . import frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .requests import TrackSet


def track(
    connection: BaseDatabaseWrapper, told: Sequence[Setting], asked: Sequence[str]
) -> list[Status]:
    """Do what is said of jobs, then return what became of others."""
    if told:
        set_tracks(connection, told)
    return statuses(asked, bodies=True, using=connection.alias) if asked else []


def setting(request: TrackSet, wid: str | None) -> Setting:
    """Return what a client says; it may extend what it may ACK."""
    return Setting(request.jid, wid, request.percent, request.desc, request.reserve_until)


def nobody(jid: str) -> Status:
    """Return what is known of a jid that no job can have."""
    return Status(jid, "unknown", None, None, None, tracked=False, body=None)


def answer(status: Status) -> bytes:
    """Return the reply to TRACK GET: percent and desc only when they were ever said."""
    if not status.tracked and not _asks_for_it(status.body):
        status = nobody(status.jid)
    state = tracking.WIRE_STATES[status.state]
    said = status.updated_at if state != "unknown" else None
    facts: dict[str, Any] = {"jid": status.jid}
    if said is not None and status.percent is not None:
        facts["percent"] = status.percent
    if said is not None and status.text is not None:
        facts["desc"] = status.text
    facts["state"] = state
    facts["updated_at"] = said.astimezone(UTC).isoformat().replace("+00:00", "Z") if said else ""
    return frames.bulk(msgspec.json.encode(facts))


def _asks_for_it(body: str | None) -> bool:
    """Return whether a job asks for tracking whose row is gone: of one that died long ago."""
    if body is None or '"track"' not in body:
        return False
    try:
        return tracking.is_asked_for(payload.parse(body).custom)
    except (ValueError, RecursionError, AttributeError):
        return False
