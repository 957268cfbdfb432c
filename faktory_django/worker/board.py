"""The board: what a child is doing, in memory that its parent can read whatever the child does.

Heartbeats come from the parent, so a job that holds the interpreter cannot stop them; the parent
learns from here what ran when a child died, and when a stuck child must be ended.
"""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum
from typing import Final, NamedTuple

_HEAD: Final = struct.Struct("=dqq")
_SLOT: Final = struct.Struct("=qddd")
_WORD: Final = struct.Struct("=q")
_SLOTS_AT: Final = _HEAD.size + _WORD.size


class Phase(IntEnum):
    """How far a child is.

    The last two are written just before it exits in order: ENDED when it was told to or a burst
    is over, RECYCLED when another one is to take its place.
    """

    STARTING = 0
    RUNNING = 1
    DRAINING = 2
    ENDED = 3
    RECYCLED = 4


class Slot(NamedTuple):
    """A busy slot; times by the monotonic clock, which parent and child share.

    limit is how many seconds the run may take when it has asked for more time, else 0.
    """

    job: int
    started: float
    deadline: float
    limit: float = 0.0


class Board:
    """Shared anonymous memory: a head (tick, phase, jobs done), a word of the parent's, and one
    entry for each slot.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(-1, _SLOTS_AT + slots * _SLOT.size)

    def tick(self, now: float, phase: Phase, done: int) -> None:
        """The child's main thread says that it lives."""
        _HEAD.pack_into(self._memory, 0, now, phase, done)

    def head(self) -> tuple[float, Phase, int]:
        """Return the last tick, the phase and the number of jobs done."""
        tick, phase, done = _HEAD.unpack_from(self._memory, 0)
        return tick, Phase(phase), done

    def call(self) -> None:
        """The parent says: a job of yours was cancelled, look which."""
        _WORD.pack_into(self._memory, _HEAD.size, self.calls() + 1)

    def calls(self) -> int:
        """Return how often the parent has said so."""
        calls: int = _WORD.unpack_from(self._memory, _HEAD.size)[0]
        return calls

    def enter(self, slot: int, job: int, started: float, deadline: float) -> None:
        """A slot begins to run a job."""
        _SLOT.pack_into(self._memory, _SLOTS_AT + slot * _SLOT.size, job, started, deadline, 0.0)

    def extend(self, slot: int, job: int, started: float, limit: float) -> None:
        """The run in a slot may take limit seconds in all."""
        place = _SLOTS_AT + slot * _SLOT.size
        _SLOT.pack_into(self._memory, place, job, started, started + limit, limit)

    def leave(self, slot: int) -> None:
        """A slot is free again."""
        _SLOT.pack_into(self._memory, _SLOTS_AT + slot * _SLOT.size, 0, 0.0, 0.0, 0.0)

    def busy(self) -> list[Slot]:
        """Return the slots that run a job."""
        found = (
            Slot(*_SLOT.unpack_from(self._memory, _SLOTS_AT + slot * _SLOT.size))
            for slot in range(self.slots)
        )
        return [slot for slot in found if slot.job]
