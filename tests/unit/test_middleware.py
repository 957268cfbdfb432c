"""Middleware: the first is the outermost, each is adapted to the mode of the job."""

from __future__ import annotations

import threading
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

from faktory_django.api import middleware

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[list[str]], Any]


def plain(handler: Handler) -> Handler:
    """Be a sync middleware, as Django's are without a mark."""

    def run(steps: list[str]) -> Any:
        steps.append("plain in")
        result = handler(steps)
        steps.append("plain out")
        return result

    return run


@async_only_middleware
def only_async(handler: Handler) -> Handler:
    """Be an async middleware."""

    async def run(steps: list[str]) -> Any:
        steps.append("only_async in")
        result = await handler(steps)
        steps.append("only_async out")
        return result

    return run


@sync_and_async_middleware
def both(handler: Handler) -> Handler:
    """Be a middleware of the handler's own mode."""
    if iscoroutinefunction(handler):

        async def run_async(steps: list[str]) -> Any:
            steps.append("both async")
            return await handler(steps)

        return run_async

    def run(steps: list[str]) -> Any:
        steps.append("both sync")
        return handler(steps)

    return run


class AsAClass:
    """A middleware class with __call__, sync."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def __call__(self, steps: list[str]) -> Any:
        """Pass on."""
        steps.append("class")
        return self.handler(steps)


class AsAnAsyncClass:
    """A middleware class with an async __call__."""

    sync_capable = False
    async_capable = True

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, steps: list[str]) -> Any:
        """Pass on."""
        steps.append("async class")
        return await self.handler(steps)


def stopping(_handler: Handler) -> Handler:
    """Be a middleware that does not go on."""
    return lambda steps: steps.append("stopped")


def sync_job(steps: list[str]) -> int:
    """Be the innermost, sync."""
    steps.append(f"job in {threading.current_thread().name}")
    return 42


async def async_job(steps: list[str]) -> int:
    """Be the innermost, async."""
    steps.append(f"job in {threading.current_thread().name}")
    return 42


def paths(*factories: Any) -> list[str]:
    """Return where middleware is found."""
    return [f"{__name__}.{factory.__name__}" for factory in factories]


def run(names: list[str], *, is_async: bool) -> tuple[Any, list[str]]:
    """Run a job inside its middleware; return its result and the steps."""
    steps: list[str] = []
    handler = middleware.chain(names, async_job if is_async else sync_job, is_async=is_async)
    result = async_to_sync(handler)(steps) if is_async else handler(steps)
    return result, steps


HERE = f"job in {threading.main_thread().name}"


@pytest.mark.parametrize(
    ("factories", "steps"),
    [
        ([], [HERE]),
        ([plain], ["plain in", HERE, "plain out"]),
        ([AsAClass, plain], ["class", "plain in", HERE, "plain out"]),
        ([plain, AsAClass], ["plain in", "class", HERE, "plain out"]),
        ([both, plain], ["both sync", "plain in", HERE, "plain out"]),
        ([only_async], ["only_async in", HERE, "only_async out"]),
        (
            [plain, only_async, both],
            ["plain in", "only_async in", "both sync", HERE, "only_async out", "plain out"],
        ),
        ([AsAnAsyncClass, AsAClass], ["async class", "class", HERE]),
    ],
)
def test_a_sync_job_runs_inside_all_middleware_in_its_own_thread(
    factories: list[Any], steps: list[str]
) -> None:
    assert run(paths(*factories), is_async=False) == (42, steps)


@pytest.mark.parametrize(
    ("factories", "steps"),
    [
        ([], []),
        ([only_async], ["only_async in", "only_async out"]),
        ([both, only_async], ["both async", "only_async in", "only_async out"]),
        ([plain], ["plain in", "plain out"]),
        (
            [plain, only_async, both],
            ["plain in", "only_async in", "both async", "only_async out", "plain out"],
        ),
        ([AsAnAsyncClass, AsAClass], ["async class", "class"]),
    ],
)
def test_an_async_job_runs_inside_all_middleware(factories: list[Any], steps: list[str]) -> None:
    result, found = run(paths(*factories), is_async=True)

    assert result == 42
    assert [step for step in found if not step.startswith("job")] == steps


def test_a_middleware_that_does_not_go_on_stops_the_job() -> None:
    assert run(paths(plain, stopping), is_async=False)[1] == ["plain in", "stopped", "plain out"]


def test_there_is_no_chain_around_pushes_without_middleware(override_faktory: Any) -> None:
    override_faktory(PUSH_MIDDLEWARE=[])
    without = middleware.push_chain()
    override_faktory(PUSH_MIDDLEWARE=paths(plain))

    assert without is None
    assert middleware.push_chain() is not None
