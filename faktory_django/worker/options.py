"""What a worker was told: settings, then environment, then command line."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faktory_django.errors import InvalidOption, InvalidQueueName
from faktory_django.settings import check_queue_name

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class QueueOrder:
    """Queues in the order in which each claim looks at them.

    strict: always as given. Weighted: shuffled anew for each claim, a queue of weight 3 being
    three times as likely to come first as one of weight 1. random: all weights are 1.
    """

    names: tuple[str, ...]
    weights: tuple[int, ...] = ()

    def next(self) -> Sequence[str]:
        """Return the order for one claim."""
        if not self.weights:
            return self.names
        # Efraimidis and Spirakis: the largest u^(1/w) first is a weighted shuffle.
        keyed = zip(self.names, self.weights, strict=True)
        return [n for n, _ in sorted(keyed, key=lambda q: -(random.random() ** (1 / q[1])))]  # noqa: S311


def queue_order(specs: Sequence[str], *, shuffle: bool) -> QueueOrder:
    """Read "critical,default", "bulk=3": names in order, weights from 1 to 1000.

    Raises InvalidQueueName or InvalidOption; also when there is no queue, or when one is named
    again with another weight.
    """
    names: dict[str, int | None] = {}
    for spec in (part.strip() for text in specs for part in text.split(",")):
        name, weighed, weight = spec.partition("=")
        if wrong := check_queue_name(name):
            raise InvalidQueueName(wrong)
        if weighed and not (weight.isascii() and weight.isdigit() and 1 <= int(weight) <= 1_000):
            raise InvalidOption(f"the weight of a queue must be 1 to 1000, got {spec!r}")
        given = int(weight) if weight else None
        if names.setdefault(name, given) != given:
            raise InvalidOption(f"queue {name!r} is named with two weights, the second in {spec!r}")
    if not names:
        raise InvalidOption("a worker needs the name of at least one queue, got none")
    if shuffle or any(weight is not None for weight in names.values()):
        return QueueOrder(tuple(names), tuple(weight or 1 for weight in names.values()))
    return QueueOrder(tuple(names))


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker was told; seconds and counts as the names say.

    reloader is the process that started it and starts it again; the worker ends with it.
    """

    database: str
    queues: QueueOrder
    concurrency: int
    async_concurrency: int
    processes: int
    grace_seconds: float
    poll_seconds: float
    beat_seconds: float
    max_claim: int
    burst: bool = False
    max_jobs: int | None = None
    max_rss_mb: int | None = None
    labels: tuple[str, ...] = field(default=("python",))
    reloader: int | None = None
