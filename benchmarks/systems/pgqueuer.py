"""pgqueuer on asyncpg; arguments are JSON, as bytes."""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from benchmarks.systems.common import BODIES, System, Variant, main

if TYPE_CHECKING:
    from collections.abc import Sequence


async def _connect() -> Any:
    # asyncpg reads PGHOST and its kin
    return await asyncpg.connect(database=os.environ["PGDATABASE"])


class PgQueuerSystem(System):
    """One asyncio task for each job; the batch is what a claim takes."""

    packages: ClassVar[Sequence[str]] = ("pgqueuer", "asyncpg", "uvloop")
    variants: ClassVar[dict[str, Variant]] = {
        "default": Variant("2 processes, batches of 10", 2, "async_"),
        "hundred": Variant("2 processes, batches of 100", 2, "async_", {"batch_size": 100}),
        "sleep": Variant(
            "2 processes, batches of 50, 100 tasks",
            2,
            "async_",
            {"batch_size": 50, "max_concurrent_tasks": 100},
        ),
        "threads": Variant("2 processes, batches of 100, to_thread", 2, "", {"batch_size": 100}),
    }

    def setup(self) -> None:
        """Make its tables."""

        async def install() -> None:
            connection = await _connect()
            await Queries(AsyncpgDriver(connection)).install()
            await connection.close()

        asyncio.run(install())

    async def open(self) -> None:
        """Connect."""
        self.queries = Queries(AsyncpgDriver(await _connect()))

    async def push(self, job: str, number: int, text: str) -> None:
        """Push one."""
        await self.queries.enqueue(job, json.dumps([number, text]).encode())

    async def push_many(self, job: str, numbers: Sequence[int], text: str) -> None:
        """Push in one statement."""
        payloads: list[bytes | None] = [json.dumps([n, text]).encode() for n in numbers]
        count = len(payloads)
        await self.queries.enqueue([job] * count, payloads, [0] * count)

    def worker(self, variant: Variant) -> None:
        """Run until SIGTERM."""

        async def run() -> None:
            pgq = PgQueuer.from_asyncpg_connection(await _connect())
            for name, body in BODIES.items():
                pgq.entrypoint(name)(partial(_run, name.startswith("async_"), body))
            await pgq.run(**variant.options)

        uvloop.run(run())


async def _run(is_async: bool, body: Any, job: Any) -> None:  # noqa: FBT001
    arguments = json.loads(job.payload)
    if is_async:
        await body(*arguments)
    else:
        await asyncio.to_thread(body, *arguments)


if __name__ == "__main__":
    main(PgQueuerSystem())
