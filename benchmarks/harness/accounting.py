"""Accounting: CPU and memory of processes, read from /proc (Linux)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

TICKS = os.sysconf("SC_CLK_TCK")


class _Entry(NamedTuple):
    parent: int
    session: int
    ticks: int


class Memory(NamedTuple):
    """rss_mb is the largest process's; pss_mb of all, shared pages counted once."""

    rss_mb: float
    pss_mb: float
    processes: int


def _table() -> dict[int, _Entry]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                text = Path("/proc", name, "stat").read_text()
                rest = text[text.rindex(")") + 2 :].split()
                # user and system time, its own and that of children that have ended
                ticks = sum(int(n) for n in rest[11:15])
                found[int(name)] = _Entry(int(rest[1]), int(rest[3]), ticks)
    return found


def tree(roots: Iterable[int]) -> set[int]:
    """Return these processes, their descendants and their sessions."""
    return _tree(set(roots), _table())


def _tree(roots: set[int], table: dict[int, _Entry]) -> set[int]:
    found = {pid for pid, e in table.items() if pid in roots or e.session in roots}
    while more := {pid for pid, e in table.items() if e.parent in found} - found:
        found |= more
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return the CPU time of these processes and their descendants; its grain is 10 ms."""
    table = _table()
    return sum(table[pid].ticks for pid in _tree(set(roots), table)) / TICKS


def memory(roots: Iterable[int]) -> Memory:
    """Return the memory of these processes and their descendants."""
    largest, shared, count = 0, 0, 0
    for pid in tree(roots):
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            largest = max(largest, _kb(status, "VmRSS:"))
            shared += _kb(rollup, "Pss:")
            count += 1
    return Memory(round(largest / 1_024, 1), round(shared / 1_024, 1), count)


def _kb(text: str, key: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(key)), 0)
