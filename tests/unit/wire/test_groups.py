"""Groups: what waits goes together, in order, each key once, and not too much at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from faktory_django.wire.groups import MAX_GROUP, MAX_GROUP_BYTES, Group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Item = tuple[str, int]


class Bench:
    """A group whose senders record what they get, and hold it until they are let go."""

    def __init__(self, group: Group[Item], *, senders: int = 1) -> None:
        self.group = group
        self.sent: list[list[Item]] = []
        self.gate = asyncio.Semaphore(0)
        self.tasks = [asyncio.create_task(group.run(self._send)) for _ in range(senders)]

    async def _send(self, items: list[Item]) -> None:
        self.sent.append(items)
        await self.gate.acquire()
        if ("broken", 0) in items:
            raise RuntimeError("nobody has foreseen this")

    async def add(self, *items: Item) -> None:
        for item in items:
            self.group.add(item)
        await self.settle()

    async def let_go(self, times: int = 1) -> None:
        for _ in range(times):
            self.gate.release()
            await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await test()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(whole())


def ignore(_item: Item) -> None:
    pass


def a(number: int) -> Item:
    return "a", number


def test_alone_nobody_waits_and_under_load_a_group_fills() -> None:
    async def test() -> None:
        bench = Bench(Group(ignore))

        await bench.add(a(1))
        await bench.add(a(2), a(3))
        await bench.add(a(4))
        assert bench.sent == [[a(1)]]
        assert len(bench.group) == 3

        await bench.let_go()
        assert bench.sent == [[a(1)], [a(2), a(3), a(4)]]
        assert len(bench.group) == 0

        await bench.let_go()
        await bench.add(a(5))
        assert bench.sent[2:] == [[a(5)]]

    run(test)


def test_senders_take_turns() -> None:
    async def test() -> None:
        bench = Bench(Group(ignore), senders=2)
        await bench.settle()

        await bench.add(a(1))
        await bench.add(a(2))
        await bench.add(a(3))

        assert bench.sent == [[a(1)], [a(2)]]

    run(test)


def test_a_sender_that_was_ended_while_idle_is_passed_over() -> None:
    async def test() -> None:
        bench = Bench(Group(ignore), senders=2)
        await bench.settle()
        bench.tasks[0].cancel()
        await bench.settle()

        await bench.add(a(1))

        assert bench.sent == [[a(1)]]

    run(test)


def test_a_full_group_goes_and_the_rest_follows() -> None:
    async def test() -> None:
        bench = Bench(Group(ignore))
        items = [a(n) for n in range(2 * MAX_GROUP + 1)]

        await bench.add(*items)
        await bench.let_go(3)

        assert [len(sent) for sent in bench.sent] == [MAX_GROUP, MAX_GROUP, 1]
        assert [item for sent in bench.sent for item in sent] == items

    run(test)


def test_of_two_with_one_key_the_second_waits_and_all_after_it() -> None:
    async def test() -> None:
        bench = Bench(Group(ignore, key=lambda item: item[0]))

        await bench.add(("x", 0))
        await bench.add(("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5), ("a", 6))
        await bench.let_go(4)

        assert bench.sent == [
            [("x", 0)],
            [("a", 1), ("b", 2)],
            [("a", 3), ("c", 4), ("b", 5)],
            [("a", 6)],
        ]

    run(test)


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([MAX_GROUP_BYTES, 1], [1, 1]),
        ([MAX_GROUP_BYTES - 1, 1, 1], [2, 1]),
        ([MAX_GROUP_BYTES + 1], [1]),
        ([MAX_GROUP_BYTES + 1, MAX_GROUP_BYTES + 1, 1], [1, 1, 1]),
    ],
)
def test_a_group_of_large_ones_is_cut(sizes: list[int], groups: list[int]) -> None:
    async def test() -> None:
        bench = Bench(Group(ignore, size=lambda item: item[1]))

        await bench.add(("x", 0))
        await bench.add(*[("s", size) for size in sizes])
        await bench.let_go(len(groups) + 1)

        assert [len(sent) for sent in bench.sent[1:]] == groups

    run(test)


def test_an_error_that_nobody_has_foreseen_refuses_its_group_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused: list[Item] = []

    async def test() -> None:
        bench = Bench(Group(refused.append))
        await bench.add(a(1))
        await bench.add(("broken", 0), a(2))
        await bench.let_go(2)
        await bench.add(a(3))

        assert refused == [("broken", 0), a(2)]
        assert bench.sent[2:] == [[a(3)]]

    run(test)

    assert "2 commands met an error of ours" in caplog.text
