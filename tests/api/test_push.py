"""A push stores one row, or refuses and stores nothing."""

from __future__ import annotations

import copy
import json
import math
import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from faktory_django import (
    InvalidArguments,
    InvalidOption,
    InvalidPayload,
    InvalidTime,
    JobHandle,
    PayloadTooLarge,
    job,
    payload,
    signals,
)
from faktory_django.errors import DatabaseNotReady
from faktory_django.models import DeadJob, RetryJob, ScheduledJob
from faktory_django.models import Job as Stored
from faktory_django.testing import drain
from tests.jobapp.jobs import noop, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faktory_django.api.requests import PushRequest

pytestmark = pytest.mark.django_db


def stored() -> dict[str, Any]:
    """Return the body of the only job in a queue."""
    body: dict[str, Any] = json.loads(Stored.objects.get().body)
    return body


def nothing_is_stored() -> bool:
    """Tell whether all tables of jobs are empty."""
    return not any(m.objects.exists() for m in (Stored, ScheduledJob, RetryJob, DeadJob))


def test_perform_async_puts_the_job_in_its_queue() -> None:
    handle = noop.perform_async(1, "two")

    row = Stored.objects.get()
    body = stored()
    assert handle == JobHandle(row.jid)
    assert (row.queue, row.priority, row.jobtype) == ("default", 0, "tests.jobapp.jobs.noop")
    assert (body["jid"], body["args"], body["retry"]) == (row.jid, [1, "two"], 25)
    assert "custom" not in body
    assert len(row.jid) == 24


def test_perform_in_schedules_by_the_clock_of_the_database() -> None:
    noop.perform_in(90)
    noop.perform_in(timedelta(minutes=3))

    first, second = ScheduledJob.objects.all()
    body = json.loads(first.body)
    created, at = (datetime.fromisoformat(body[key]) for key in ("created_at", "at"))
    assert at - created == timedelta(seconds=90)
    assert (first.due_at, second.due_at > first.due_at) == (at, True)


def test_perform_at_schedules_for_an_instant_of_any_zone() -> None:
    when = timezone.now() + timedelta(hours=1)

    noop.perform_at(when)

    row = ScheduledJob.objects.get()
    assert row.due_at == when
    assert json.loads(row.body)["at"] == when.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    "push",
    [
        lambda: noop.perform_in(0),
        lambda: noop.perform_at(timezone.now() - timedelta(seconds=1)),
        lambda: noop.perform_at(datetime(1, 1, 1, tzinfo=UTC)),
        lambda: noop.perform_bulk([[]], delay=0),
    ],
)
def test_a_time_that_has_come_means_now(push: Callable[[], Any]) -> None:
    push()

    assert (Stored.objects.count(), ScheduledJob.objects.count()) == (1, 0)


@pytest.mark.parametrize("pooled", [False, True])
def test_a_bulk_push_stores_all_in_order_a_statement_for_each_thousand(
    override_faktory: Any, django_assert_num_queries: Any, pooled: bool
) -> None:
    override_faktory(MAX_BULK_ROWS=10, TRANSACTION_POOLER=pooled)

    with django_assert_num_queries(3 + 2):  # inside a savepoint
        handles = noop.perform_bulk([[n] for n in range(25)])

    rows = Stored.objects.order_by("id")
    assert [row.jid for row in rows] == [handle.jid for handle in handles]
    assert [json.loads(row.body)["args"] for row in rows] == [[n] for n in range(25)]


@job(priority=7, custom={"tenant": 3})
def shelve(*things: Any) -> None:
    """Nothing to do."""


def test_a_bulk_push_with_kinds_that_json_does_not_know_is_the_same_as_single_ones(
    override_faktory: Any,
) -> None:
    override_faktory(MAX_BULK_ROWS=2)
    many: list[list[Any]] = [[1], ["two"], [date(2026, 1, 2)], [4.5], [None], [[True, {"a": 1}]]]

    shelve.perform_bulk(many)
    for args in many:
        shelve.perform_async(*args)

    bodies = [json.loads(row.body) for row in Stored.objects.order_by("id")]
    for body in bodies:
        del body["jid"], body["created_at"]
    assert bodies[: len(many)] == bodies[len(many) :]
    assert bodies[0] == {
        "retry": 25,
        "custom": {"tenant": 3, "priority": 7},
        "queue": "default",
        "jobtype": shelve.jobtype,
        "args": [1],
    }
    assert {row.priority for row in Stored.objects.all()} == {7}


@pytest.mark.parametrize("pooled", [False, True])
def test_a_bulk_push_that_is_refused_late_leaves_the_transaction_as_it_was(
    override_faktory: Any,
    pooled: bool,
) -> None:
    override_faktory(MAX_BULK_ROWS=10, TRANSACTION_POOLER=pooled)
    with transaction.atomic():
        noop.perform_async("before")
        with pytest.raises(InvalidArguments, match="at /0 is a object"):
            noop.perform_bulk([[n] for n in range(25)] + [[object()]])
        noop.perform_async("after")

    rows = Stored.objects.order_by("id")
    assert [json.loads(row.body)["args"] for row in rows] == [["before"], ["after"]]


def test_a_bulk_push_that_the_database_refuses_late_stores_nothing(override_faktory: Any) -> None:
    override_faktory(MAX_BULK_ROWS=10)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "ALTER TABLE faktory_django_job ADD CONSTRAINT no_19 CHECK (body NOT LIKE '%%[19]%%')"
        )

    with pytest.raises(IntegrityError, match="no_19"):
        noop.perform_bulk([[n] for n in range(35)])

    assert nothing_is_stored()


def test_new_jids_are_of_one_shape_and_in_the_order_of_their_seconds() -> None:
    jids = payload.new_jids(1_000)

    assert len(set(jids)) == 1_000
    assert all(re.fullmatch("[0-9a-f]{24}", jid) for jid in jids)
    assert abs(int(jids[0][:8], 16) - time.time()) <= 5


def test_a_bulk_push_may_be_scheduled_and_may_be_empty() -> None:
    when = timezone.now() + timedelta(hours=1)

    at = noop.perform_bulk([[1], [2]], at=when)
    delayed = noop.perform_bulk(([n] for n in (3, 4)), delay=60)

    assert noop.perform_bulk([]) == []
    assert len(at) == len(delayed) == 2
    assert ScheduledJob.objects.filter(due_at=when).count() == 2
    assert ScheduledJob.objects.count() == 4


def test_the_async_twins_push_the_same() -> None:
    when = timezone.now() + timedelta(hours=1)

    async def push() -> list[Any]:
        return [
            await noop.aperform_async(1),
            await noop.aperform_in(60, 2),
            await noop.aperform_at(when, 3),
            *await noop.aperform_bulk([[4], [5]]),
            *await noop.aperform_bulk([[6]], delay=60),
        ]

    handles = async_to_sync(push)()

    assert Stored.objects.count() == 3
    assert ScheduledJob.objects.count() == 3
    assert len({handle.jid for handle in handles}) == 6


def test_set_overrides_the_options_of_the_job_for_its_pushes_only() -> None:
    @job(queue="high", retry=5, reserve_for=600, backtrace=3, custom={"a": 1})
    def work() -> None:
        pass

    work.set(queue="low", priority=10, retry=0).set(reserve_for=60, custom={"b": 2}).perform_async()
    changed = stored()
    low = Stored.objects.get()
    Stored.objects.all().delete()
    work.perform_async()
    plain = stored()

    assert (low.queue, low.priority, low.reserve_for) == ("low", 10, 60)
    assert changed["custom"] == {"b": 2, "priority": 10}
    assert (changed["queue"], changed["retry"], changed["reserve_for"]) == ("low", 0, 60)
    assert (plain["queue"], plain["retry"], plain["reserve_for"]) == ("high", 5, 600)
    assert (plain["backtrace"], plain["custom"]) == (3, {"a": 1})


def test_the_settings_give_what_neither_job_nor_push_says(override_faktory: Any) -> None:
    override_faktory(DEFAULT_QUEUE="misc", DEFAULT_RETRY=2, DEFAULT_RESERVE_FOR=120)

    noop.perform_async()

    body = stored()
    assert (body["queue"], body["retry"], body["reserve_for"]) == ("misc", 2, 120)


def test_keyword_arguments_travel_as_a_trailing_object_that_is_marked() -> None:
    @job
    def work(a: int, *, when: date) -> None:
        pass

    work.perform_async(1, when=date(2026, 1, 2))

    body = stored()
    assert body["args"] == [1, {"when": "2026-01-02"}]
    assert body["custom"] == {"faktory_django": {"kinds": {"/1/when": "date"}, "kwargs": True}}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"c": 2}), ((1,), {"a": 1}), ((), {"b": 1})],
)
def test_arguments_that_do_not_fit_the_function_are_a_type_error(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    @job
    def work(a: int, b: int = 0) -> None:
        pass

    for push in (work.perform_async, lambda *a, **k: work.perform_in(5, *a, **k)):
        with pytest.raises(TypeError):
            push(*args, **kwargs)

    assert nothing_is_stored()


def test_the_arguments_of_a_class_are_those_of_perform_without_self() -> None:
    class Work:
        def perform(self, a: int) -> None:
            pass

    work: Any = job(Work)
    work.perform_async(1)
    with pytest.raises(TypeError):
        work.perform_async(1, 2)

    assert Stored.objects.count() == 1


def test_a_static_or_class_method_perform_has_no_self() -> None:
    class Static:
        @staticmethod
        def perform(a: int) -> None: ...

    class OfClass:
        @classmethod
        def perform(cls, a: int) -> None: ...

    for wrapped in (Static, OfClass):
        work: Any = job(wrapped)
        work.perform_async(1)
        with pytest.raises(TypeError):
            work.perform_async()

    assert Stored.objects.count() == 2


def test_one_job_that_does_not_fit_keeps_a_whole_bulk_push_out() -> None:
    @job
    def work(a: int) -> None:
        pass

    with pytest.raises(TypeError):
        work.perform_bulk([[1], [2, 3]])
    with pytest.raises(InvalidArguments):
        work.perform_bulk([[1], [object()]])

    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("push", "error", "message"),
    [
        (lambda: noop.perform_async(object()), InvalidArguments, "the argument at /0 is a object"),
        (lambda: noop.perform_async(math.nan), InvalidArguments, "the argument at /0 is not JSON"),
        (
            lambda: noop.perform_async(Stored()),
            InvalidArguments,
            "the model instance Job; pass its",
        ),
        (lambda: noop.perform_in(-1), InvalidTime, "a delay must be 0 to 3650 days"),
        (lambda: noop.perform_in(math.inf), InvalidTime, "MAX_DELAY_DAYS"),
        (lambda: noop.perform_in("1"), InvalidTime, "a delay must be seconds or a timedelta"),  # type: ignore[arg-type]
        (lambda: noop.perform_at(datetime(2027, 1, 1)), InvalidTime, "a time must be aware"),  # noqa: DTZ001
        (lambda: noop.perform_at(1), InvalidTime, "a time must be a datetime, got 1"),  # type: ignore[arg-type]
        (lambda: noop.perform_at(datetime.max.replace(tzinfo=UTC)), InvalidTime, "MAX_DELAY_DAYS"),
        (
            lambda: noop.perform_bulk([[]], at=timezone.now(), delay=1),
            InvalidTime,
            "either at or delay",
        ),
        (lambda: noop.perform_bulk(["abc"]), InvalidArguments, "a list of arguments, got 'abc'"),
        (lambda: noop.perform_bulk([{}]), InvalidArguments, "a list of arguments, got {}"),  # type: ignore[list-item]
        (lambda: noop.perform_bulk([5]), InvalidArguments, "a list of arguments, got 5"),  # type: ignore[list-item]
        (lambda: noop.perform_bulk([{1}]), InvalidArguments, "a list of arguments, got {1}"),  # type: ignore[list-item]
        (lambda: noop.perform_in(10**400), InvalidTime, "MAX_DELAY_DAYS"),
        (lambda: noop.perform_async(Stored), InvalidArguments, "a ModelBase, which is not JSON"),
        (
            lambda: noop.perform_async("é" * 600_000),
            PayloadTooLarge,
            "MAX_PAYLOAD_BYTES is 1048576",
        ),
        (lambda: noop.set(using="nowhere").perform_async(), InvalidOption, "'nowhere'"),
    ],
)
def test_a_bad_push_is_refused_where_it_is_made_and_nothing_is_stored(
    push: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refusal:
        push()

    assert message in str(refusal.value)
    assert nothing_is_stored()


def test_a_push_in_a_transaction_vanishes_when_it_is_rolled_back() -> None:
    def push_and_fail() -> None:
        with transaction.atomic():
            noop.perform_async()
            noop.perform_in(60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        push_and_fail()

    assert nothing_is_stored()


# Middleware


class Tags:
    """Change a push on its way."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, push: PushRequest) -> Any:
        """Add to custom, raise the priority."""
        push.custom["tag"] = "t"
        push.options = {**push.options, "priority": 7}
        push.args = [*push.args, "more"]
        return self.handler(push)


class Stops:
    """Let no push through whose first argument is "stop"."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, push: PushRequest) -> Any:
        """Stop or pass on."""
        return None if list(push.args[:1]) == ["stop"] else self.handler(push)


class Breaks:
    """Change a push into what nobody may push."""

    change: dict[str, Any]

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, push: PushRequest) -> Any:
        """Spoil it."""
        for name, value in self.change.items():
            setattr(push, name, value)
        return self.handler(push)


def test_a_middleware_may_change_a_push(override_faktory: Any) -> None:
    override_faktory(PUSH_MIDDLEWARE=[f"{__name__}.Tags"])

    noop.set(custom={"own": 1}).perform_async(1)
    noop.perform_async(2)

    bodies = [json.loads(row.body) for row in Stored.objects.order_by("id")]
    assert [body["args"] for body in bodies] == [[1, "more"], [2, "more"]]
    assert bodies[0]["custom"] == {"own": 1, "tag": "t", "priority": 7}
    assert bodies[1]["custom"] == {"tag": "t", "priority": 7}
    assert {row.priority for row in Stored.objects.all()} == {7}


def test_a_middleware_may_stop_a_push(override_faktory: Any) -> None:
    override_faktory(PUSH_MIDDLEWARE=[f"{__name__}.Stops", f"{__name__}.Tags"])

    stopped, passed = noop.perform_async("stop"), noop.perform_async("go")
    bulk = noop.perform_bulk([["stop"], ["go"], ["go"]])

    assert not stopped
    assert passed is not None
    assert len(bulk) == 2
    assert Stored.objects.count() == 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"options": {"queue": 'a","x":"'}}, InvalidPayload),
        ({"options": {"priority": 1_000}}, InvalidOption),
        ({"options": {"nonsense": 1}}, InvalidOption),
        ({"custom": {"k": object()}}, InvalidOption),
        ({"jobtype": ""}, InvalidOption),
        ({"jid": 'x"y'}, InvalidPayload),
        ({"at": datetime(2026, 1, 1)}, InvalidTime),  # noqa: DTZ001
        ({"delay_seconds": -1}, InvalidTime),
        ({"args": [object()]}, InvalidArguments),
    ],
)
def test_what_a_middleware_makes_of_a_push_is_checked_like_any_push(
    override_faktory: Any, monkeypatch: pytest.MonkeyPatch, change: Any, error: type[Exception]
) -> None:
    override_faktory(PUSH_MIDDLEWARE=[f"{__name__}.Breaks"])
    monkeypatch.setattr(Breaks, "change", change, raising=False)

    with pytest.raises(error):
        noop.perform_async()

    assert nothing_is_stored()


def test_arguments_that_a_middleware_changed_have_to_fit_the_function(
    override_faktory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @job
    def work(a: int) -> None: ...

    override_faktory(PUSH_MIDDLEWARE=[f"{__name__}.Breaks"])
    monkeypatch.setattr(Breaks, "change", {"args": [1, 2]}, raising=False)

    with pytest.raises(TypeError, match="too many positional arguments"):
        work.perform_async(1)

    assert nothing_is_stored()


def returns_true(_next_push: Any) -> Callable[[Any], Any]:
    """Be a middleware that forgets what to return."""
    return lambda _push: True


def test_a_middleware_that_returns_something_else_is_told_what_to_return(
    override_faktory: Any,
) -> None:
    override_faktory(PUSH_MIDDLEWARE=[f"{__name__}.returns_true"])

    with pytest.raises(InvalidPayload, match="must return the PushRequest or None, got True"):
        noop.perform_async()

    assert nothing_is_stored()


# Signals


@pytest.fixture
def heard() -> Iterator[list[tuple[Any, ...]]]:
    """Return what the signals say, in order."""
    said: list[tuple[Any, ...]] = []

    def hear(sender: str, **facts: Any) -> None:
        name = next(n for n in dir(signals) if getattr(signals, n) is facts["signal"])
        jid = facts["job"].jid if "job" in facts else facts["jid"]
        said.append((name, sender, jid))

    all_signals = [signals.pushed, signals.started, signals.succeeded, signals.failed]
    for signal in all_signals:
        signal.connect(hear)
    yield said
    for signal in all_signals:
        signal.disconnect(hear)


def test_signals_tell_of_each_push_and_each_run(heard: list[tuple[Any, ...]]) -> None:
    good = noop.set(queue="q").perform_async()
    [bad] = record.perform_bulk([["/nowhere/at/all", ""]])

    drain(raise_errors=False)

    assert good is not None
    assert set(heard) == {
        ("pushed", "tests.jobapp.jobs.noop", good.jid),
        ("started", "tests.jobapp.jobs.noop", good.jid),
        ("succeeded", "tests.jobapp.jobs.noop", good.jid),
        ("pushed", "tests.jobapp.jobs.record", bad.jid),
        ("started", "tests.jobapp.jobs.record", bad.jid),
        ("failed", "tests.jobapp.jobs.record", bad.jid),
    }


def test_a_receiver_that_raises_does_not_stop_a_push_or_a_run() -> None:
    def leave(**_: Any) -> None:
        raise ZeroDivisionError

    for signal in (signals.pushed, signals.started, signals.succeeded):
        signal.connect(leave)
    try:
        noop.perform_async()
        drained = drain()
    finally:
        for signal in (signals.pushed, signals.started, signals.succeeded):
            signal.disconnect(leave)

    assert drained.ran == ["tests.jobapp.jobs.noop"]


# Databases


@pytest.fixture
def other_alias() -> Iterator[str]:
    """Return a second alias of the test database, with a connection of its own."""
    connections.settings["other"] = copy.deepcopy(connections["default"].settings_dict)
    connections["other"].connect()
    yield "other"
    connections["other"].close()
    del connections["other"]
    del connections.settings["other"]


@pytest.mark.django_db(transaction=True)
def test_a_push_takes_part_in_the_transaction_of_the_alias_that_it_names(other_alias: str) -> None:
    def push_and_fail() -> None:
        with transaction.atomic(using="default"):
            noop.set(using=other_alias).perform_async()
            noop.perform_async()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        push_and_fail()

    assert Stored.objects.count() == 1
    Stored.objects.all().delete()


def test_a_database_that_is_not_postgresql_is_refused() -> None:
    connections.settings["lite"] = {
        **copy.deepcopy(connections["default"].settings_dict),
        "ENGINE": "django.db.backends.sqlite3",
    }
    try:
        with pytest.raises(DatabaseNotReady, match="database 'lite' must be PostgreSQL, it is sq"):
            noop.set(using="lite").perform_async()
    finally:
        del connections["lite"]
        del connections.settings["lite"]
