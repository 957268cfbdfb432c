"""Workers that are killed, reaped while they live, late and at odds: each job ends once.

What ended is written to a ledger in the transaction that ended it, so the verdict does not hang
on replies. Mutants of the fence show that the test would notice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.install import install
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back
from faktory_django.lifecycle.retry import Error, Fate, Verdict, judge
from faktory_django.lifecycle.turn import TURN_FUNCTION

from .actors import run_together, seeded
from .stock import a_push, ack_of, claim, column, counts, jid_of, push_many, sql

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from faktory_django.lifecycle.fetch import Claimed

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

SECONDS = 5.0
MUTANT_SECONDS = 20.0
DRAIN_SECONDS = 20.0
WORKERS = 4

FENCE = """
            AND EXISTS (
                SELECT FROM faktory_django_lease l WHERE l.id = leases[i] FOR KEY SHARE
            )"""
MUTANTS = {
    "no lease asked for": (FENCE, ""),
    "lease not locked": (FENCE, FENCE.replace(" FOR KEY SHARE", "")),
}


@pytest.fixture
def ledger(store: None) -> Iterator[None]:  # noqa: ARG001
    """A table of what has ended."""
    sql("CREATE TABLE chaos_ledger (jid text)")
    yield
    sql("DROP TABLE chaos_ledger")


@pytest.fixture(params=sorted(MUTANTS))
def mutant(request: pytest.FixtureRequest, store: None) -> Iterator[str]:  # noqa: ARG001
    """A partial ack whose fence is broken, put into the database for the time of a test."""
    fence, broken = MUTANTS[request.param]
    assert TURN_FUNCTION.count(fence) == 1
    execute(connection, TURN_FUNCTION.replace(fence, broken))
    yield request.param
    install(connection)


@dataclass
class Chaos:
    """Some seconds of it, and what went wrong."""

    seconds: float
    until_violation: bool = False
    seed: int = field(default_factory=lambda: seeded(None).randrange(10**6))
    committed: set[str] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    wids: dict[int, str] = field(default_factory=dict)
    pids: dict[int, int] = field(default_factory=dict)
    drained: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    pause: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Let it happen, then drain."""
        self.end_at = time.monotonic() + self.seconds
        run_together(
            *(partial(self.produce, seeded(self.seed + n)) for n in range(3)),
            *(partial(self.work, n, seeded(self.seed + 100 + n)) for n in range(WORKERS)),
            partial(self.keep, seeded(self.seed + 1_000)),
        )

    @property
    def raging(self) -> bool:
        seen = self.until_violation and bool(self.violations)
        return time.monotonic() < self.end_at and not seen

    def produce(self, chance: random.Random) -> None:
        while self.raging:
            pushes = [a_push(priority=chance.choice((0, 0, 5, -3))) for _ in range(7)]
            with transaction.atomic():
                push(pushes)
                self.pause.wait(chance.random() * 0.03)
                keeps = chance.random() > 0.1
                transaction.set_rollback(not keeps)
            if keeps:
                with self.lock:
                    self.committed.update(p.jid for p in pushes)

    def work(self, number: int, chance: random.Random) -> None:
        while not self.drained:
            self.wids[number] = f"{number}-{chance.random()}"
            try:
                self.pids[number] = sql("SELECT pg_backend_pid()")[0][0]
                self.claim_and_end(Consumer(self.wids[number]), chance)
            except (OperationalError, InterfaceError):
                self.events["killed"] += 1
                connection.close()

    def claim_and_end(self, consumer: Consumer, chance: random.Random) -> None:
        while not self.drained:
            turn = consumer.turn(connection, ["default"], chance.choice((1, 5, 20)))
            if turn.lease is None:
                self.pause.wait(0.003)
                continue
            for (named,) in sql(
                "SELECT cardinality(ids) FROM faktory_django_lease WHERE id = %(l)s", l=turn.lease
            ):
                self.violations += ["a ready entry had no job"] * (named - len(turn.jobs))
            if chance.random() < 0.1:
                self.pause.wait(0.05)
            self.end_batch(turn.lease, turn.jobs, chance)

    def end_batch(self, lease: int, jobs: list[Claimed], chance: random.Random) -> None:
        if chance.random() < 0.3:
            self.ack(lease, jobs, ends=True)
            return
        chance.shuffle(jobs)
        if len(jobs) > 1 and chance.random() < 0.3:
            half = len(jobs) // 2
            hand_back(connection, lease, [job.id for job in jobs[half:]])
            self.events["handed back"] += 1
            jobs = jobs[:half]
        while jobs:
            part, jobs = jobs[:3], jobs[3:]
            if chance.random() < 0.2:
                self.fail(part, chance)
            else:
                self.ack(lease, part, ends=False)
        sql("DELETE FROM faktory_django_lease WHERE id = %(lease)s", lease=lease)

    def ack(self, lease: int, jobs: Sequence[Claimed], *, ends: bool) -> None:
        consumer, ack = Consumer("acker"), LeaseAck(lease, ends, [job.id for job in jobs])
        with transaction.atomic():
            lost = consumer.turn(connection, [], 0, [ack]).lost
            if not lost:
                self.note(jobs)
        if lost:
            self.events["acks refused"] += 1
            standing = sql("SELECT FROM faktory_django_lease WHERE id = %(lease)s", lease=lease)
            self.violations += ["a job was gone though its lease stood"] * len(standing)

    def fail(self, jobs: Sequence[Claimed], chance: random.Random) -> None:
        gone = chance.random() < 0.5
        error = Error.cut("E", "m")
        verdict = Verdict(Fate.GONE) if gone else judge(99, None, error, delay=lambda _: 0)
        with transaction.atomic():
            moved = {
                m.id
                for m in fail(connection, [Failing(job.id, job.lease, verdict) for job in jobs])
            }
            if gone:
                self.note([job for job in jobs if job.id in moved])
        self.events["failed"] += len(moved)

    def note(self, jobs: Sequence[Claimed]) -> None:
        sql(
            "INSERT INTO chaos_ledger SELECT unnest(%(jids)s::text[])",
            jids=[jid_of(job) for job in jobs],
        )

    def keep(self, chance: random.Random) -> None:
        """Kill connections, reap the leases of the dead and of some of the living, promote."""
        promoter, patience = Promoter(), self.end_at + DRAIN_SECONDS
        while not self.drained:
            self.pause.wait(0.01)
            raging = self.raging
            if raging and chance.random() < 0.1 and self.pids:
                pid = chance.choice(list(self.pids.values()))
                sql("SELECT pg_terminate_backend(%(pid)s::int)", pid=pid)
            promoter.promote_retries(connection, 100)
            leases = sql("SELECT id, wid FROM faktory_django_lease")
            lapsed = [i for i, wid in leases if wid not in self.wids.values()]
            if raging and leases and chance.random() < 0.6:
                lapsed.append(chance.choice(leases)[0])
            with transaction.atomic():
                reaped = reap(connection, sorted(set(lapsed)), max_crashes=32_000)
                self.pause.wait(chance.random() * 0.01)
            self.events["reaped"] += reaped
            if not raging and (
                counts("job", "retryjob", "ready") == (0, 0, 0) or time.monotonic() > patience
            ):
                self.drained = True


@pytest.mark.usefixtures("ledger")
def test_every_committed_job_ends_exactly_once() -> None:
    chaos = Chaos(SECONDS)

    chaos.run()

    ended = Counter(row[0] for row in sql("SELECT jid FROM chaos_ledger"))
    assert chaos.violations == [], chaos.seed
    assert set(ended) == chaos.committed, chaos.seed
    assert max(ended.values()) == 1, chaos.seed
    assert counts("job", "ready", "retryjob") == (0, 0, 0), chaos.seed
    assert all(chaos.events[e] for e in ("killed", "reaped", "handed back", "acks refused")), (
        chaos.events
    )


@pytest.mark.usefixtures("ledger", "mutant")
def test_a_broken_fence_is_noticed() -> None:
    chaos = Chaos(MUTANT_SECONDS, until_violation=True)

    chaos.run()

    assert chaos.violations, chaos.events


@pytest.mark.usefixtures("mutant")
def test_a_broken_fence_lets_the_old_holder_end_a_job_that_was_given_back(
    actor: Callable[[], Actor],
) -> None:
    push_many(2)
    jobs, reaper, late = claim(), actor(), actor()
    reaper.begin()
    reaper.do(lambda: reap(connection, [jobs[0].lease], max_crashes=3))

    acking = late.start_blocked(
        lambda: Consumer("w").turn(connection, [], 0, [ack_of(jobs[0])]).lost
    )
    reaper.commit()

    assert acking.result(10) == []
    assert counts("job", "ready") == (1, 2)


def test_ackers_of_overlapping_lists_do_not_deadlock() -> None:
    push_many(600)
    (lease,) = {job.lease for job in claim(600)}
    ids = column("job", "id")
    barrier = threading.Barrier(2)

    def acker(seed: int) -> None:
        chance, consumer = seeded(seed), Consumer(f"w{seed}")
        for start in range(0, 600, 20):
            mine = ids[start : start + 20]
            chance.shuffle(mine)
            barrier.wait(20)
            consumer.turn(connection, [], 0, [LeaseAck(lease, False, mine)])

    run_together(partial(acker, 1), partial(acker, 2))

    assert counts("job") == (0,)
