"""Kept: what many people look at is read seldom."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from faktory_django.dashboard import kept
from faktory_django.dashboard.kept import Kept
from tests.waiting import until


class Source:
    """Something that can be read, and counts how often it was."""

    def __init__(self, *broken: int) -> None:
        self.reads = 0
        self.broken = broken

    def read(self) -> int:
        """Return how often it was read; the database has gone at the broken ones."""
        self.reads += 1
        if self.reads in self.broken:
            raise OperationalError("gone")
        return self.reads


def test_a_value_is_read_once_and_then_kept() -> None:
    value = Kept(Source().read, seconds=60)

    assert [value.get(), value.get()] == [1, 1]


def test_a_value_is_read_anew_when_its_time_is_over() -> None:
    value = Kept(Source().read, seconds=0.01)
    value.get()

    until(lambda: value.get() > 1, "it is read again")


def test_an_error_is_kept_like_a_value_but_not_for_longer_than_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source(1)
    value = Kept(source.read, seconds=3_600)

    for _ in range(2):
        with pytest.raises(OperationalError, match="gone"):
            value.get()
    assert source.reads == 1

    monkeypatch.setattr(kept, "SECONDS", 0)
    value.forget()
    assert value.get() == 2


def test_everything_is_forgotten_at_once() -> None:
    value = Kept(Source().read, seconds=60)
    value.get()

    kept.forget_all()

    assert value.get() == 2
