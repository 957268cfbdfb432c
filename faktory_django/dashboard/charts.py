"""Charts: numbers in, strings of SVG out, which the templates of charts/ put on the page.

A plot is drawn in a square of SIDE by SIDE that the page stretches to its width; texts stand
outside of it, so that they keep their size on a phone. All coordinates are strings: a template
would write 0.5 as 0,5 for a German.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from . import figures
from .scales import Scale, linear, logarithmic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIDE: Final = 1000.0
TOP: Final = 10
PLOT_HEIGHT: Final = 160
MAX_LABELS: Final = 5
# One failure among a million jobs must still be seen: no bar that stands for something is lower.
LEAST_HEIGHT: Final = 12.0


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one kind of bar; mark is its CSS class, None among the values is a gap."""

    name: Any
    mark: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid (y), or a label below it (x, in per cent, with its text anchor).

    A minor label is left out on a phone.
    """

    at: str
    label: str
    anchor: str = "end"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is drawn for a series: a path."""

    mark: str
    path: str


@dataclass(frozen=True, slots=True)
class Step:
    """One moment or class: the band that shows its tooltip, and its row of the table."""

    x: str
    width: str
    name: str
    cells: tuple[str, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that charts/chart.html needs. kind is "lines" or "bars"."""

    kind: str
    title: Any
    unit: Any
    step_name: Any
    series: tuple[Series, ...]
    shapes: tuple[Shape, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    steps: tuple[Step, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(value for series in self.series for value in series.values)


@dataclass(frozen=True, slots=True)
class Steps:
    """The x axis: what it shows, a short label for each step, and optionally a longer one."""

    name: Any
    labels: Sequence[str]
    details: Sequence[str] = ()


def lines(
    title: Any,
    unit: Any,
    steps: Steps,
    series: Sequence[Series],
    *,
    shown: Callable[[float], str] = figures.exact,
) -> Chart:
    """Return a line for each series over the steps, on a linear axis that begins at 0."""
    scale = linear(_greatest(series))
    shapes = [Shape(s.mark, _line(s.values, scale)) for s in series]
    return _chart("lines", title, unit, steps, series, shapes, scale, (shown, figures.short))


def durations(title: Any, unit: Any, steps: Steps, series: Sequence[Series]) -> Chart:
    """Return a line for each series of seconds, on a logarithmic axis: 1 ms, 10 ms, ... 1 h."""
    scale = logarithmic([v for s in series for v in s.values if v])
    shapes = [Shape(s.mark, _line(s.values, scale)) for s in series]
    formats = (figures.duration, figures.duration)
    return _chart("lines", title, unit, steps, series, shapes, scale, formats)


def bars(
    title: Any,
    unit: Any,
    steps: Steps,
    series: Sequence[Series],
    *,
    shown: Callable[[float], str] = figures.exact,
) -> Chart:
    """Return one bar a step, its series on top of each other, the first at the bottom."""
    columns = list(zip(*(s.values for s in series), strict=True))
    scale = linear(max((sum(v or 0 for v in column) for column in columns), default=0))
    stacks = [_stack(column, scale) for column in columns]
    shapes = [
        Shape(s.mark, "".join(_bar(i, len(stacks), stack[n]) for i, stack in enumerate(stacks)))
        for n, s in enumerate(series)
    ]
    return _chart("bars", title, unit, steps, series, shapes, scale, (shown, figures.short))


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A line without axes, beside the words that say it: charts/sparkline.html."""

    path: str
    title: str


def sparkline(values: Sequence[float | None], title: str) -> Sparkline:
    """Return a line over the values; title says what they are, their range, and their unit."""
    greatest = max((v for v in values if v is not None), default=0)
    scale = Scale((0, greatest), lambda value: value / greatest if greatest > 0 else 0)
    return Sparkline(_line(values, scale), title)


def _chart(
    kind: str,
    title: Any,
    unit: Any,
    steps: Steps,
    series: Sequence[Series],
    shapes: Sequence[Shape],
    scale: Scale,
    formats: tuple[Callable[[float], str], Callable[[float], str]],
) -> Chart:
    shown, short = formats
    y_ticks = tuple(
        Tick(_number(TOP + PLOT_HEIGHT * (1 - scale.place(at))), short(at)) for at in scale.lines
    )
    return Chart(
        kind=kind,
        title=title,
        unit=unit,
        step_name=steps.name,
        series=tuple(series),
        shapes=tuple(shapes),
        y_ticks=y_ticks,
        x_ticks=tuple(_x_ticks(steps.labels)),
        steps=tuple(_steps(steps, series, shown)),
    )


def _steps(steps: Steps, series: Sequence[Series], shown: Callable[[float], str]) -> Iterator[Step]:
    names = steps.details or steps.labels
    width = SIDE / max(len(names), 1)
    for i, name in enumerate(names):
        values = [s.values[i] for s in series]
        cells = tuple("-" if v is None else shown(v) for v in values)
        said = [f"{s.name}: {cell}" for s, cell in zip(series, cells, strict=True)]
        title = "\n".join([name, *said])
        yield Step(_number(i * width), _number(width), name, cells, title)


def _x_ticks(labels: Sequence[str]) -> Iterator[Tick]:
    """Label the last step and some before it; half of them only where there is room."""
    every = max(1, math.ceil(len(labels) / MAX_LABELS))
    between = max(1, every // 2) if len(labels) > 1 else 1
    for i in reversed(range(len(labels) - 1, -1, -between)):
        at = 100 * (i + 0.5) / len(labels)
        anchor = "start" if at < 6 else "end" if at > 94 else "middle"
        minor = (len(labels) - 1 - i) % every != 0
        yield Tick(f"{_number(at)}%", labels[i], f"{anchor} minor" if minor else anchor)


def _line(values: Sequence[float | None], scale: Scale) -> str:
    points = [
        None if value is None else (SIDE * (i + 0.5) / len(values), SIDE * (1 - scale.place(value)))
        for i, value in enumerate(values)
    ]
    path = []
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if point is None:
            continue
        path.append(f"{'M' if before is None else 'L'}{_number(point[0])} {_number(point[1])}")
        if before is None and after is None:
            path.append("h0.1")  # a line of no length, which its round ends make a dot
    return "".join(path)


def _stack(column: Sequence[float | None], scale: Scale) -> list[tuple[float, float]]:
    """Return the bottom and the top of each value of a bar, from 0 to SIDE."""
    edges = [0.0]
    for value in column:
        height = SIDE * scale.place(value) if value else 0.0
        edges.append(min(SIDE, edges[-1] + (max(height, LEAST_HEIGHT) if value else 0.0)))
    return list(pairwise(edges))


def _bar(i: int, count: int, edges: tuple[float, float]) -> str:
    bottom, top = edges
    if top <= bottom:
        return ""
    width = SIDE / count
    x, wide = _number(width * (i + 0.1)), _number(width * 0.8)
    return f"M{x} {_number(SIDE - bottom)}V{_number(SIDE - top)}h{wide}V{_number(SIDE - bottom)}z"


def _greatest(series: Sequence[Series]) -> float:
    return max((v for s in series for v in s.values if v is not None), default=0)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
