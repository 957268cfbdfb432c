"""Quantiles: from histograms of seconds to p50 and p95. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from faktory_django.models import BUCKET_SECONDS, BUCKETS

from . import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The first bucket has no lower end of its own; what is faster is of no interest.
FASTEST: Final = 0.000_1
_BOUNDS: Final = (FASTEST, *BUCKET_SECONDS)


def quantile(counts: Sequence[int], part: float) -> float | None:
    """Return the seconds below which this part of the runs lies; None when there are none.

    An estimate: inside its bucket a value is placed as if the runs lay evenly on a logarithmic
    axis. In the last bucket, which is open, it is the lower end.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, below = part * total, 0
    for (low, high), count in zip(pairwise(_BOUNDS), counts, strict=False):
        if count and below + count >= wanted:
            return float(low * (high / low) ** ((wanted - below) / count))
        below += count
    return _BOUNDS[-1]


def added(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Return the sum of histograms, bucket by bucket."""
    total = [0] * BUCKETS
    for histogram in histograms:
        for nr, count in enumerate(histogram[:BUCKETS]):
            total[nr] += count
    return total


def bucket_names() -> list[str]:
    """Return what each bucket holds, in words: its upper end; the last one has none."""
    ends = [f"≤ {figures.duration(end)}" for end in BUCKET_SECONDS]
    return [*ends, f"> {figures.duration(BUCKET_SECONDS[-1])}"]
