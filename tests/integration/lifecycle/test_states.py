"""Random verbs by several consumers against a model: each job is in exactly one place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from faktory_django.lifecycle import fail as fail_module
from faktory_django.lifecycle import mutate, places, queues, reservation, stats
from faktory_django.lifecycle.ack import LeaseAck, Tally
from faktory_django.lifecycle.cancel import cancel, sweep
from faktory_django.lifecycle.due import Promoter
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reap import expire, reap
from faktory_django.lifecycle.reservation import hand_back, release
from faktory_django.lifecycle.retry import Error, Fate, Verdict, judge

from .stock import a_push, empty_tables, jid_of, move_back, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.usefixtures("store")

QUEUES = ("a", "b")
WIDS = ("w1", "w2", "remote")
MAX_CRASHES = 2
WHERE = """
SELECT jid, CASE WHEN r.job_id IS NOT NULL AND l.id IS NOT NULL THEN 'two places'
    WHEN r.job_id IS NOT NULL THEN 'ready' WHEN l.id IS NOT NULL THEN 'leased'
    ELSE 'nowhere' END, crashes::int
FROM faktory_django_job j
LEFT JOIN faktory_django_ready r ON r.job_id = j.id
LEFT JOIN (SELECT id, unnest(ids) AS job_id FROM faktory_django_lease) l ON l.job_id = j.id
UNION ALL SELECT jid, 'scheduled', 0 FROM faktory_django_scheduledjob
UNION ALL SELECT jid, 'retries', 0 FROM faktory_django_retryjob
UNION ALL SELECT jid, 'dead', 0 FROM faktory_django_deadjob
"""
WISHES = "SELECT jid FROM faktory_django_cancel"
# What becomes of a wish, by the place of the job.
CANCELLED = {"leased": "asked", "dead": "not found"}
ORPHANS = """
SELECT count(*)
FROM faktory_django_ready r
WHERE NOT EXISTS (SELECT FROM faktory_django_job j WHERE j.id = r.job_id)
"""


@dataclass
class Expected:
    """A job as it should be; order is its place among those of its rank."""

    jid: str
    queue: str
    priority: int
    retry: int
    place: str
    order: int = 0
    returned: bool = False
    crashes: int = 0
    failures: int = 0
    lease: int = 0
    asked: bool = False


@dataclass
class Held:
    """What a consumer has claimed and believes to hold."""

    wid: str
    job: Claimed
    model: Expected = field(repr=False)


class Life(RuleBasedStateMachine):
    """The verbs, each on the tables and on the model."""

    @initialize()
    def begin(self) -> None:
        """Start from nothing."""
        empty_tables()
        self.jobs: dict[str, Expected] = {}
        self.consumers = {wid: Consumer(wid) for wid in WIDS}
        self.held: list[Held] = []
        self.counted: Counter[str] = Counter()
        self.paused: set[str] = set()
        self.clock = 0
        for wid in WIDS:
            self.push([("a", 0, 1, False), ("b", 3, 0, False), ("a", 0, 2, False)])
            self.claim(wid, 2, ("a", "b"))
            self.take_away(self.held[-1].job.lease, blames=True)
            self.claim(wid, 2, ("a", "b"))
        self.push([("b", 0, -1, False), ("a", -2, 1, True)])

    def now(self) -> int:
        """Return a number higher than all before."""
        self.clock += 1
        return self.clock

    def at(self, place: str) -> list[Expected]:
        """Return the jobs of a place, the first in line first."""
        there = [job for job in self.jobs.values() if job.place == place]
        return sorted(there, key=lambda j: (-2 * j.priority - j.returned, j.order))

    def enter(self, job: Expected, *, returned: bool = False) -> None:
        """Put a job into its queue."""
        job.place, job.order, job.returned, job.lease = "ready", self.now(), returned, 0

    def come_back(self, job: Expected) -> None:
        """Put a job that leaves its holder without an end back, unless it was cancelled."""
        if job.asked:
            self.counted["discarded"] += 1
            self.leave(job, "")
        else:
            self.enter(job, returned=True)

    def leave(self, job: Expected, place: str) -> None:
        """Take a job out of its queue or its lease; "" is the end of it."""
        job.place, job.lease, job.crashes = place, 0, 0
        if not place:
            del self.jobs[job.jid]

    def stands(self, held: Held) -> bool:
        """Tell whether the lease still names the job."""
        job = self.jobs.get(held.model.jid)
        return job is held.model and job.place == "leased" and job.lease == held.job.lease

    def ids(self, table: str, jobs: Sequence[Expected]) -> list[int]:
        """Return the ids of the rows of jobs."""
        statement = f"SELECT id FROM faktory_django_{table} WHERE jid = ANY(%(jids)s)"  # noqa: S608
        return [row[0] for row in sql(statement, jids=[job.jid for job in jobs])]

    @rule(
        rows=st.lists(
            st.tuples(
                st.sampled_from(QUEUES),
                st.sampled_from((0, 0, 3, -2)),
                st.sampled_from((-1, 0, 1, 2)),
                st.booleans(),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def push(self, rows: list[tuple[str, int, int, bool]]) -> None:
        """Push jobs, some of them for later."""
        pushes = []
        for queue, priority, retry, later in rows:
            delay = 3_600 if later else None
            pushed = a_push(queue=queue, priority=priority, retry=retry, delay_seconds=delay)
            job = Expected(pushed.jid, queue, priority, retry, "scheduled")
            self.jobs[job.jid] = job
            if not later:
                self.enter(job)
            pushes.append(pushed)
        push(pushes)
        self.counted["pushed"] += len(pushes)

    @rule(
        wid=st.sampled_from(WIDS),
        wanted=st.integers(1, 6),
        names=st.sampled_from((("a", "b"), ("b", "a"), ("a",))),
    )
    def claim(self, wid: str, wanted: int, names: tuple[str, ...]) -> None:
        """Claim jobs: they come in order."""
        waiting = self.at("ready")
        expected = [
            job for name in names if name not in self.paused for job in waiting if job.queue == name
        ][:wanted]
        consumer = self.consumers[wid]
        consumer.next_sweep = 0

        if wid == "remote":
            turn = consumer.turn_each(connection, names, [wid] * wanted)
        else:
            turn = consumer.turn(connection, names, wanted)

        assert [jid_of(job) for job in turn.jobs] == [job.jid for job in expected]
        for claimed, job in zip(turn.jobs, expected, strict=True):
            assert claimed.crashes == job.crashes
            job.place, job.lease = "leased", claimed.lease
            self.held.append(Held(wid, claimed, job))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ends=st.booleans())
    def ack(self, data: st.DataObject, ends: bool) -> None:
        """Ack part or all of a lease, that may have been lost."""
        lease = data.draw(st.sampled_from(self.held)).job.lease
        of_lease = [held for held in self.held if held.job.lease == lease]
        standing = [held for held in of_lease if self.stands(held)]
        if ends:
            chosen = standing or of_lease
        else:
            chosen = data.draw(st.lists(st.sampled_from(of_lease), min_size=1, unique_by=id))
        # the process forgets what it handed back, so it never acks part of a lease with it
        if not ends and standing:
            chosen = [held for held in chosen if held in standing] or standing
        ack = LeaseAck(lease, ends, [held.job.id for held in chosen])
        for held in chosen:
            ack.tallies.setdefault((held.model.queue, "noop"), Tally()).add(0, 0)

        turn = Consumer("acker").turn(connection, [], 0, [ack])

        assert turn.lost == ([] if standing else [ack])
        if standing:
            self.counted["done"] += len(chosen)
            for held in chosen:
                self.leave(held.model, "")
        self.held = [held for held in self.held if held not in chosen]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(("fail", "kill", "discard", "snooze")))
    def fail(self, data: st.DataObject, how: str) -> None:
        """Let a job fail, that may have been lost."""
        held = data.draw(st.sampled_from(self.held))
        job = held.model
        error = Error.cut("E", "no")
        if how == "snooze":
            verdict, place = Verdict(Fate.SNOOZE, delay_seconds=3_600), "scheduled"
        elif how == "discard":
            verdict, place = Verdict(Fate.GONE), ""
        else:
            verdict = judge(job.retry, held.job.failure, error, kill=how == "kill")
            place = self.place_after_failure(job, kill=how == "kill")
        failing = Failing(held.job.id, held.job.lease, verdict, counts=how in ("fail", "kill"))

        moved = fail(connection, [failing])

        assert len(moved) == self.stands(held)
        if moved:
            counter = {"snooze": "snoozed", "discard": "discarded"}.get(how, "failed")
            if job.asked:
                place, counter = "", "failed" if failing.counts else "discarded"
            self.counted[counter] += 1
            job.failures += how in ("fail", "kill")
            self.leave(job, place)
        self.held.remove(held)

    def place_after_failure(self, job: Expected, *, kill: bool) -> str:
        """Say where a job goes that failed once more."""
        if kill:
            return "dead"
        if job.retry == 0:
            return ""
        return "retries" if job.failures < job.retry else "dead"

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        """Hand back jobs of a lease, some of them perhaps lost or handed back before."""
        lease = data.draw(st.sampled_from(self.held)).job.lease
        of_lease = [held for held in self.held if held.job.lease == lease]
        chosen = data.draw(st.lists(st.sampled_from(of_lease), min_size=1, unique_by=id))

        returned = hand_back(connection, lease, [held.job.id for held in chosen])

        back = [held for held in chosen if self.stands(held)]
        assert returned == len([held for held in back if not held.model.asked])
        for held in sorted(back, key=lambda h: h.job.id):
            self.come_back(held.model)
        self.held = [held for held in self.held if held not in chosen]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), blames=st.booleans())
    def reap(self, data: st.DataObject, blames: bool) -> None:
        """Take a lease from its holder, who does not know."""
        self.take_away(data.draw(st.sampled_from(self.held)).job.lease, blames=blames)

    def take_away(self, lease: int, *, blames: bool) -> None:
        """Take a lease from its holder."""
        jobs = {h.job.id: h.model for h in self.held if h.job.lease == lease and self.stands(h)}
        blamed: list[int] | None = None if blames else []

        reaped = reap(connection, [lease], max_crashes=MAX_CRASHES, blamed=blamed)

        assert reaped == len(jobs)
        self.counted["reaped"] += len(jobs)
        crashed_before = any(job.crashes for job in jobs.values())
        for _, job in sorted(jobs.items()):
            if job.asked:
                self.come_back(job)
                continue
            guilty = blames and (job.crashes > 0 or not crashed_before)
            if guilty and job.crashes + 1 >= MAX_CRASHES:
                job.failures = 1
                self.leave(job, "dead")
                continue
            job.crashes += guilty
            self.come_back(job)

    @rule(wid=st.sampled_from(WIDS))
    def release(self, wid: str) -> None:
        """End a process, which gives back all that it holds."""
        mine = [held for held in self.held if held.wid == wid and self.stands(held)]
        back = [held for held in mine if wid != "remote"]

        assert release(connection, wid) == len([held for held in back if not held.model.asked])

        for held in sorted(back, key=lambda h: h.job.id):
            self.come_back(held.model)

    @rule()
    def expire(self) -> None:
        """Let all reservations of the wire run out."""
        gone = [held for held in self.held if held.wid == "remote" and self.stands(held)]
        sql(
            "UPDATE faktory_django_lease SET expires_at = now() - interval '1 s'"
            " WHERE expires_at IS NOT NULL"
        )

        assert expire(connection) == len(gone)

        self.counted["failed"] += len(gone)
        for held in gone:
            asked = held.model.asked
            place = "" if asked else self.place_after_failure(held.model, kill=False)
            held.model.failures += 1
            self.leave(held.model, place)

    @rule(where=st.sampled_from(("scheduled", "retries")))
    def promote(self, where: str) -> None:
        """Let time pass until all of a set is due."""
        table = {"scheduled": "scheduledjob", "retries": "retryjob"}[where]
        move_back(table, "due_at", 10**7)
        order = sql(f"SELECT jid FROM faktory_django_{table} ORDER BY due_at, id")  # noqa: S608
        promoter = Promoter()
        verb = promoter.promote_scheduled if where == "scheduled" else promoter.promote_retries

        assert verb(connection, 100) == len(self.at(where))

        for (jid,) in order:
            self.enter(self.jobs[jid])

    @rule(
        data=st.data(),
        where=st.sampled_from(("scheduled", "retries", "dead")),
        act=st.sampled_from(("requeue", "kill", "discard")),
    )
    def act_on_a_set(self, data: st.DataObject, where: str, act: str) -> None:
        """Let a person act on entries of a set."""
        if not (there := self.at(where)):
            return
        chosen = data.draw(st.lists(st.sampled_from(there), min_size=1, unique_by=id))
        table = places.SETS[where].removeprefix("faktory_django_")
        ids = self.ids(table, chosen)
        verb: Callable[..., int] = getattr(mutate, act)

        assert verb(where, ids) == len(chosen)

        order = {jid: i for i, jid in enumerate(job.jid for job in chosen)}
        if act == "requeue":
            rows = sql(
                "SELECT jid FROM faktory_django_job WHERE jid = ANY(%(jids)s) ORDER BY id",
                jids=list(order),
            )
            for (jid,) in rows:
                self.enter(self.jobs[jid])
        else:
            self.counted["discarded"] += len(chosen) * (act == "discard")
            for job in chosen:
                self.leave(job, "dead" if act == "kill" else "")

    @precondition(lambda self: self.at("ready") or self.at("leased"))
    @rule(data=st.data(), act=st.sampled_from(("kill", "discard")))
    def act_on_jobs(self, data: st.DataObject, act: str) -> None:
        """Let a person act on jobs that wait; on those in work it changes nothing."""
        there = self.at("ready") + self.at("leased")
        chosen = data.draw(st.lists(st.sampled_from(there), min_size=1, unique_by=id))
        waiting = [job for job in chosen if job.place == "ready"]
        verb: Callable[..., int] = getattr(mutate, act)

        assert verb("waiting", self.ids("job", chosen)) == len(waiting)

        self.counted["discarded"] += len(waiting) * (act == "discard")
        for job in waiting:
            self.leave(job, "dead" if act == "kill" else "")

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel jobs wherever they are; what is held stays, and is not to come back."""
        chosen = data.draw(
            st.lists(st.sampled_from(list(self.jobs)), min_size=1, max_size=4, unique=True)
        )
        expected = {jid: CANCELLED.get(self.jobs[jid].place, "cancelled") for jid in chosen}

        assert cancel(chosen) == expected

        for jid, became in expected.items():
            self.jobs[jid].asked = became == "asked"
            if became == "cancelled":
                self.counted["discarded"] += 1
                self.leave(self.jobs[jid], "")

    @rule()
    def sweep(self) -> None:
        """Look at the wishes that stand: all was done that they ask for."""
        assert sweep(connection) == 0

        standing = [job.jid for job in self.jobs.values() if job.asked]
        assert sorted(jid for (jid,) in sql(WISHES)) == sorted(standing)

    @rule(name=st.sampled_from(QUEUES), paused=st.booleans())
    def pause(self, name: str, paused: bool) -> None:
        """Pause or resume a queue."""
        (queues.pause if paused else queues.resume)(name)
        (self.paused.add if paused else self.paused.discard)(name)

    @rule(name=st.sampled_from(QUEUES))
    def clear(self, name: str) -> None:
        """Clear a queue."""
        waiting = [job for job in self.at("ready") if job.queue == name]

        assert queues.clear(name, limit=2) == len(waiting)

        self.counted["discarded"] += len(waiting)
        for job in waiting:
            self.leave(job, "")

    @rule()
    def fold(self) -> None:
        """Do maintenance."""
        stats.fold(connection, limit=3)
        stats.merge_levels(connection)

    @invariant()
    def each_job_is_in_exactly_one_place(self) -> None:
        """Compare the tables with the model."""
        found: list[tuple[Any, ...]] = sorted(sql(WHERE))
        expected = sorted((job.jid, job.place, job.crashes) for job in self.jobs.values())
        assert found == expected
        assert sql(ORPHANS) == [(0,)]

    @invariant()
    def counters_say_what_happened(self) -> None:
        """Compare the counters with the model."""
        names = ("pushed", "done", "failed", "discarded", "reaped")
        assert stats.totals() == {name: self.counted[name] for name in names}


def live(examples: int, *phases: Phase) -> None:
    """Run the machine."""
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            phases=phases,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_verbs_keep_every_job_in_exactly_one_place() -> None:
    live(25, Phase.explicit, Phase.generate, Phase.shrink)


MUTANTS = {
    "handed back, but still in its lease": (reservation, "HAND_BACK", "i <> ALL", "0 <> ALL"),
    "failed, but not counted": (fail_module, "FAIL", "WHERE fate <> 'snooze'", "WHERE false"),
}


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_the_model_notices_a_verb_that_is_broken(
    mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name, whole, broken = MUTANTS[mutant]
    statement: str = getattr(module, name)
    assert whole in statement
    monkeypatch.setattr(module, name, statement.replace(whole, broken))

    with pytest.raises(AssertionError):
        live(200, Phase.generate)
