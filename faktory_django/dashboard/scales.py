"""Scales: the y axes of charts: round lines that enclose the values. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The lines of a logarithmic axis of durations, in seconds, with the units people think in.
LADDER: Final = (
    *(0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0),
    *(3_600.0, 36_000.0, 86_400.0, 864_000.0, 8_640_000.0),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """The y axis: what its lines stand for, and where a value lies, from 0 (bottom) to 1."""

    lines: tuple[float, ...]
    place: Callable[[float], float]


def linear(greatest: float) -> Scale:
    """Return an axis from 0 with two to five lines at round numbers, the last >= greatest."""
    if not greatest > 0:
        return Scale((0, 1), lambda value: value)
    power = 10.0 ** math.floor(math.log10(greatest / 4))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power * 4 >= greatest * 0.999_999)
    if greatest >= 1:
        step = max(step, 1) if step < 1 or step == int(step) else math.ceil(step)
    count = math.ceil(greatest / step - 1e-9)
    top = count * step
    return Scale(tuple(step * i for i in range(count + 1)), lambda value: value / top)


def logarithmic(values: Sequence[float]) -> Scale:
    """Return an axis for durations in seconds, whose lines enclose the values."""
    least, greatest = min(values, default=0.1), max(values, default=1.0)
    low = max((n for n, at in enumerate(LADDER) if at <= least), default=0)
    high = min((n for n, at in enumerate(LADDER) if at >= greatest), default=len(LADDER) - 1)
    low = min(low, len(LADDER) - 2)
    high = max(high, low + 1)
    bottom, span = math.log(LADDER[low]), math.log(LADDER[high] / LADDER[low])

    def place(value: float) -> float:
        return min(1.0, max(0.0, (math.log(max(value, LADDER[0])) - bottom) / span))

    return Scale(LADDER[low : high + 1], place)
