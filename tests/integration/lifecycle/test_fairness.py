"""Jobs that have a key take turns, key by key: order, weights, newcomers, and every way back."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, transaction

from faktory_django.features import fairness as rules
from faktory_django.lifecycle import mutate, places, queues
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.fetch import Claimed, Consumer, Trail
from faktory_django.lifecycle.lanes import FAIR_RANK
from faktory_django.lifecycle.push import Push, push
from faktory_django.lifecycle.reap import reap
from faktory_django.lifecycle.reservation import hand_back
from faktory_django.lifecycle.run_next import run_next
from faktory_django.lifecycle.turn import TURN_FUNCTION

from .actors import run_together, seeded
from .stock import (
    a_push,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    failing,
    jid_of,
    move_back,
    push_many,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

NEVER = float("inf")


def of(key: str, *, weight: float = 1, **options: Any) -> Push:
    """Return a job of a key, whose jid begins with it."""
    traits = rules.traits({"fairness_key": key, "fairness_weight": weight})
    return a_push(f"{key}-{next(_numbers):06}", traits=json.dumps(traits), **options)


def push_of(key: str, jobs: int = 1, **options: Any) -> list[str]:
    """Push jobs of a key in one statement; return their jids."""
    pushes = [of(key, **options) for _ in range(jobs)]
    push(pushes)
    return [p.jid for p in pushes]


def served(jobs: int, *names: str) -> str:
    """Claim jobs with a consumer that has seen nothing; return the first letters of their keys."""
    return "".join(jid[0] for jid in claimed_jids(jobs, *names))


_numbers = itertools.count()


# order


def test_the_jobs_of_keys_take_turns_whoever_came_first() -> None:
    push_of("a", 4)
    push_of("b", 2)
    push_of("c", 3)

    assert served(20) == "abcabcaca"


def test_the_jobs_of_one_key_are_served_in_their_order() -> None:
    pushed = push_of("a", 3)
    pushed += push_of("a", 300)
    push_of("b", 3)
    pushed += push_of("a", 3)

    assert [jid for jid in claimed_jids(1_000) if jid[0] == "a"] == pushed


def test_a_newcomer_waits_for_one_job_of_each_other_key() -> None:
    push_of("a", 1_000)
    push_of("b", 1_000)
    assert served(100) == "ab" * 50

    push_of("c", 2)

    assert served(8) == "abcabcab"


def test_a_flood_of_one_key_leaves_the_place_of_another_as_it_was() -> None:
    """The next hundred jobs of a key, with and without 20,000 of another before them."""
    quiet = push_of("b", 100)
    assert claimed_jids(100) == quiet
    consumer = Consumer("w")
    for _ in range(20):
        push_of("a", 1_000)
    drained = [jid_of(job) for _ in range(5) for job in consumer.turn(connection, LANE, 100).jobs]
    assert len(drained) == 500

    pushed = push_of("b", 100)

    order = [jid_of(job) for job in consumer.turn(connection, LANE, 500).jobs]
    places = [order.index(jid) for jid in pushed]
    assert places == [2 * n + places[0] for n in range(100)]
    assert places[0] <= 1


LANE = ["default"]


@pytest.mark.parametrize(("weight", "share"), [(3, 300), (1, 100), (0.5, 50), (4.5, 450)])
def test_a_heavier_key_is_served_so_much_more_often(weight: float, share: int) -> None:
    push_of("a", 500)
    push_of("b", 500, weight=weight)

    order = served(100 + share)

    assert abs(order.count("b") - share) <= 2


def test_a_weight_holds_for_the_jobs_that_are_pushed_with_it() -> None:
    push_of("a", 60)
    push_of("b", 10)
    push_of("b", 30, weight=2)

    assert served(20).count("b") == 10
    assert served(30).count("b") == 20


def test_keys_of_different_queues_are_strangers() -> None:
    push_of("a", 100)
    push_of("a", 2, queue="other")
    push_of("b", 2, queue="other")

    assert served(10, "other") == "abab"


def test_who_comes_again_when_served_does_not_get_ahead() -> None:
    """A key whose only job is pushed when the one before has been claimed: every second turn."""
    push_of("a", 100)
    consumer, order = Consumer("w"), ""
    push_of("b")
    for _ in range(20):
        [job] = consumer.turn(connection, LANE, 1).jobs
        order += jid_of(job)[0]
        if order[-1] == "b":
            push_of("b")

    assert order.count("b") == 10
    assert "bb" not in order


def test_what_was_pushed_while_others_were_claimed_is_found_without_a_sweep(
    actor: Callable[[], Actor],
) -> None:
    other, times = actor(), itertools.count(0.0, 0.01)
    consumer = Consumer("w", clock=lambda: 0.0, next_sweep=NEVER)
    push_of("a", 100)
    assert len(consumer.turn(connection, LANE, 1).jobs) == 1
    other.begin()
    other.do(push_of, "b", 2)
    consumer.clock = lambda: next(times)
    assert len(consumer.turn(connection, LANE, 10).jobs) == 10
    other.commit()

    found = consumer.turn(connection, LANE, 3).jobs

    assert [jid_of(job)[0] for job in found] == ["b", "b", "a"]


def test_a_trail_is_between_one_and_two_lags_old_and_goes_back_with_a_sweep() -> None:
    trail = Trail(0.0, 5, 5)

    steps = [(0.05, 10), (0.11, 20), (0.15, 30), (0.22, 40), (0.23, 15), (0.35, 60)]
    olders = []
    for now, pos in steps:
        trail = trail.after(now, pos)
        olders.append(trail.older)

    assert olders == [5, 5, 5, 20, 15, 15]


def test_an_empty_lane_begins_where_the_ids_are() -> None:
    push_of("a", 3)
    claim(10)
    push_of("a")

    [place] = column("ready", "pos", "pos")
    [job] = column("ready", "job_id", "pos")
    assert place >> rules.TIE_BITS == (job + 1) * rules.ROUND - 1


def test_places_at_the_end_of_the_numbers_of_a_lane_still_work() -> None:
    sql(f"SELECT setval('faktory_django_job_id_seq', {2**62})")

    push_of("a", 3)
    push_of("b", 1)

    assert served(10) == "abaa"
    sql("SELECT setval('faktory_django_job_id_seq', 1000000)")


def test_a_place_that_is_taken_is_passed_over() -> None:
    """Two keys at the same moment, with ids whose last bits are the same."""
    push_of("a", 2, weight=0.5)
    push_of("b")
    [number] = column("ready", "job_id", "pos")[1:2]
    sql(f"SELECT setval('faktory_django_job_id_seq', {number + 2**rules.TIE_BITS}, false)")
    push_of("c")

    places = column("ready", "pos", "pos")

    assert len(set(places)) == 4
    assert places[2] - places[1] == 2**rules.TIE_BITS
    assert served(10) == "abca"


# a lane beside the plain jobs


def test_plain_jobs_and_fair_ones_of_a_queue_take_turns_claim_by_claim() -> None:
    push_of("a", 200)
    push_many(200)
    consumer = Consumer("w")

    order = [jid_of(job)[0] for _ in range(100) for job in consumer.turn(connection, LANE, 1).jobs]

    assert 20 < order.count("a") < 80


def test_the_claim_knows_the_rank_of_the_lane() -> None:
    assert f"CASE v.rank WHEN {FAIR_RANK} THEN fair_level" in TURN_FUNCTION


def test_a_claim_that_one_lane_does_not_fill_goes_on_in_the_other() -> None:
    push_of("a", 3)
    push_many(3)

    assert len(claim(6)) == 6


def test_priorities_come_before_and_after_turns() -> None:
    push_many(1, priority=-1)
    push_of("a", 1)
    push_many(1, priority=1)
    ranks = [job.rank for job in claim(10)]

    assert ranks == [2, FAIR_RANK, -2]


def test_a_job_with_a_priority_is_not_subject_to_turns() -> None:
    push([of("a", priority=5), of("b", priority=5), of("a", priority=5)])

    assert served(10) == "aba"
    assert column("level", "rank", "rank") == [10]


# every way into a queue, and out of it


def test_jobs_whose_time_has_come_take_turns() -> None:
    push_of("a", 4, delay_seconds=60)
    push_of("b", 2, delay_seconds=60)
    move_back("scheduledjob", "due_at", 120)

    assert Promoter().promote_scheduled(connection, 100) == 6

    assert served(10) == "ababaa"


def test_retries_take_turns() -> None:
    push_of("a", 4)
    push_of("b", 2)
    fail(connection, [failing(job) for job in claim(10)])
    move_back("retryjob", "due_at", 10**6)

    assert Promoter().promote_retries(connection, 100) == 6

    assert sorted(served(4)) == ["a", "a", "b", "b"]
    assert served(10) == "aa"


@pytest.mark.parametrize("target", ["scheduled", "retries", "dead"])
def test_what_a_person_puts_back_takes_turns(target: str) -> None:
    if target == "scheduled":
        push_of("a", 4, delay_seconds=60)
        push_of("b", 1, delay_seconds=60)
    else:
        push_of("a", 4)
        push_of("b", 1)
        fail(connection, [failing(job, kill=target == "dead") for job in claim(10)])
    table = places.SETS[target].removeprefix("faktory_django_")

    assert mutate.requeue(target, column(table, "id")) == 5

    assert "b" in served(2)
    assert served(10) == "aaa"


def test_what_comes_back_is_next() -> None:
    push_of("a", 4)
    push_of("b", 2)
    jobs = claim(2)
    hand_back(connection, jobs[0].lease, [job.id for job in jobs])

    assert served(10) == "ababaa"
    assert count("ready") == 0


def test_what_a_dead_process_held_is_next() -> None:
    push_of("a", 4)
    push_of("b", 2)
    reap(connection, [claim(2)[0].lease], max_crashes=3)

    assert served(10) == "ababaa"


def test_a_person_puts_a_job_that_waits_for_its_turn_in_front() -> None:
    push_of("a", 4)
    [jid] = push_of("b")
    ids = column("job", "id")

    assert run_next("waiting", [ids[3], ids[4]]) == 2
    assert run_next("waiting", [ids[3], ids[4]]) == 0

    assert served(10) == "abaaa"
    assert count("ready") == 0
    assert jid


@pytest.mark.parametrize(("act", "dead"), [(mutate.kill, 2), (mutate.discard, 0)])
def test_a_person_takes_jobs_that_wait_for_their_turn(
    act: Callable[[str, Iterable[int]], int], dead: int
) -> None:
    push_of("a", 4)
    ids = column("job", "id")

    assert act("waiting", ids[1:3]) == 2
    assert act("waiting", ids[1:3]) == 0

    assert counts("ready", "job", "deadjob") == (2, 2, dead)
    assert len(claim(10)) == 2


def test_a_queue_is_cleared_of_them() -> None:
    push_of("a", 4)

    assert queues.clear("default") == 4

    assert counts("ready", "job") == (0, 0)


def test_the_oldest_job_that_waits_says_how_late_a_queue_is() -> None:
    push_of("a", 10)
    sql("UPDATE faktory_django_job SET enqueued_at = now() - interval '1 hour'")
    claim(3)
    push_of("b")

    assert 3_600 <= queues.latencies(["default"])["default"] < 3_700


def test_pushes_that_overlap_hold_nobody_up(actor: Callable[[], Actor]) -> None:
    one, two = actor(), actor()
    one.begin()
    one.do(push_of, "a", 3)
    two.begin()
    two.do(push_of, "a", 3)
    two.do(push_of, "b", 1)
    two.commit()
    one.commit()

    order = served(10)
    assert sorted(order) == ["a"] * 6 + ["b"]
    assert "b" in order[:5]


def test_a_push_that_is_rolled_back_leaves_nothing() -> None:
    with transaction.atomic():
        push_of("a", 3)
        transaction.set_rollback(True)

    push_of("a", 1)
    assert served(10) == "a"


# against a model


@dataclass
class Model:
    """Virtual time as the page of the decision tells it, in Python."""

    waiting: list[tuple[int, int, str]] = field(default_factory=list)

    def push(self, jobs: list[tuple[int, str, int]]) -> None:
        """Take jobs: id, key, stride."""
        now = min(self.waiting)[0] if self.waiting else jobs[0][0] * rules.ROUND
        last: dict[str, int] = {}
        for at, _, key in self.waiting:
            last[key] = max(last.get(key, now), at)
        for number, key, stride in jobs:
            last[key] = last.get(key, now - 1) + stride
            self.waiting.append((last[key], number % 2**rules.TIE_BITS, key))

    def serve(self, jobs: int) -> list[str]:
        """Give away the first; return their keys."""
        self.waiting.sort()
        found, self.waiting = self.waiting[:jobs], self.waiting[jobs:]
        return [key for _, _, key in found]


WEIGHTS = {"a": 1.0, "b": 1.0, "c": 3.0, "d": 0.5, "e": 7.0}


@pytest.mark.parametrize("seed", range(6))
def test_jobs_are_served_in_the_order_of_the_model(seed: int) -> None:
    chance, model = seeded(seed), Model()
    consumer = Consumer("w")
    for _ in range(60):
        if chance.random() < 0.6:
            keys = chance.choices("abcde", k=chance.choice((1, 1, 2, 5, 40)))
            if chance.random() < 0.3:
                keys = keys[:1] * len(keys)
            push([of(key, weight=WEIGHTS[key]) for key in keys])
            ids = column("job", "id")[-len(keys) :]
            strides = [rules.stride(WEIGHTS[key]) for key in keys]
            model.push(list(zip(ids, keys, strides, strict=True)))
        else:
            wanted = chance.choice((1, 3, 20))
            jobs = consumer.turn(connection, LANE, wanted).jobs
            assert [jid_of(job)[0] for job in jobs] == model.serve(wanted)
    rest = consumer.turn(connection, LANE, 5_000).jobs
    assert [jid_of(job)[0] for job in rest] == model.serve(5_000)
    assert not model.waiting


# by chance


SECONDS = 2.5
DRAIN_SECONDS = 10.0


@dataclass
class Fire:
    """Pushes that commit late or never, claims, returns and deaths; what became of the jobs."""

    committed: set[str] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    producing: int = 4
    consuming: int = 3
    lock: threading.Lock = field(default_factory=threading.Lock)
    pause: threading.Event = field(default_factory=threading.Event)

    def produce(self, seed: int) -> None:
        """Push jobs of some keys, plain jobs and jobs with priorities."""
        chance, end_at = seeded(seed), time.monotonic() + SECONDS
        while time.monotonic() < end_at:
            pushes = [self._job(chance) for _ in range(chance.choice((1, 2, 20)))]
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

    def _job(self, chance: Any) -> Push:
        priority = chance.choice((0, 0, 0, 0, 0, 5))
        if chance.random() < 0.2:
            return a_push(priority=priority)
        key = chance.choice("aaaaabcd")
        later = 0.2 if chance.random() < 0.05 else None
        return of(key, weight=WEIGHTS[key], priority=priority, delay_seconds=later)

    def consume(self, seed: int) -> None:
        """Claim; end most jobs, hand some back, let some be reaped or fail."""
        chance, consumer = seeded(seed), Consumer(f"c{seed}")
        since = time.monotonic()
        while self._goes_on(since):
            turn = consumer.turn(connection, LANE, chance.choice((1, 3, 10)))
            if turn.lease is not None:
                self._finish(chance, turn.lease, turn.jobs)
            if turn.jobs:
                since = time.monotonic()
            else:
                self.pause.wait(0.002)
        with self.lock:
            self.consuming -= 1

    def _goes_on(self, since: float) -> bool:
        with self.lock:
            done = self.committed <= self.ended.keys()
        return bool(self.producing) or not (done or time.monotonic() - since > DRAIN_SECONDS)

    def _finish(self, chance: Any, lease: int, jobs: list[Claimed]) -> None:
        luck = chance.random()
        if luck < 0.1:
            reap(connection, [lease], max_crashes=100)
        elif luck < 0.2:
            hand_back(connection, lease, [job.id for job in jobs])
        elif luck < 0.3 and jobs:
            fail(connection, [failing(job, retry=1_000) for job in jobs])
        else:
            ack = LeaseAck(lease, True, [job.id for job in jobs])
            lost = Consumer("w").turn(connection, [], 0, [ack]).lost
            with self.lock:
                self.ended.update(jid_of(job) for job in jobs if not lost)

    def act(self, seed: int) -> None:
        """Do what people and upkeep do, at random jobs."""
        chance, promoter = seeded(seed), Promoter()
        while self.consuming:
            ids = column("job", "id")
            if ids:
                run_next("waiting", chance.sample(ids, min(3, len(ids))))
            sql("UPDATE faktory_django_retryjob SET due_at = now() WHERE due_at > now()")
            promoter.promote_retries(connection, 50)
            promoter.promote_scheduled(connection, 50)
            if chance.random() < 0.3:
                mutate.requeue("retries", column("retryjob", "id")[:5])
            self.pause.wait(0.01)

    def run(self) -> None:
        """Let four produce, three consume and one act."""
        run_together(
            *(lambda seed=seed: self.produce(seed) for seed in range(4)),
            *(lambda seed=seed: self.consume(seed) for seed in range(100, 103)),
            lambda: self.act(200),
        )


def test_no_job_is_lost_or_ended_twice() -> None:
    fire = Fire()

    fire.run()

    assert len(fire.committed) > 100
    assert set(fire.ended) == fire.committed
    assert max(fire.ended.values()) == 1
    assert counts("ready", "job", "retryjob", "scheduledjob") == (0, 0, 0, 0)
