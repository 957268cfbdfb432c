"""Plans of the hot statements, on tables whose dead rows a long transaction keeps.

The tables were empty when they were analysed, which is what the planner goes by.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection, transaction

from faktory_django.lifecycle import (
    fairness,
    limits,
    mutate,
    queues,
    throttles,
)
from faktory_django.lifecycle.ack import LeaseAck, ack_last
from faktory_django.lifecycle.by_jid import Holding, ack_jids
from faktory_django.lifecycle.connection import execute
from faktory_django.lifecycle.dead import PURGE, purge
from faktory_django.lifecycle.due import BEGINNING, Promoter, Watermark
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.fetch import Consumer
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.reap import due, expire, reap
from faktory_django.lifecycle.reservation import hand_back
from faktory_django.lifecycle.retry import Error, judge

from .dsn import database_url
from .stock import TABLES, a_push

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEAD = 300_000
LIVE = 2_000
# Some pages for each of a few rows and their index entries; the dead ones fill thousands.
FEW = 400
NEVER = float("inf")

FILL = (
    """
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
    SELECT 'default', CASE mod(n, 10) WHEN 0 THEN 10 ELSE 0 END, n, n
    FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
    """
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id, fair_key)
    SELECT 'turns', -201, n::bigint << 18, n, 'key-' || mod(n, 7)
    FROM generate_series(%(first)s::int, %(last)s::int) n
    """,
    """
    INSERT INTO faktory_django_job
        (id, queue, priority, jid, jobtype, enqueued_at, reserve_for, body)
    SELECT n, 'default', CASE mod(n, 10) WHEN 0 THEN 5 ELSE 0 END, 'j' || n, 't', now(), 60, '{}'
    FROM generate_series(%(first)s::int, %(last)s::int, %(step)s) n
    """,
    """
    INSERT INTO faktory_django_scheduledjob
        (id, queue, priority, jid, jobtype, reserve_for, body, due_at)
    SELECT n, 'default', 0, 'j' || n, 't', 60, '{}',
        now() - interval '1 day' + n * interval '1 ms'
    FROM generate_series(%(first)s::int, %(last)s::int, %(step)s) n
    """,
    """
    INSERT INTO faktory_django_retryjob
        (id, queue, priority, jid, jobtype, reserve_for, body, due_at)
    SELECT n, 'default', 0, 'j' || n, 't', 60, '{}', now() + n * interval '1 s'
    FROM generate_series(%(first)s::int, %(last)s::int, 10) n
    """,
    """
    INSERT INTO faktory_django_deadjob
        (id, queue, priority, jid, jobtype, reserve_for, body, died_at)
    SELECT n, 'default', 0, 'j' || n, 't', 60, '{}', now() - n * interval '1 s'
    FROM generate_series(%(first)s::int, %(last)s::int, 10) n
    """,
    # leases of five jobs, and of the wire
    """
    INSERT INTO faktory_django_lease (id, wid, claimed_at, ids)
    SELECT n, 'w', now(), ARRAY[n, n + 1, n + 2, n + 3, n + 4]
    FROM generate_series(%(first)s::int, %(last)s::int, 10) n
    """,
    """
    INSERT INTO faktory_django_lease (id, wid, claimed_at, expires_at, ids, jid)
    SELECT n + 1, 'remote', now(), now() + n * interval '1 s', ARRAY[n + 5], 'j' || n
    FROM generate_series(%(first)s::int, %(last)s::int, 10) n
    """,
    # a hundred keys of limits, and their slots
    """
    INSERT INTO faktory_django_limitedjob (job_id, key, queue, rank, allowed, since)
    SELECT n, 'k' || mod(n, 100), 'limited', 0, 3, now()
    FROM generate_series(%(first)s::int, %(last)s::int, 10) n
    """,
    """
    INSERT INTO faktory_django_limitslot (key, job_id, taken_at)
    SELECT 'k' || mod(n, 100), n + 1, now()
    FROM generate_series(%(first)s::int, %(last)s::int, 10) n
    """,
)
LEVELS = """
INSERT INTO faktory_django_level (queue, rank)
SELECT 'queue' || n / 20, mod(n, 20) + 1
FROM generate_series(1, 4000) n
UNION ALL SELECT 'default', 10
"""


CALLS = (
    *("SELECT id, lease, queue, rank, pos", "SELECT faktory_django_push_v1"),
    "SELECT faktory_django_place_fair_v1",
    "SELECT faktory_django_admit_v1",
)


@dataclass(frozen=True)
class Scan:
    """How a plan reads one table: by which index, "" for a sequential scan, None by address."""

    table: str
    index: str | None


@dataclass(frozen=True)
class Seen:
    """What a verb did: its scans, and how many pages it touched for them."""

    scans: set[Scan]
    pages: int

    def of(self, table: str) -> set[str | None]:
        """Return the indexes by which a table was read."""
        return {scan.index for scan in self.scans if scan.table == f"faktory_django_{table}"}


def fill(statement: str, first: int, last: int, *, step: int) -> None:
    names = {"first": first, "last": last, "step": step}
    execute(connection, statement, {n: v for n, v in names.items() if f"%({n})s" in statement})


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:  # noqa: ARG001
    """Tables full of dead rows in front of the live ones."""
    names = ", ".join(f"faktory_django_{table}" for table in TABLES)
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            # What ANALYZE knows is of an hour when no job had a turn or a limit.
            cursor.execute(f"TRUNCATE {names}")
            for statement in (FILL[0], *FILL[2:7]):
                fill(statement, 1, 1_000, step=1)
            cursor.execute(f"ANALYZE {names}")
            cursor.execute(f"TRUNCATE {names}")
            cursor.execute(f"ANALYZE {names}")
            for name in names.split(", "):
                cursor.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        with psycopg.connect(database_url()) as pinning:
            pinning.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            pinning.execute("SELECT count(*) FROM faktory_django_job")
            execute(connection, LEVELS)
            for statement in FILL:
                fill(statement, 1, DEAD, step=10)
            for table in {statement.split()[2] for statement in FILL}:
                execute(connection, f"DELETE FROM {table}")  # noqa: S608 - names of our own
            for statement in FILL:
                fill(statement, DEAD + 1, DEAD + LIVE, step=1)
            yield
        execute(connection, f"TRUNCATE {names}")
        for name in names.split(", "):
            execute(connection, f"ALTER TABLE {name} RESET (autovacuum_enabled)")
        connection.close()


@pytest.fixture
def seen(filled: None, db: None) -> Iterator[Callable[[Callable[[], Any]], Seen]]:  # noqa: ARG001
    """Return a function that runs a verb, undoes it and says how it went."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: Any) -> None:
        _, _, text = diagnostic.message_primary.partition("plan:\n")
        explained = json.loads(text)
        # the call of a function sums up what its statements and their planning touched
        if not explained["Query Text"].lstrip().startswith(CALLS):
            plans.append(explained["Plan"])

    def watch(verb: Callable[[], Any]) -> Seen:
        # the plan of a statement arrives with the answer to the next one
        execute(connection, "SELECT 1")
        plans.clear()
        with transaction.atomic():
            verb()
            transaction.set_rollback(True)
        execute(connection, "SELECT 1")
        return Seen(
            {scan for plan in plans for scan in scans_in(plan)}, sum(pages_of(p) for p in plans)
        )

    execute(connection, "LOAD 'auto_explain'")
    for setting in (
        *("log_min_duration = 0", "log_nested_statements = on", "log_analyze = on"),
        *("log_buffers = on", "log_format = json", "log_timing = off"),
    ):
        execute(connection, f"SET auto_explain.{setting}")
    execute(connection, "SET client_min_messages = log")
    connection.connection.add_notice_handler(note)
    yield watch
    connection.connection.remove_notice_handler(note)


def pages_of(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def scans_in(plan: dict[str, Any]) -> Iterator[Scan]:
    kind, table = plan["Node Type"], plan.get("Relation Name")
    if table and plan["Actual Loops"] and kind.endswith("Scan"):
        if kind == "Bitmap Heap Scan":
            yield from (Scan(table, index) for index in bitmaps_in(plan))
        else:
            index = {"Seq Scan": "", "Tid Scan": None}.get(kind, plan.get("Index Name"))
            yield Scan(table, index)
    for child in plan.get("Plans", ()):
        yield from scans_in(child)


def bitmaps_in(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    for child in plan.get("Plans", ()):
        yield from bitmaps_in(child)


def consumer(*, sweeps: bool = False) -> Consumer:
    marks = {("default", 10): DEAD, ("default", 0): DEAD}
    return Consumer("w", watermarks=marks, next_sweep=0 if sweeps else NEVER)


def promoter() -> Promoter:
    ((last,),) = execute(connection, "SELECT min(due_at) FROM faktory_django_scheduledjob")
    ((soon,),) = execute(connection, "SELECT min(due_at) FROM faktory_django_retryjob")
    return Promoter(Watermark((last, 0), NEVER), Watermark((soon, 0), NEVER))


def failings() -> list[Failing]:
    verdict = judge(25, None, Error.cut("E", "no"))
    return [Failing(DEAD + 1 + n, DEAD + 1, verdict) for n in range(3)]


IDS = list(range(DEAD + 1, DEAD + 4))


def test_a_push_probes_levels_by_their_index(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: push([a_push(priority=5)]))

    assert found.of("level") == {"faktory_level_lane"}


TAKE_TURNS = """
UPDATE faktory_django_job
SET queue = 'turns', traits = '{"fair": {"key": "key-3"}}'
WHERE id = ANY(%(ids)b::bigint[])
"""
REMEMBER = """
SELECT set_config(
    'faktory_django.fair_' || (hashtext('turns')::bigint & 4294967295),
    'turns ' || extract(epoch FROM now()) + 1000 || ' ' || (%(head)s::bigint << 18), false)
"""


def take_turns() -> list[int]:
    execute(connection, TAKE_TURNS, {"ids": IDS})
    execute(connection, "SELECT faktory_django_place_fair_v1(%b::bigint[])", [IDS])
    placed = execute(
        connection,
        "SELECT r.pos >> 18 FROM faktory_django_ready r"
        " WHERE r.queue = 'turns' AND r.rank = -201 AND r.job_id = ANY(%b::bigint[])"
        " AND r.pos > %s ORDER BY r.pos",
        [IDS, (DEAD + LIVE) << 18],
    )
    return [row[0] for row in placed]


def test_who_takes_turns_finds_its_place_by_index_past_dead_entries(
    seen: Callable[..., Seen],
) -> None:
    execute(connection, REMEMBER, {"head": DEAD + 1})
    placed: list[int] = []

    found = seen(lambda: placed.extend(take_turns()))

    last = DEAD + LIVE - (DEAD + LIVE - 3) % 7
    assert placed == [last + 1_024 * n for n in (1, 2, 3)]
    assert found.of("ready") == {"faktory_django_ready_pkey", "faktory_ready_fair"}
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.pages < FEW


def test_who_does_not_know_the_head_walks_over_dead_entries_by_index(
    seen: Callable[..., Seen],
) -> None:
    execute(connection, REMEMBER, {"head": 0})

    found = seen(take_turns)

    assert "" not in found.of("ready")
    assert found.pages > 3 * FEW


def test_jobs_that_take_turns_are_found_by_their_ids(seen: Callable[..., Seen]) -> None:
    execute(connection, REMEMBER, {"head": DEAD + 1})

    def run() -> None:
        execute(connection, TAKE_TURNS, {"ids": IDS})
        execute(connection, mutate.DISCARD_WAITING[-1], {"ids": IDS})

    found = seen(run)

    assert found.of("ready") == {"faktory_ready_fair_job", None}
    assert found.pages < FEW


def test_whose_jobs_wait_is_read_from_the_oldest(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: fairness.waiting("turns", window=100))

    assert found.of("ready") == {"faktory_ready_fair_job"}


def test_a_claim_above_its_watermark_does_not_feel_dead_entries(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: consumer().turn(connection, ["default"], 20))

    assert found.of("ready") == {"faktory_django_ready_pkey", None}
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("level") == {"faktory_level_lane"}
    assert found.pages < FEW


def test_a_claim_of_nothing_above_its_watermark_is_cheap(seen: Callable[..., Seen]) -> None:
    nothing = consumer()
    nothing.watermarks = dict.fromkeys(nothing.watermarks, 10**9)

    found = seen(lambda: nothing.turn(connection, ["default"], 20))

    assert found.pages < FEW


def test_a_sweep_walks_over_the_dead_entries_by_index(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: consumer(sweeps=True).turn(connection, ["default"], 20))

    assert found.of("ready") == {"faktory_django_ready_pkey", None}
    assert found.pages > 3 * FEW


@pytest.mark.parametrize("ends", [False, True])
def test_an_ack_goes_by_keys(seen: Callable[..., Seen], ends: bool) -> None:
    ids = [*IDS, DEAD + 4, DEAD + 5] if ends else IDS
    ack = LeaseAck(DEAD + 1, ends, ids)
    lost: list[LeaseAck] = []

    found = seen(lambda: lost.extend(Consumer("w").turn(connection, [], 0, [ack]).lost))

    assert lost == []
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("lease") == {"faktory_django_lease_pkey"}
    assert found.pages < FEW


def test_the_ack_of_an_atomic_job_goes_by_keys(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: ack_last(IDS[0], DEAD + 1, wait_seconds=0, run_seconds=0, using="default"))

    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("lease") == {"faktory_django_lease_pkey"}
    assert found.pages < FEW


def test_an_ack_by_jid_goes_by_the_jid_of_the_lease(seen: Callable[..., Seen]) -> None:
    acked: list[int] = []

    found = seen(lambda: acked.append(ack_jids([Holding(f"j{DEAD + 11}", "remote")])))

    assert acked == [1]
    assert found.of("lease") == {"faktory_lease_jid", "faktory_django_lease_pkey"}
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.pages < FEW


def test_a_failure_goes_by_keys(seen: Callable[..., Seen]) -> None:
    moved: list[int] = []

    found = seen(lambda: moved.append(len(fail(connection, failings()))))

    assert moved == [3]
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("lease") <= {"faktory_django_lease_pkey", "faktory_lease_expiry"}
    assert found.pages < FEW


def test_a_hand_back_goes_by_keys(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: hand_back(connection, DEAD + 1, IDS))

    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("lease") == {"faktory_django_lease_pkey"}
    assert found.pages < FEW


def test_a_reap_goes_by_keys(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: reap(connection, [DEAD + 1, DEAD + 11], max_crashes=3))

    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("lease") == {"faktory_django_lease_pkey"}
    assert found.pages < FEW


def test_promotion_above_its_watermark_does_not_feel_dead_entries(
    seen: Callable[..., Seen],
) -> None:
    above = promoter()
    moved: list[int] = []

    found = seen(lambda: moved.append(above.promote_scheduled(connection, 5)))

    assert moved == [5]
    assert found.of("scheduledjob") == {"faktory_scheduled_due", "faktory_django_scheduledjob_pkey"}
    assert found.pages < FEW


def test_the_look_for_the_next_due_entry_reads_the_head_above_its_watermark(
    seen: Callable[..., Seen],
) -> None:
    above = promoter()

    found = seen(lambda: above.next_due(connection))

    assert found.of("scheduledjob") == {"faktory_scheduled_due"}
    assert found.of("retryjob") == {"faktory_retry_due"}
    assert found.pages < 40


def test_a_look_from_the_beginning_walks_over_the_dead_entries(seen: Callable[..., Seen]) -> None:
    swept = Promoter()

    found = seen(lambda: swept.next_due(connection))

    assert found.of("scheduledjob") == {"faktory_scheduled_due"}
    assert found.pages > FEW
    assert swept.scheduled.next_sweep > 0
    assert swept.scheduled.after == BEGINNING


def test_what_has_expired_is_found_by_its_time(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: expire(connection))

    assert found.of("lease") <= {"faktory_lease_expiry", "faktory_django_lease_pkey"}


def test_the_question_what_there_is_to_reap_asks_by_expiry(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: due(connection, silent_seconds=30))

    assert "faktory_lease_expiry" in found.of("lease")


def test_the_latency_reads_the_heads_of_the_lanes(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: queues.latencies(["default", "other"]))

    assert found.of("ready") == {"faktory_django_ready_pkey"}
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.of("level") == {"faktory_level_lane"}


@pytest.mark.parametrize("act", [mutate.kill, mutate.discard])
def test_acting_on_waiting_jobs_goes_by_keys(
    seen: Callable[..., Seen], act: Callable[[str, list[int]], int]
) -> None:
    acted: list[int] = []

    found = seen(lambda: acted.append(act("waiting", IDS)))

    assert acted == [3]
    assert {"faktory_django_ready_pkey", None} <= found.of("ready")
    assert found.of("job") == {"faktory_django_job_pkey"}
    assert found.pages < FEW


@pytest.mark.parametrize("act", [mutate.requeue, mutate.kill, mutate.discard])
def test_acting_on_a_set_goes_by_keys(
    seen: Callable[..., Seen], act: Callable[[str, list[int]], int]
) -> None:
    found = seen(lambda: act("scheduled", IDS))

    assert found.of("scheduledjob") == {"faktory_django_scheduledjob_pkey"}
    assert found.pages < FEW


def test_a_claim_from_a_throttled_queue_counts_its_permits_by_their_index(
    seen: Callable[..., Seen],
) -> None:
    claimed: list[int] = []

    def verb() -> None:
        throttles.throttle("default", concurrency=5, worker=3)
        turn = consumer().turn(connection, ["default"], 20)
        claimed.append(len(turn.jobs))

    found = seen(verb)

    assert claimed == [3]
    assert found.of("lease") == {"faktory_lease_permit"}
    assert "" not in found.of("throttle")
    assert found.pages < FEW


def test_admission_goes_by_key(seen: Callable[..., Seen]) -> None:
    admitted: list[int] = []

    def verb() -> None:
        execute(connection, "UPDATE faktory_django_limitedjob SET allowed = 30 WHERE key = 'k1'")
        admitted.append(limits.admit(connection, ["k1"]))

    found = seen(verb)

    assert admitted == [10]
    assert found.of("limitslot") == {"faktory_django_limitslot_pkey"}
    assert found.of("limitedjob") <= {
        *("faktory_limited_key", "faktory_django_limitedjob_pkey", None, ""),
    }
    assert found.of("job") == set()


def test_the_end_of_a_job_passes_its_slot_on_by_keys(seen: Callable[..., Seen]) -> None:
    traits = '{"limit": [{"k": "k1", "n": 3}]}'
    ready: list[int] = []

    def verb() -> None:
        values = [traits, DEAD + 2]
        execute(connection, "UPDATE faktory_django_job SET traits = %s WHERE id = %s", values)
        ack = LeaseAck(DEAD + 1, ends=False, ids=[DEAD + 2], traited=True)
        before = execute(connection, "SELECT count(*) FROM faktory_django_limitedjob")[0][0]
        Consumer("w").turn(connection, [], 0, [ack])
        after = execute(connection, "SELECT count(*) FROM faktory_django_limitedjob")[0][0]
        ready.append(before - after)

    found = seen(verb)

    assert ready == [1]
    assert found.of("limitslot") == {"faktory_django_limitslot_pkey"}
    assert found.of("job") == {"faktory_django_job_pkey"}


def test_sizes_and_latencies_find_what_waits_for_limits_by_queue(
    seen: Callable[..., Seen],
) -> None:
    sizes: list[dict[str, int]] = []

    found = seen(lambda: sizes.append(queues.sizes(["limited"])))
    heads = seen(lambda: queues.latencies(["limited"]))

    assert sizes == [{"limited": LIVE // 10}]
    assert found.of("limitedjob") == heads.of("limitedjob") == {"faktory_limited_queue"}


def test_a_purge_goes_by_the_time_of_death(seen: Callable[..., Seen]) -> None:
    found = seen(lambda: purge(connection, max_days=180, max_jobs=100))

    assert found.of("deadjob") == {"faktory_dead_died", "faktory_django_deadjob_pkey"}


def test_a_purge_stops_at_the_first_that_is_not_old(filled: None, db: None) -> None:  # noqa: ARG001
    params = {"max_days": 180, "max_jobs": 100, "limit": 1_000}

    plan = execute(connection, f"EXPLAIN (COSTS OFF) {PURGE}", params)

    bound = "Index Cond: (ROW(died_at, id) <= ROW("
    assert any(bound in line for (line,) in plan), plan


def test_a_job_is_found_by_its_jid(seen: Callable[..., Seen]) -> None:
    found = seen(
        lambda: execute(
            connection, "SELECT id FROM faktory_django_job WHERE jid = %s", [f"j{DEAD + 1}"]
        )
    )

    assert found.of("job") == {"faktory_job_jid"}
