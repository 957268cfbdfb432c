"""Recorded exchanges of a real server, as they stand in recordings/*.jsonl.

Volatile values are masked: <TIME>, <NUM>, <LEN>, <VERSION>; a long text is written short, as
"<20,000,000 y>".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).with_name("recordings")
# Of what only Faktory Enterprise answers: written from its documentation.
WRITTEN: Final = Path(__file__).with_name("written")
LONG: Final = re.compile(r"<([\d,]+) (\w)>")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to do on which connection, and what has to come."""

    file: str
    scenario: str
    number: int
    conn: str
    act: str
    send: bytes
    replies: tuple[str, ...]
    closed: bool
    seconds: float

    @property
    def place(self) -> tuple[str, str, int]:
        """Where it stands."""
        return self.file, self.scenario, self.number


@cache
def scenarios(folder: Path = FOLDER) -> dict[tuple[str, str], list[Step]]:
    """Return the steps of each scenario, by the name of its file and its own."""
    found: dict[tuple[str, str], list[Step]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        # Not splitlines(): a recorded text holds U+2028.
        for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            step = _step(path.stem, json.loads(line))
            found.setdefault((step.file, step.scenario), []).append(step)
    return found


def expanded(text: str) -> str:
    """Return a text with what was written short at its whole length."""
    return LONG.sub(lambda found: found[2] * int(found[1].replace(",", "")), text)


def _step(file: str, line: dict[str, Any]) -> Step:
    return Step(
        file=file,
        scenario=line["scenario"],
        number=line["step"],
        conn=line["conn"],
        act=line.get("act", "send"),
        send=_bytes(line["send"] or ""),
        replies=tuple(split(line["recv"] or "")),
        closed=line.get("closed", False),
        seconds=line.get("secs", 0.0),
    )


def _bytes(text: str) -> bytes:
    r"""Return what was sent: "...," stands for the jobtype, \xff for a byte that is not UTF-8."""
    whole = expanded(text.replace(",...,", ',"jobtype":"T",')).encode()
    return re.sub(rb"\\x(f[ef])", lambda found: bytes.fromhex(found[1].decode()), whole)


def split(text: str) -> list[str]:
    """Return the replies in a text; a bulk string with its length, or with the mask of it."""
    found = []
    while text:
        end = text.index("\r\n") + 2
        if text[0] == "$" and not text.startswith("$-1"):
            end = text.index("\r\n", end) + 2
        found.append(text[:end])
        text = text[end:]
    return found
