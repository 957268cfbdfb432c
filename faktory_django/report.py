"""What INFO says: the figures of the whole system and of this server, as Faktory's clients read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from faktory_django import settings

if TYPE_CHECKING:
    from faktory_django.lifecycle.info import Info
    from faktory_django.maintenance import Maintenance, Tally

# The version of Faktory whose protocol this is; clients insist on 1.8 or newer.
PROTOCOL_VERSION: Final = "1.10.0"


def report(
    found: Info,
    upkeep: Maintenance,
    *,
    now: datetime,
    uptime_seconds: float,
    connections: int,
    commands: int,
    used_memory_mb: int,
) -> bytes:
    """Return the JSON of INFO (protocol section 4.7): all numbers but times are integers."""
    sets = found.sets
    body: dict[str, Any] = {
        "now": _rfc3339(now),
        "server_utc_time": f"{now.astimezone(UTC):%H:%M:%S} UTC",
        "faktory": {
            "queues": found.queues,
            "sets": {name: sets[name] for name in ("dead", "retries", "scheduled", "working")},
            "tasks": {
                "Busy": {"reaped": upkeep.busy.moved, "size": sets["working"]},
                "Dead": _task(upkeep.dead, sets["dead"]),
                "Retries": _task(upkeep.retries, sets["retries"]),
                "Scheduled": _task(upkeep.scheduled, sets["scheduled"]),
                "Workers": {"reaped": upkeep.workers.moved, "size": found.workers},
            },
            "total_failures": found.failed,
            "total_processed": found.processed,
            "total_enqueued": sum(found.queues.values()),
            "total_queues": len(found.queues),
        },
        "server": {
            "description": settings.get().server_description,
            "faktory_version": PROTOCOL_VERSION,
            "uptime": int(uptime_seconds),
            "connections": connections,
            "command_count": commands,
            "used_memory_mb": used_memory_mb,
        },
    }
    return msgspec.json.encode(body)


def _task(tally: Tally, size: int) -> dict[str, Any]:
    return {
        "cycles": tally.cycles,
        "enqueued": tally.moved,
        "size": size,
        "wall_time_sec": round(tally.seconds, 6),
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
