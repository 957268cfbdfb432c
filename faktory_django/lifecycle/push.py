"""Push: a job enters its queue, or the scheduled set. It belongs to the caller's transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
from django.db import transaction

from faktory_django import settings

from . import unique
from .clock import RFC3339
from .connection import database, execute, pipeline
from .limits import admit, limit_keys
from .push_traits import PUSH_TRAITS, refusals
from .track import follow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .push_traits import Refusal

# What the server knows stands in front of the body: created_at here, enqueued_at and failure
# when the job is handed out. A body that brings its own created_at brings it first.
PUSH_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_push_v1(
    queues text[], priorities smallint[], jids text[], jobtypes text[],
    reserve_fors int[], bodies text[], failures text[], wake boolean
)
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    stamp text := '{{"created_at":"' || {RFC3339.format("moment")} || '",';
BEGIN
    -- ranks other than 0 are listed for the claim; no lock, so duplicates may appear
    IF 0 <> ANY(priorities) THEN
        INSERT INTO faktory_django_level (queue, rank)
        SELECT DISTINCT p.queue, 2 * p.priority
        FROM unnest(queues, priorities) AS p(queue, priority)
        WHERE p.priority <> 0 AND NOT EXISTS (
            SELECT FROM faktory_django_level v WHERE v.queue = p.queue AND v.rank = 2 * p.priority
        );
    END IF;
    WITH pushed AS (
        INSERT INTO faktory_django_job
            (queue, priority, jid, jobtype, enqueued_at, reserve_for, body, failure)
        SELECT p.queue, p.priority, p.jid, p.jobtype, moment, p.reserve_for,
            CASE WHEN p.body ^@ '{{"created_at":' THEN p.body
            ELSE stamp || substr(p.body, 2) END, p.failure
        FROM unnest(queues, priorities, jids, jobtypes, reserve_fors, bodies, failures)
            AS p(queue, priority, jid, jobtype, reserve_for, body, failure)
        RETURNING id, queue, priority, jobtype
    ), counted AS (
        INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, pushed)
        SELECT date_trunc('minute', moment), queue, jobtype, count(*)
        FROM pushed
        GROUP BY queue, jobtype
    )
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
    SELECT queue, 2 * priority, id, id
    FROM pushed;
    -- where nobody waits for the rest of a transaction, the queue is known and heard of at once
    IF wake THEN
        INSERT INTO faktory_django_queue (name)
        SELECT DISTINCT q.name
        FROM unnest(queues) AS q(name)
        WHERE NOT EXISTS (SELECT FROM faktory_django_queue k WHERE k.name = q.name)
        ORDER BY q.name
        ON CONFLICT (name) DO NOTHING;
        PERFORM faktory_django_wake_v1(queues, cardinality(queues));
    END IF;
END
$$
"""

# Many jobs that differ in jid and args only, as bulk pushes mostly do: what they share travels
# once, which is a third of the work.
PUSH_ALIKE_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_push_alike_v1(
    queue text, priority smallint, jobtype text, reserve_for int,
    head text, middle text, tail text, jids text[], args text[], wake boolean
)
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    moment timestamptz := clock_timestamp();
    front text := '{{"created_at":"' || {RFC3339.format("moment")} || '",' || substr(head, 2);
    n int := cardinality(jids);
BEGIN
    IF priority <> 0 THEN
        INSERT INTO faktory_django_level (queue, rank)
        SELECT queue, 2 * priority
        WHERE NOT EXISTS (
            SELECT FROM faktory_django_level v WHERE v.queue = queue AND v.rank = 2 * priority
        );
    END IF;
    WITH pushed AS (
        INSERT INTO faktory_django_job
            (queue, priority, jid, jobtype, enqueued_at, reserve_for, body)
        SELECT queue, priority, p.jid, jobtype, moment, reserve_for,
            front || p.jid || middle || p.args || tail
        FROM unnest(jids, args) AS p(jid, args)
        RETURNING id
    )
    INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
    SELECT queue, 2 * priority, p.id, p.id
    FROM pushed p;
    INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, pushed)
    VALUES (date_trunc('minute', moment), queue, jobtype, n);
    IF wake THEN
        INSERT INTO faktory_django_queue (name)
        SELECT queue
        WHERE NOT EXISTS (SELECT FROM faktory_django_queue k WHERE k.name = queue)
        ON CONFLICT (name) DO NOTHING;
        PERFORM faktory_django_wake_v1(ARRAY[queue], n);
    END IF;
END
$$
"""

# A time that has come by the database's clock means now; the payload keeps its "at".
SCHEDULE_FUNCTION: Final = f"""
CREATE OR REPLACE FUNCTION faktory_django_schedule_v1(
    queues text[], priorities smallint[], jids text[], jobtypes text[],
    reserve_fors int[], bodies text[], failures text[], ats timestamptz[], delays float8[],
    wake boolean
)
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    stamp text := '{{"created_at":"' || {RFC3339.format("moment")} || '",';
    due record;
BEGIN
    WITH given AS MATERIALIZED (
        SELECT p.*, coalesce(p.at, moment + p.delay * interval '1 s', moment) AS due_at,
            CASE WHEN p.body ^@ '{{"created_at":' THEN p.body
            ELSE stamp || substr(p.body, 2) END AS stamped
        FROM unnest(
                queues, priorities, jids, jobtypes, reserve_fors, bodies, failures, ats, delays
            ) WITH ORDINALITY
            AS p(queue, priority, jid, jobtype, reserve_for, body, failure, at, delay, place)
    ), complete AS MATERIALIZED (
        SELECT queue, priority, jid, jobtype, reserve_for, failure, due_at, place,
            CASE WHEN delay IS NULL THEN stamped
            ELSE overlay(
                stamped PLACING ',"at":"' || {RFC3339.format("due_at")} || '",'
                FROM strpos(stamped, '",') + 1 FOR 1
            ) END AS body
        FROM given
    ), scheduled AS (
        INSERT INTO faktory_django_scheduledjob
            (queue, priority, jid, jobtype, reserve_for, body, failure, due_at)
        SELECT queue, priority, jid, jobtype, reserve_for, body, failure, due_at
        FROM complete
        WHERE due_at > moment
        ORDER BY place
        RETURNING queue, jobtype
    ), counted AS (
        INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, pushed)
        SELECT date_trunc('minute', moment), queue, jobtype, count(*)
        FROM scheduled
        GROUP BY queue, jobtype
    )
    SELECT array_agg(queue ORDER BY place) AS queues, array_agg(priority ORDER BY place) AS ranks,
        array_agg(jid ORDER BY place) AS jids, array_agg(jobtype ORDER BY place) AS jobtypes,
        array_agg(reserve_for ORDER BY place) AS reserves, array_agg(body ORDER BY place) AS bodies,
        array_agg(failure ORDER BY place) AS failures
    INTO due
    FROM complete
    WHERE due_at <= moment;
    IF due.queues IS NOT NULL THEN
        PERFORM faktory_django_push_v1(
            due.queues, due.ranks, due.jids, due.jobtypes, due.reserves, due.bodies,
            due.failures, wake);
    END IF;
END
$$
"""

PUSH: Final = """
SELECT faktory_django_push_v1(
    %b::text[], %b::smallint[], %b::text[], %b::text[], %b::int[], %b::text[], %b::text[], %b)
"""
PUSH_ALIKE: Final = """
SELECT faktory_django_push_alike_v1(
    %b::text, %b::smallint, %b::text, %b::int, %b::text, %b::text, %b::text,
    %b::text[], %b::text[], %b)
"""
SCHEDULE: Final = """
SELECT faktory_django_schedule_v1(
    %b::text[], %b::smallint[], %b::text[], %b::text[], %b::int[], %b::text[], %b::text[],
    %b::timestamptz[], %b::float8[], %b)
"""
WAKE: Final = "SELECT faktory_django_wake_v1(%b::text[], %b::int)"


class Pushable(Protocol):
    """A job as the store takes it: what Push says, from whatever door."""

    @property
    def queue(self) -> str: ...
    @property
    def jid(self) -> str: ...
    @property
    def jobtype(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def reserve_for(self) -> int: ...
    @property
    def at(self) -> datetime | None: ...
    @property
    def delay_seconds(self) -> float | None: ...
    @property
    def failure(self) -> str | None: ...
    @property
    def traits(self) -> str | None: ...


class Push(msgspec.Struct, frozen=True):
    """A job as the store takes it; reserve_for is in seconds, within 60 to 86400.

    With at (aware) or delay_seconds it is scheduled, by the database's clock. failure is that of
    a job that somebody pushes again. tracked: it is to be known when it has succeeded. traits is
    what its features have to know of it, as JSON (features/traits.py).
    """

    queue: str
    jid: str
    jobtype: str
    body: str
    priority: int = 0
    reserve_for: int = 1_800
    at: datetime | None = None
    delay_seconds: float | None = None
    failure: str | None = None
    tracked: bool = False
    traits: str | None = None


class Form(NamedTuple):
    """What jobs have in common; jid and args stand between the parts of a body."""

    queue: str
    jobtype: str
    priority: int
    reserve_for: int
    head: str
    middle: str
    tail: str
    tracked: bool = False


def push(pushes: Sequence[Push], *, using: str | None = None) -> list[Refusal]:
    """Store jobs: one statement for each thousand (MAX_BULK_ROWS), all in one transaction.

    Inside transaction.atomic() they appear at commit and vanish on rollback. Returns the jobs that
    features did not let in, in order. Raises UniqueLockBusy.
    """
    connection = database(using)
    rows_at_a_time = settings.get().max_bulk_rows
    if len(pushes) <= rows_at_a_time:
        return _push(connection, pushes) if pushes else []
    with transaction.atomic(using=connection.alias, savepoint=False), unique.patient():
        held = unique.hold(connection, pushes, page=rows_at_a_time)
        refused = []
        for start in range(0, len(held.pushes), rows_at_a_time):
            page = _push(connection, held.pushes[start : start + rows_at_a_time])
            refused += [r._replace(place=held.places[start + r.place]) for r in page]
        refused += refusals(unique.settle_duplicates(connection, held.duplicates))
        return sorted(refused)


def push_alike(
    form: Form, jids: Sequence[str], args: Sequence[str], *, using: str | None = None
) -> None:
    """Store jobs that differ in jid and args (texts of JSON) only, in one statement."""
    connection = database(using)
    shared = [form.queue, form.priority, form.jobtype, form.reserve_for]
    columns = [*shared, form.head, form.middle, form.tail, list(jids), list(args)]
    autocommit = not connection.in_atomic_block
    execute(connection, PUSH_ALIKE, [*columns, autocommit])
    _after(connection, {form.queue}, len(jids), tracked=jids if form.tracked else ())


@contextmanager
def together(*, using: str | None = None) -> Iterator[None]:
    """All pushes in it are one: none is kept when one fails, and none waits for another."""
    connection = database(using)
    with transaction.atomic(using=connection.alias), pipeline(connection):
        yield


def statement(
    pushes: Sequence[Pushable], *, wake: bool, patience_ms: int | None = None, apart: bool = False
) -> tuple[str, list[Any]]:
    """Return the statement that stores these jobs, and its parameters.

    With wake, which is right where it commits by itself, new queues become known and idle
    workers hear of it; else upkeep and a statement after the commit see to that. With apart, a
    job whose unique lock is in doubt for patience_ms is refused alone.
    """
    columns = _columns(pushes)
    if any(p.traits is not None for p in pushes):
        more: list[list[Any]] = [
            [p.at for p in pushes],
            [p.delay_seconds for p in pushes],
            [p.traits for p in pushes],
        ]
        patience = unique.patience_ms() if patience_ms is None else patience_ms
        return PUSH_TRAITS, [*columns, *more, wake, patience, apart]
    if all(p.at is None and p.delay_seconds is None for p in pushes):
        return PUSH, [*columns, wake]
    times: list[list[Any]] = [[p.at for p in pushes], [p.delay_seconds for p in pushes]]
    return SCHEDULE, [*columns, *times, wake]


def _push(connection: BaseDatabaseWrapper, pushes: Sequence[Push]) -> list[Refusal]:
    autocommit = not connection.in_atomic_block
    with unique.patient():
        refused = refusals(execute(connection, *statement(pushes, wake=autocommit)))
    kept_out = {refusal.place for refusal in refused}
    tracked = [p.jid for place, p in enumerate(pushes) if p.tracked and place not in kept_out]
    limits = limit_keys(pushes)
    _after(connection, {p.queue for p in pushes}, len(pushes), tracked=tracked, limits=limits)
    return refused


def _after(
    connection: BaseDatabaseWrapper,
    queues: set[str],
    jobs: int,
    *,
    tracked: Sequence[str],
    limits: Collection[str] = (),
) -> None:
    if tracked:
        follow(tracked, using=connection.alias)
    if connection.in_atomic_block:
        # A worker that went idle between this statement and the COMMIT would not be told.
        _wake_after_commit(connection, queues, jobs, limits)
    elif limits:
        admit(connection, limits)


def _columns(pushes: Sequence[Pushable]) -> Iterator[list[Any]]:
    yield [p.queue for p in pushes]
    yield [p.priority for p in pushes]
    yield [p.jid for p in pushes]
    yield [p.jobtype for p in pushes]
    yield [p.reserve_for for p in pushes]
    yield [p.body for p in pushes]
    yield [p.failure for p in pushes]


@dataclass(slots=True)
class _Wake:
    """What one transaction has pushed: told to the waiting workers once, after its commit."""

    connection: BaseDatabaseWrapper
    queues: set[str]
    jobs: int = 0
    limits: set[str] = field(default_factory=set)

    def __call__(self) -> None:
        execute(self.connection, WAKE, [sorted(self.queues), self.jobs])
        if self.limits:
            admit(self.connection, self.limits)


def _wake_after_commit(
    connection: BaseDatabaseWrapper, queues: set[str], jobs: int, limits: Collection[str]
) -> None:
    # One that an outer savepoint has promised is kept whenever this push is.
    inside = set(connection.savepoint_ids)
    for savepoints, wake, *_ in reversed(connection.run_on_commit):
        if isinstance(wake, _Wake) and savepoints <= inside:
            break
    else:
        wake = _Wake(connection, set())
        transaction.on_commit(wake, using=connection.alias, robust=True)
    wake.queues |= queues
    wake.jobs += jobs
    wake.limits.update(limits)
