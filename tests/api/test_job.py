"""@job: what it makes of a function, and what it refuses at import."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django import InvalidOption, InvalidQueueName, job, registry
from faktory_django.errors import DuplicateJobType
from tests.jobapp.jobs import noop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def test_a_job_without_parentheses_is_named_by_its_dotted_path() -> None:
    assert noop.jobtype == "tests.jobapp.jobs.noop"
    assert repr(noop) == "<Job tests.jobapp.jobs.noop>"


def test_a_job_keeps_what_its_function_says_of_itself_and_can_be_called() -> None:
    @job(queue="low")
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    assert (add(2), add(2, b=3)) == (3, 5)
    assert (vars(add)["__name__"], add.__doc__) == ("add", "Add.")


def test_a_class_with_perform_is_a_job_and_can_be_called() -> None:
    class Greeter:
        def perform(self, name: str) -> str:
            return f"hello {name}"

    greet = job(name="Greeter")(Greeter)

    assert greet().perform("you") == "hello you"
    assert greet.jobtype == "Greeter"


def test_a_job_is_found_by_its_name_and_its_aliases() -> None:
    @job(name="reports.build", aliases=["reports.make"])
    def build() -> None:
        pass

    assert registry.find("reports.make") is registry.find("reports.build") is build.definition


def test_a_name_in_use_is_refused() -> None:
    with pytest.raises(DuplicateJobType, match=r"'tests\.jobapp\.jobs\.noop' belongs"):

        @job(name="tests.jobapp.jobs.noop")
        def other() -> None:
            pass


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"queue": "a b"}, InvalidQueueName, "a queue name is 1 to 100 characters"),
        ({"retry": 1_001}, InvalidOption, "retry must be an int from -1 to 1000, got 1001"),
        ({"retries": 3}, InvalidOption, "unknown option 'retries'"),
        (
            {"timeout_seconds": 61, "reserve_for": 60},
            InvalidOption,
            "timeout_seconds must be at most reserve_for (60), got 61",
        ),
        (
            {"timeout_seconds": 1_801},
            InvalidOption,
            "timeout_seconds must be at most reserve_for (1800), got 1801",
        ),
    ],
)
def test_a_wrong_option_is_refused_at_import(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refusal:
        job(**options)(print)

    assert message in str(refusal.value)


def test_an_async_job_cannot_be_atomic() -> None:
    async def work() -> None:
        pass

    with pytest.raises(InvalidOption, match="is async; atomic=True needs a plain function"):
        job(atomic=True)(work)


@pytest.mark.parametrize("wrapped", [5, "text", functools.partial(print)])
def test_what_is_neither_a_function_nor_a_class_is_refused(wrapped: Any) -> None:
    with pytest.raises(InvalidOption, match="@job wants a function or a class, got"):
        job()(wrapped)


def test_a_class_without_perform_is_refused() -> None:
    class Empty:
        pass

    with pytest.raises(InvalidOption, match=r"Empty has no method perform\(self, ...\)"):
        job(Empty)


def test_a_class_that_cannot_be_made_without_arguments_is_refused() -> None:
    class Needy:
        def __init__(self, client: str) -> None: ...

        def perform(self) -> None: ...

    with pytest.raises(InvalidOption, match=r"Needy must be made without arguments: .*'client'"):
        job(Needy)


def test_a_generator_is_an_iterable_job() -> None:
    def generate() -> Iterator[int]:
        yield 1

    async def generate_async() -> AsyncIterator[int]:
        yield 1

    class Generates:
        def perform(self) -> Iterator[int]:
            yield 1

    made = [job(wrapped).definition for wrapped in (generate, generate_async, Generates)]

    assert [(d.iterable, d.is_async) for d in made] == [(True, False), (True, True), (True, False)]
    assert not noop.definition.iterable


def test_a_job_is_not_decorated_twice() -> None:
    with pytest.raises(InvalidOption, match=r"tests\.jobapp\.jobs\.noop is a job al"):
        job(noop)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"name": "x"}, "unknown option 'name'"), ({"priority": 500}, "priority must be")],
)
def test_a_wrong_option_of_set_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        noop.set(**options)
