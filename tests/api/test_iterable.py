"""Iterable jobs: what they yield is kept, and the next run begins there."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from faktory_django import InvalidCursor, Job, Snooze, current_job, iterate, job
from faktory_django.errors import ReservationLost, UnreadableArguments
from faktory_django.lifecycle import mutate
from faktory_django.models import Cursor, DeadJob, Lease, Queue, RetryJob, ScheduledJob
from faktory_django.testing import drain
from tests.api.test_encrypt import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.django_db


def again() -> None:
    """Run what is scheduled or will be retried."""
    for target, model in (("scheduled", ScheduledJob), ("retries", RetryJob), ("dead", DeadJob)):
        mutate.requeue(target, list(model.objects.values_list("id", flat=True)))
    drain(raise_errors=False)


@pytest.mark.parametrize(
    "value",
    [
        7,
        "x",
        None,
        1.5,
        [3, {"a": None}],
        UUID(int=5),
        {"at": [date(2026, 1, 2)]},
    ],
)
def test_what_was_yielded_last_is_what_the_next_run_finds(value: Any) -> None:
    found = []

    @job
    def work() -> Iterator[Any]:
        found.append(current_job().cursor)
        if len(found) == 1:
            yield 0
            yield value
            raise Snooze(60)

    work.perform_async()
    drain()
    again()

    assert found == [None, value]


def test_the_cursor_is_what_it_was_when_it_was_yielded() -> None:
    found = []

    @job
    def work() -> Iterator[Any]:
        found.append(current_job().cursor)
        if len(found) == 1:
            place = [1]
            yield place
            place.append(2)
            raise Snooze(60)

    work.perform_async()
    drain()
    again()

    assert found == [None, [1]]


def test_an_async_job_and_a_class_go_on_too() -> None:
    seen: list[int] = []

    @job
    async def later() -> AsyncIterator[int]:
        for number, cursor in iterate.sequence([10, 20, 30]):
            if number == 20 and seen[-1] == 10:
                seen.append(-20)
                raise Snooze(60)
            seen.append(number)
            yield cursor

    class Sum:
        def perform(self, *numbers: int) -> Iterator[int]:
            for number, cursor in iterate.sequence(numbers):
                if number == 5 and seen[-1] == 4:
                    seen.append(-5)
                    raise Snooze(60)
                seen.append(number)
                yield cursor

    later.perform_async()
    drain()
    again()
    sums: Any = job(Sum)
    sums.perform_async(4, 5)
    drain()
    again()

    assert seen == [10, -20, 20, 30, 4, -5, 5]


def test_a_job_that_does_not_yield_has_no_cursor() -> None:
    found = []

    @job
    def yields() -> Iterator[int]:
        yield 1

    @job
    def returns() -> None:
        found.append(current_job().cursor)

    yields.perform_async()
    returns.perform_async()
    drain()

    assert found == [None]


def test_a_job_that_ends_at_once_keeps_nothing() -> None:
    @job
    def work() -> Iterator[int]:
        yield 1

    work.perform_async()
    drain()

    assert not Cursor.objects.exists()


def test_a_long_run_writes_now_and_then(override_faktory: Callable[..., None]) -> None:
    override_faktory(CHECKPOINT_SECONDS=0.1)
    written: list[int] = []

    def look() -> Iterator[int]:
        number = 0
        while len(set(written)) < 3:
            number += 1
            written.extend(Cursor.objects.values_list("items", flat=True))
            yield number

    job(name="look")(look).perform_async()
    drain()

    assert len(set(written)) == 3


def test_a_long_async_run_writes_now_and_then(override_faktory: Callable[..., None]) -> None:
    override_faktory(CHECKPOINT_SECONDS=0.1)
    written: list[int] = []

    @job
    async def look() -> AsyncIterator[int]:
        number = 0
        while len(set(written)) < 2:
            number += 1
            written.extend([n async for n in Cursor.objects.values_list("items", flat=True)])
            yield number

    look.perform_async()
    drain()

    assert len(set(written)) == 2


@pytest.mark.parametrize("retry", [3, 0])
def test_a_dead_job_that_is_revived_goes_on(retry: int) -> None:
    begins = []

    @job(retry=retry)
    def work() -> Iterator[str]:
        begins.append(current_job().cursor)
        yield "half"
        if len(begins) < 2:
            raise ValueError("no")

    work.perform_async()
    drain(raise_errors=False)
    again()

    assert begins == ([None, "half"] if retry else [None])


def test_another_job_of_the_same_jid_begins_at_the_beginning() -> None:
    begins = []

    @job
    def work() -> Iterator[int]:
        begins.append(current_job().cursor)
        yield 1
        raise Snooze(60)

    handle = work.perform_async()
    drain()
    assert str(Cursor.objects.get()) == handle.jid
    Cursor.objects.update(created="2001-01-01T00:00:00Z")

    again()

    assert begins == [None, None]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "a cursor must be JSON, the one yielded is not"),
        (float("nan"), "a cursor must be JSON"),
        ("x" * 100, "a cursor must be JSON of at most 64 bytes (MAX_CURSOR_BYTES), got 104"),
        ("é" * 40, "got 84"),
    ],
)
def test_a_cursor_that_cannot_be_kept_fails_the_job_at_the_last_good_one(
    override_faktory: Callable[..., None], value: Any, says: str
) -> None:
    override_faktory(MAX_CURSOR_BYTES=64)

    @job
    def work() -> Iterator[Any]:
        yield 1
        yield value

    work.perform_async()

    with pytest.raises(InvalidCursor) as raised:
        drain()

    assert says in str(raised.value)
    assert json.loads(Cursor.objects.get().cursor) == [1]


def test_the_cursor_of_an_encrypted_job_is_sealed(override_faktory: Callable[..., None]) -> None:
    override_faktory(ENCRYPTION_KEYS=[KEY])
    begins = []

    @job(encrypt=True)
    def work(_: str) -> Iterator[Any]:
        begins.append(current_job().cursor)
        if len(begins) == 1:
            yield {"secret": UUID(int=1)}
            raise Snooze(60)

    work.perform_async("4111")
    drain()

    kept = Cursor.objects.get()
    assert kept.sealed
    assert "secret" not in kept.cursor
    assert kept.kinds is None
    again()
    assert begins == [None, {"secret": UUID(int=1)}]


@pytest.mark.parametrize("kept", ['["x"]', "[1,2]"])
def test_a_cursor_that_cannot_be_read_fails_the_job(
    override_faktory: Callable[..., None], kept: str
) -> None:
    override_faktory(ENCRYPTION_KEYS=[KEY])

    @job(encrypt=True)
    def work() -> Iterator[int]:
        yield 1
        raise Snooze(60)

    work.perform_async()
    drain()
    Cursor.objects.update(cursor=kept, sealed=kept == '["x"]')
    mutate.requeue("scheduled", list(ScheduledJob.objects.values_list("id", flat=True)))

    with pytest.raises(UnreadableArguments):
        drain()


def test_who_has_lost_the_job_writes_nothing() -> None:
    @job
    def work() -> Iterator[int]:
        yield 1
        Lease.objects.all().delete()
        raise Snooze(60)

    work.perform_async()
    drain(raise_errors=False)

    assert not Cursor.objects.exists()


def test_an_atomic_item_of_who_has_lost_the_job_is_undone() -> None:
    @job(atomic=True)
    def work() -> Iterator[int]:
        Queue.objects.create(name="first")
        yield 1
        Queue.objects.create(name="second")
        Lease.objects.all().delete()
        yield 2

    work.perform_async()

    with pytest.raises(ReservationLost):
        drain("default")

    names = set(Queue.objects.values_list("name", flat=True))
    assert "first" in names
    assert "second" not in names
    assert Cursor.objects.get().items == 1
    assert RetryJob.objects.count() == 1


def test_an_atomic_item_that_fails_is_undone_and_the_rest_stays() -> None:
    @job(atomic=True)
    def work() -> Iterator[int]:
        for number, cursor in iterate.sequence(range(3)):
            Queue.objects.create(name=f"item-{number}")
            if number == 1:
                raise ValueError("no")
            yield cursor

    work.perform_async()
    drain("default", raise_errors=False)

    names = Queue.objects.filter(name__startswith="item-").values_list("name", flat=True)
    assert list(names) == ["item-0"]
    assert json.loads(Cursor.objects.get().cursor) == [1]


# helpers


def rows(*names: str) -> None:
    Queue.objects.bulk_create([Queue(name=name) for name in names])


def test_a_queryset_comes_by_primary_key_in_batches(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    rows("c", "a", "d", "b")
    found = Queue.objects.order_by("-name")

    with django_assert_num_queries(3):
        pairs = [(row.name, cursor) for row, cursor in iterate.queryset(found, batch=2)]

    assert pairs == [(name, name) for name in "abcd"]
    assert [row.name for row, _ in iterate.queryset(found, after="b")] == ["c", "d"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_queryset_says_how_far_it_is_also_when_it_goes_on(mode: str) -> None:
    rows("a", "b", "c", "d")
    stopped: list[str] = []

    def stop_once(name: str) -> None:
        if name == "c" and not stopped:
            stopped.append(name)
            raise Snooze(60)

    @job
    def work() -> Iterator[str]:
        for row, cursor in iterate.queryset(Queue.objects.exclude(name="default"), progress=True):
            stop_once(row.name)
            yield cursor

    @job
    async def awork() -> AsyncIterator[str]:
        found = Queue.objects.exclude(name="default")
        async for row, cursor in iterate.aqueryset(found, batch=3, progress=True):
            stop_once(row.name)
            yield cursor

    handle = (work if mode == "sync" else awork).perform_async()
    drain("default")
    first = Job.status(handle.jid)
    mutate.requeue("scheduled", list(ScheduledJob.objects.values_list("id", flat=True)))
    drain("default")

    status = Job.status(handle.jid)
    assert (first.percent, first.text) == (50, "2 / 4")
    assert (status.percent, status.text) == (100, "4 / 4")


def test_outside_a_job_it_begins_at_the_beginning() -> None:
    assert list(iterate.sequence("ab", progress=True)) == [("a", 1), ("b", 2)]
    assert list(iterate.numbered(iter("abc"), after=1)) == [("b", 2), ("c", 3)]


def test_the_lines_of_a_file_go_on_after_a_position(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes("eins\r\nzwö\ndrei".encode())

    pairs = list(iterate.lines(path))

    assert pairs == [("eins", 6), ("zwö", 11), ("drei", 15)]
    for number, (_, cursor) in enumerate(pairs, 1):
        assert list(iterate.lines(path, after=cursor)) == pairs[number:]


def test_the_rows_of_a_csv_file_go_on_after_a_position(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('name;says\na;"one\ntwo"\nb;three\n', encoding="utf-8")

    pairs = list(iterate.csv_rows(path, delimiter=";"))

    assert [row for row, _ in pairs] == [
        {"name": "a", "says": "one\ntwo"},
        {"name": "b", "says": "three"},
    ]
    for number, (_, cursor) in enumerate(pairs, 1):
        assert list(iterate.csv_rows(path, after=cursor, delimiter=";")) == pairs[number:]
    (tmp_path / "empty").touch()
    assert list(iterate.csv_rows(tmp_path / "empty")) == []
