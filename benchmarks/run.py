"""Measures faktory_django, or with --peers other systems beside it, and prints tables.

    python -m benchmarks.run [--peers] [--figures drain,push] [--systems ours,celery_redis]

One JSON line for each run, then a table for each figure: the median of the runs by jobs per
second. `make bench` and `make bench-peers` install what it needs. Linux only: CPU and memory are
read from /proc. docs/explanation/performance.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import figures, large, machine
from benchmarks.harness.stores import Postgres, Redis
from benchmarks.harness.subject import TEXT, Subject, Unmeasurable, python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# what `make bench-peers` installs the peers into
PEERS = Path(".bench")
LONG_TEXT: Final = 2_000
MEASURES: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "push": figures.push,
    "drain": figures.drain,
    "drain_2kb": figures.drain,
    "held": figures.drain,
    "query": figures.drain,
    "sleep": figures.drain,
    "end_to_end": figures.end_to_end,
    "latency": figures.latency,
    "idle": figures.idle,
    "backlog": large.backlog,
    "due": large.due,
    "memory": large.memory,
}
EXTRA: Final[dict[str, dict[str, Any]]] = {
    "held": {"held": True},
    "query": {"kind": "query"},
    "sleep": {"kind": "sleep"},
}
REPEATED: Final = {"drain", "held"}


@dataclass(frozen=True)
class Job:
    """A figure of a system in a variant; jobs where the figure needs to know how many."""

    figure: str
    variant: str
    jobs: int | None = None

    def scaled(self, by: float) -> Job:
        """Return the same of more or fewer jobs."""
        return replace(self, jobs=self.jobs and max(100, int(self.jobs * by)))


@dataclass(frozen=True)
class Plan:
    """What to measure of one system."""

    jobs: Sequence[Job]
    is_node: bool = False
    needs_redis: bool = False
    environment: dict[str, str] = field(default_factory=dict)


OURS: Final = Plan(
    [
        Job("push", "default"),
        *(Job("drain", variant, 100_000) for variant in ("default", "async", "two", "two_async")),
        Job("drain_2kb", "two", 50_000),
        Job("query", "async", 10_000),
        Job("sleep", "sleep", 20_000),
        Job("sleep", "threads", 20_000),
        Job("end_to_end", "default", 100_000),
        Job("end_to_end", "two", 100_000),
        Job("latency", "default"),
        Job("latency", "async"),
        Job("idle", "default"),
        Job("held", "two", 200_000),
        Job("memory", "two"),
        Job("due", "fresh"),
        Job("backlog", "two"),
    ]
)


def _peer(*jobs: Job, **options: Any) -> Plan:
    return Plan(jobs, **options)


COMPARED: Final[dict[str, Plan]] = {
    "ours": _peer(
        Job("push", "default"),
        Job("drain", "two", 200_000),
        Job("drain", "two_async", 200_000),
        Job("held", "two", 200_000),
        Job("sleep", "sleep", 20_000),
        Job("sleep", "threads", 20_000),
        Job("latency", "default"),
        Job("idle", "default"),
    ),
    "graphile_worker": _peer(
        Job("push", "default"),
        Job("drain", "local_queue", 200_000),
        Job("held", "local_queue", 200_000),
        Job("sleep", "sleep", 20_000),
        Job("latency", "ten"),
        Job("latency", "local_queue"),
        Job("idle", "local_queue"),
        is_node=True,
    ),
    "pgqueuer": _peer(
        Job("push", "default"),
        Job("drain", "hundred", 60_000),
        Job("held", "hundred", 200_000),
        Job("sleep", "sleep", 20_000),
        Job("latency", "hundred"),
        Job("idle", "hundred"),
    ),
    "procrastinate": _peer(
        Job("push", "async"),
        Job("drain", "async", 5_000),
        Job("sleep", "sleep", 3_000),
        Job("latency", "async"),
        Job("idle", "async"),
    ),
    "django_tasks_db": _peer(
        Job("push", "quick"),
        Job("drain", "quick", 2_000),
        Job("sleep", "quick", 500),
        Job("latency", "quick"),
        Job("idle", "quick"),
    ),
    "celery_redis": _peer(
        Job("push", "default"),
        Job("drain", "prefetch", 5_000),
        Job("drain", "threads", 5_000),
        Job("sleep", "threads", 5_000),
        Job("latency", "prefetch"),
        Job("idle", "prefetch"),
        needs_redis=True,
    ),
    "dramatiq_redis": _peer(
        Job("push", "default"),
        Job("drain", "prefetch", 20_000),
        Job("sleep", "sleep", 10_000),
        Job("latency", "prefetch"),
        Job("idle", "prefetch"),
        needs_redis=True,
    ),
}


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--figures", default=",".join(MEASURES))
    parser.add_argument("--systems", default=",".join(COMPARED))
    parser.add_argument("--runs", type=int, default=3, help="of a drain")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of jobs")
    told = parser.parse_args()
    plans = COMPARED if told.peers else {"ours": OURS}
    wanted, systems = told.figures.split(","), told.systems.split(",")
    for names, known in ((wanted, list(MEASURES)), (systems, list(COMPARED))):
        if unknown := [name for name in names if name not in known]:
            parser.error(f"{unknown[0]!r} is none of {', '.join(known)}")
    plans = {name: plan for name, plan in plans.items() if name in systems}
    found: list[dict[str, Any]] = []
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres())
        redis = None
        if any(plan.needs_redis for plan in plans.values()):
            redis = stack.enter_context(Redis())
        _print({**machine.facts(), "postgres": postgres.facts(), **_redis(redis)})
        for name, plan in plans.items():
            subject = _subject(name, plan, postgres, redis, peers=told.peers)
            _print({"system": name, **subject.info["versions"]})
            jobs = [job.scaled(told.scale) for job in plan.jobs if job.figure in wanted]
            for row in _measure(subject, jobs, told.runs):
                found.append(row)
                _print(row)
            subject.close()
    _tables(found)
    return int(any("error" in row for row in found))


def _subject(
    name: str, plan: Plan, postgres: Postgres, redis: Redis | None, *, peers: bool
) -> Subject:
    environment = dict(plan.environment)
    if plan.is_node:
        command = ["node", f"benchmarks/systems/{name}.mjs"]
        environment["BENCHMARK_NODE"] = str((PEERS / "node").absolute())
    else:
        # one Python and one Django for all
        interpreter = str(PEERS / "venv" / "bin" / "python") if peers else sys.executable
        command = python(f"benchmarks.systems.{name}", interpreter)
    return Subject(name, command, postgres, redis, environment)


def _measure(subject: Subject, jobs: Sequence[Job], runs: int) -> Iterator[dict[str, Any]]:
    for job in jobs:
        subject.text = LONG_TEXT if job.figure == "drain_2kb" else TEXT
        options = dict(EXTRA.get(job.figure, {}))
        if job.jobs:
            options["jobs"] = job.jobs
        measure = MEASURES[job.figure]
        head = {"figure": job.figure, "system": subject.name, "variant": job.variant}
        try:
            rows = [
                measure(subject, job.variant, **options)
                for _ in range(runs if job.figure in REPEATED else 1)
            ]
        except Unmeasurable as wrong:
            yield head | {"error": str(wrong)}
            continue
        yield head | (rows[0] if len(rows) == 1 else figures.median(rows, "per_s"))


def _redis(redis: Redis | None) -> dict[str, Any]:
    return {"redis": redis.facts()} if redis else {}


def _print(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _tables(found: Sequence[dict[str, Any]]) -> None:
    for figure in dict.fromkeys(row["figure"] for row in found):
        rows = [row for row in found if row["figure"] == figure]
        columns = [c for c in dict.fromkeys(key for row in rows for key in row) if c != "figure"]
        lines = [columns, ["---"] * len(columns)]
        lines += [[_shown(row.get(column, "")) for column in columns] for row in rows]
        sys.stdout.write(f"\n{figure}\n\n")
        sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
