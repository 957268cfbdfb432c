"""Numbers, durations and sizes in short."""

from __future__ import annotations

import pytest
from django.utils import translation

from faktory_django.dashboard import figures


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (0.0004, "0.0004"),
        (0.3, "0.3"),
        (2.46, "2.5"),
        (12.4, "12"),
        (9_999, "9,999"),
        (10_000, "10 k"),
        (12_340, "12 k"),
        (999_960, "1 M"),
        (1_204_331, "1.2 M"),
        (3_000_000_000, "3 G"),
        (12_345_000_000_000, "12,345 G"),
    ],
)
def test_a_number_is_said_in_few_characters(number: float, words: str) -> None:
    assert figures.short(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (0.00001, "0.1 ms"),
        (0.0012, "1.2 ms"),
        (0.35, "350 ms"),
        (0.9996, "1 s"),
        (3, "3 s"),
        (59.99, "1 min"),
        (2_460, "41 min"),
        (8_280, "2.3 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_a_duration_is_said_in_its_largest_unit(seconds: float, words: str) -> None:
    assert figures.duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 B"), (1_023, "1,023 B"), (8_192, "8 kB"), (1_300_000_000, "1.2 GB")],
)
def test_a_size_is_said_in_its_largest_unit(number: int, words: str) -> None:
    assert figures.size(number) == words


def test_digits_are_grouped_as_the_viewer_groups_them() -> None:
    with translation.override("de"):
        assert figures.exact(1_204_331.5) == "1.204.331,5"
