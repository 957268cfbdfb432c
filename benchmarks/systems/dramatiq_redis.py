"""Dramatiq with Redis."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.systems.common import BODIES, System, Variant, main

if TYPE_CHECKING:
    from collections.abc import Sequence

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)
ACTORS = {
    name: dramatiq.actor(body, actor_name=name)
    for name, body in BODIES.items()
    if "async" not in name
}


class DramatiqRedis(System):
    """Its command line with two processes."""

    store: ClassVar[str] = "redis"
    packages: ClassVar[Sequence[str]] = ("dramatiq", "redis")
    has_bulk: ClassVar[bool] = False
    variants: ClassVar[dict[str, Variant]] = {
        "default": Variant("2 processes, 8 threads each", 1, options={"threads": "8"}),
        "prefetch": Variant(
            "2 processes, 32 threads each, prefetch 512",
            1,
            options={"threads": "32", "prefetch": "512"},
        ),
        "sleep": Variant("2 processes, 50 threads each", 1, options={"threads": "50"}),
    }

    def open(self) -> None:
        """Connect."""
        broker.client.ping()

    def push(self, job: str, number: int, text: str) -> None:
        """Push one."""
        ACTORS[job].send(number, text)

    def worker(self, variant: Variant) -> None:
        """Become `dramatiq`."""
        if prefetch := variant.options.get("prefetch"):
            os.environ["dramatiq_queue_prefetch"] = prefetch  # noqa: SIM112 - its name
        words = ["-p", "2", "-t", variant.options["threads"], "benchmarks.systems.dramatiq_redis"]
        os.execv(sys.executable, [sys.executable, "-m", "dramatiq", *words])


if __name__ == "__main__":
    main(DramatiqRedis())
