"""Proof: what a job did, told by the job itself and by nobody else.

Each run appends a record to one file in memory. Every rate, latency, loss and double run is
computed from these records. Needs the standard library only: every system imports it.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

# number of the job, STARTED or ENDED, Unix seconds; benchmarks/systems/common.mjs writes the same
RECORD = struct.Struct("<iid")
STARTED, ENDED = 1, 2
VARIABLE = "BENCHMARK_PROOF"

_files: dict[str, int] = {}


class Record(NamedTuple):
    """One line of the proof; seconds is Unix time."""

    number: int
    what: int
    seconds: float


def mark(number: int, what: int = STARTED) -> None:
    """Append a record to the file that the environment names."""
    if "file" not in _files:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        _files["file"] = os.open(os.environ[VARIABLE], flags, 0o600)
    os.write(_files["file"], RECORD.pack(number, what, time.time()))


class Proof:
    """The file of records of one measurement."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        """Begin anew."""
        self.path.write_bytes(b"")

    def count(self) -> int:
        """Return how many records there are."""
        return self.path.stat().st_size // RECORD.size

    def records(self) -> list[Record]:
        """Return all records in the order in which they were written."""
        return [Record(*fields) for fields in RECORD.iter_unpack(self.path.read_bytes())]
