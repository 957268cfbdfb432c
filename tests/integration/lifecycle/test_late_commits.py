"""Producers that commit late, out of order or not at all, against claimers with watermarks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from django.db import connection, transaction

from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push

from .actors import run_together, seeded
from .stock import a_push, count, jid_of

pytestmark = pytest.mark.usefixtures("store")

SECONDS = 2.5
DRAIN_SECONDS = 10.0
PRIORITIES = (0, 0, 0, 0, 5, -3)


@dataclass
class LateCommits:
    """Some seconds of pushes and claims; what was committed and what was claimed."""

    sweeps: bool
    committed: set[str] = field(default_factory=set)
    claimed: Counter[str] = field(default_factory=Counter)
    producing: int = 4
    lock: threading.Lock = field(default_factory=threading.Lock)
    pause: threading.Event = field(default_factory=threading.Event)

    def produce(self, seed: int) -> None:
        """Push in transactions that stay open for a while, and roll back some."""
        chance, end_at = seeded(seed), time.monotonic() + SECONDS
        while time.monotonic() < end_at:
            pushes = [
                a_push(priority=chance.choice(PRIORITIES)) for _ in range(chance.choice((1, 2, 5)))
            ]
            with transaction.atomic():
                push(pushes)
                if chance.random() < 0.3:
                    self.pause.wait(chance.random() * 0.05)
                if chance.random() < 0.02:
                    self.pause.wait(0.4)
                keeps = chance.random() > 0.1
                transaction.set_rollback(not keeps)
            if keeps:
                with self.lock:
                    self.committed.update(p.jid for p in pushes)
        with self.lock:
            self.producing -= 1

    def consume(self, seed: int) -> None:
        """Claim and ack until nothing has come for long after the last push."""
        chance, never = seeded(seed), float("inf")
        consumer = Consumer(f"c{seed}", next_sweep=0 if self.sweeps else never)
        acks: list[LeaseAck] = []
        empty_since = time.monotonic()
        patience = DRAIN_SECONDS if self.sweeps else 0.3
        while True:
            turn = consumer.turn(connection, ["default"], chance.choice((1, 3, 10)), acks)
            acks = [LeaseAck(turn.lease, True, [job.id for job in turn.jobs])] if turn.lease else []
            with self.lock:
                self.claimed.update(jid_of(job) for job in turn.jobs)
                done = not self.producing and self.committed <= self.claimed.keys()
            if turn.jobs:
                empty_since = time.monotonic()
                continue
            if not self.producing and (done or time.monotonic() - empty_since > patience):
                return
            self.pause.wait(0.002)

    def run(self) -> None:
        """Let four produce and three consume."""
        run_together(
            *(lambda seed=seed: self.produce(seed) for seed in range(4)),
            *(lambda seed=seed: self.consume(seed) for seed in range(100, 103)),
        )


def test_every_committed_job_is_claimed_exactly_once() -> None:
    fire = LateCommits(sweeps=True)

    fire.run()

    assert len(fire.committed) > 100
    assert set(fire.claimed) == fire.committed
    assert max(fire.claimed.values()) == 1
    assert (count("ready"), count("job")) == (0, 0)


def test_without_sweeps_late_commits_are_lost() -> None:
    fire = LateCommits(sweeps=False)

    fire.run()

    assert fire.committed - set(fire.claimed)
    assert max(fire.claimed.values()) == 1
