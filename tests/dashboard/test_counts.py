"""Counts: exact while they are small, honest beyond."""

from __future__ import annotations

import pytest

from faktory_django.dashboard import figures
from faktory_django.dashboard.counts import CAP, Count, capped


@pytest.mark.parametrize(
    ("size", "estimate", "said"),
    [
        (0, -1, "0"),
        (CAP, 5, "10,000"),
        (CAP + 1, 1_234_567, "≈ 1,200,000"),
        (CAP + 1, 12_345, "≈ 12,000"),
        (CAP + 1, 987, "> 10,000"),
        (CAP + 1, -1, "> 10,000"),
    ],
)
def test_a_count_says_how_good_it_is(size: int, estimate: int, said: str) -> None:
    assert capped(size, estimate).text() == said


def test_millions_are_short_and_their_title_is_not() -> None:
    count = Count(1_234_567_890)

    assert count.text() == "1.2 G"
    assert count.text(figures.exact) == "1,234,567,890"
