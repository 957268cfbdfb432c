"""Machine: where a measurement was made; printed with every run."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """Return the processor, its cores, the memory, the system and the day."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(_field("/proc/meminfo", "MemTotal").split()[0]) / 1_048_576),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0 unknown"
