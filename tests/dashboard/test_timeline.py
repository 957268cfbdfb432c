"""What happened to a job, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faktory_django.dashboard.timeline import Moments, timeline

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("moments", "retrying", "events"),
    [
        ({}, False, []),
        ({"pushed_at": at(-2)}, False, [("pushed", "past")]),
        (
            {"pushed_at": at(-9), "enqueued_at": at(-1), "failed_at": at(-8), "attempts": 3}
            | {"due_at": at(4)},
            True,
            [
                ("pushed", "past"),
                ("failed for the first time", "failed"),
                ("entered its queue", "past"),
                ("next attempt", "future"),
            ],
        ),
        ({"due_at": at(4)}, False, [("due", "future")]),
        ({"due_at": at(-4)}, False, [("due", "past")]),
        (
            {"pushed_at": at(-9), "claimed_at": at(-8), "started_at": at(-7), "expires_at": at(1)},
            False,
            [
                ("pushed", "past"),
                ("claimed", "past"),
                ("started", "now"),
                ("reservation ends", "future"),
            ],
        ),
        (
            {"failed_at": at(-9), "attempts": 1, "died_at": at(-9)},
            False,
            [("failed", "failed"), ("died", "failed")],
        ),
    ],
)
def test_events_are_told_in_order(
    moments: dict[str, Any], retrying: bool, events: list[tuple[str, str]]
) -> None:
    found = timeline(Moments(**moments), NOW, retrying=retrying)

    assert [(event.label, event.kind) for event in found] == events
