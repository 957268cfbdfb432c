"""Celery with Redis; results are ignored, for nobody reads them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from celery import Celery

from benchmarks.systems.common import BODIES, System, Variant, main

if TYPE_CHECKING:
    from collections.abc import Sequence

app: Any = Celery("benchmark", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
TASKS = {name: app.task(name=name)(body) for name, body in BODIES.items() if "async" not in name}
ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")


class CeleryRedis(System):
    """Prefork with two processes, or threads."""

    store: ClassVar[str] = "redis"
    packages: ClassVar[Sequence[str]] = ("celery", "kombu", "redis")
    has_bulk: ClassVar[bool] = False
    variants: ClassVar[dict[str, Variant]] = {
        "default": Variant("prefork -c 2", 1, options={"words": ("-c", "2")}),
        "prefetch": Variant(
            "prefork -c 2, prefetch 128, no gossip, mingle, heartbeat",
            1,
            options={"words": ("-c", "2", "--prefetch-multiplier", "128", *ALONE)},
        ),
        "threads": Variant(
            "2 processes, -P threads -c 50",
            2,
            options={"words": ("-P", "threads", "-c", "50", *ALONE[:2])},
        ),
    }

    def open(self) -> None:
        """Connect."""
        app.connection_for_write().ensure_connection()

    def push(self, job: str, number: int, text: str) -> None:
        """Push one."""
        TASKS[job].delay(number, text)

    def worker(self, variant: Variant) -> None:
        """Become `celery worker`."""
        words = ["-l", "WARNING", "-n", f"w{os.getpid()}@localhost", *variant.options["words"]]
        module = "benchmarks.systems.celery_redis"
        os.execv(sys.executable, [sys.executable, "-m", "celery", "-A", module, "worker", *words])


if __name__ == "__main__":
    main(CeleryRedis())
