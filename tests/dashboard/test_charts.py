"""What a chart draws, and what it says."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from faktory_django.dashboard import charts, scales
from faktory_django.dashboard.charts import Chart, Series, Steps

HOSTILE = "</title><script>alert(1)</script>\"'"


@pytest.mark.parametrize(
    ("greatest", "lines"),
    [
        (0, (0, 1)),
        (1, (0, 1)),
        (3, (0, 1, 2, 3)),
        (10, (0, 3, 6, 9, 12)),
        (284, (0, 100, 200, 300)),
        (1_204, (0, 500, 1_000, 1_500)),
        (0.3, (0, 0.1, 0.2, 0.3)),
    ],
)
def test_a_linear_axis_has_few_lines_at_round_numbers(
    greatest: float, lines: tuple[float, ...]
) -> None:
    assert scales.linear(greatest).lines == pytest.approx(lines)


@given(st.floats(min_value=1e-6, max_value=1e15))
def test_a_linear_axis_holds_its_greatest_value(greatest: float) -> None:
    scale = scales.linear(greatest)

    assert 2 <= len(scale.lines) <= 6
    assert scale.lines[-1] >= greatest * 0.999_99
    assert 0 <= scale.place(greatest) <= 1.000_01


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ([], (0.1, 1.0)),
        ([0.5], (0.1, 1.0)),
        ([0.002, 40], (0.001, 0.01, 0.1, 1.0, 10.0, 60.0)),
        ([10.0], (10.0, 60.0)),
        ([1e9], (864_000.0, 8_640_000.0)),
    ],
)
def test_a_logarithmic_axis_encloses_its_values(
    values: list[float], lines: tuple[float, ...]
) -> None:
    assert scales.logarithmic(values).lines == lines


@given(st.lists(st.floats(min_value=0, max_value=1e12)))
def test_a_logarithmic_axis_places_everything_inside(values: list[float]) -> None:
    scale = scales.logarithmic([v for v in values if v])

    assert all(0 <= scale.place(value) <= 1 for value in values)
    assert all(a < b for a, b in pairwise(scale.lines))


def test_a_line_has_a_gap_where_nothing_was_measured_and_a_dot_between_gaps() -> None:
    series = Series("run", "run", [1, 2, None, 2, None])

    chart = charts.lines("Time", "seconds", Steps("day", list("abcde")), [series])

    assert chart.shapes[0].path == "M100 500L300 0M700 0h0.1"


def test_bars_stand_on_each_other_and_the_least_is_seen() -> None:
    failed, processed = Series("failed", "failed", [1, 0]), Series("done", "done", [100_000, None])

    chart = charts.bars("Jobs", "jobs", Steps("day", ["a", "b"]), [failed, processed])

    low, high = (shape.path for shape in chart.shapes)
    assert low == "M50 1000V988h400V1000z"
    assert high.startswith("M50 988V")
    assert high.count("M") == 1


def test_a_step_says_its_values_in_words() -> None:
    chart = charts.durations(
        "Run", "seconds", Steps("minute", ["14:03"]), [Series("p50", "run", [0.25])]
    )

    assert chart.steps[0].title == "14:03\np50: 250 ms"
    assert [tick.label for tick in chart.y_ticks] == ["100 ms", "1 s"]


@pytest.mark.parametrize(
    ("count", "major", "minor"),
    [(0, 0, 0), (1, 1, 0), (5, 5, 0), (6, 3, 3), (16, 4, 4), (60, 5, 5), (180, 5, 5)],
)
def test_labels_leave_room_for_each_other(count: int, major: int, minor: int) -> None:
    steps = Steps("day", [str(n) for n in range(count)])

    chart = charts.bars("Jobs", "jobs", steps, [Series("done", "done", [1] * count)])

    small = [tick for tick in chart.x_ticks if "minor" in tick.anchor]
    assert len(small) == minor
    assert len(chart.x_ticks) - len(small) == major
    assert [tick.label for tick in chart.x_ticks][-1:] == [str(count - 1)][:count]
    assert len(chart.steps) == count


def test_a_chart_of_nothing_says_so() -> None:
    chart = charts.bars("Jobs", "jobs", Steps("day", ["a"]), [Series("done", "done", [0])])

    assert chart.empty
    assert "Nothing in this time" in drawn(chart)


def test_a_chart_carries_a_table_and_no_hostile_text_becomes_markup() -> None:
    steps = Steps(HOSTILE, [HOSTILE, "b"])
    series = [Series(HOSTILE, "done", [1, 2_000]), Series("failed", "failed", [None, 0])]

    page = drawn(charts.lines(HOSTILE, HOSTILE, steps, series))

    assert "<script" not in page
    assert "style=" not in page
    assert page.count('<th scope="row">') == 2
    assert "<td>2,000</td><td>0</td>" in page
    assert "<td>1</td><td>-</td>" in page


def test_coordinates_are_numbers_of_svg_in_every_language() -> None:
    chart = charts.lines(
        "Jobs", "jobs", Steps("day", ["a"] * 2_100), [Series("done", "done", [0.3] * 2_100)]
    )

    with translation.override("de"):
        page = drawn(chart)

    found = re.findall(r' (?:x|y|x1|x2|y1|y2|width|height|d)="([^"]*)"', page)
    assert len(found) > 4_000
    assert all(re.fullmatch(r"[0-9.MLhVz %]*", value) for value in found)


def test_a_sparkline_says_what_it_shows() -> None:
    line = charts.sparkline([0, 5, None, 10], HOSTILE)

    page = render_to_string("faktory_django/dashboard/charts/sparkline.html", {"sparkline": line})

    assert line.path == "M125 1000L375 500M875 0h0.1"
    assert "<script" not in page
    assert charts.sparkline([0, 0], "").path == "M250 1000L750 1000"


def drawn(chart: Chart) -> str:
    assert not any(math.isnan(float(tick.at)) for tick in chart.y_ticks)
    return render_to_string("faktory_django/dashboard/charts/chart.html", {"chart": chart})
