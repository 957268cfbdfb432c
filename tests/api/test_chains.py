"""chain and group: what runs after what, with which results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

import faktory_django
from faktory_django import Batch, InvalidOption, chain, current_job, group, job, models
from faktory_django.testing import drain

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db

ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


def work_job(**options: Any) -> faktory_django.Job[..., Any]:
    @job(name="work", **options)
    def work(*args: Any) -> None:
        ran.append(args[0] if len(args) == 1 else args)

    return work


def test_a_chain_runs_one_after_the_other_and_the_callback_last() -> None:
    work = work_job()
    batch = chain(work.s(1), work.s(2), work.s(3), success=work.s("done"), description="c").push()
    status = batch.status()
    assert (status.total, status.planned, status.description) == (1, 2, "c")
    assert models.Job.objects.count() == 1

    drain()

    assert ran == [1, 2, 3, "done"]
    assert batch.status().state == "success"


def test_a_step_of_several_jobs_is_waited_for() -> None:
    work = work_job()
    chain(group(work.s(1), work.s(2)), work.s("both")).push()
    assert models.Job.objects.count() == 2

    drain()

    assert ran == [1, 2, "both"]


def test_a_chain_in_a_chain_is_its_steps() -> None:
    work = work_job()
    chain(chain(work.s(1), work.s(2)), work.s(3)).push()

    drain()

    assert ran == [1, 2, 3]


def test_a_chain_of_one_is_a_job_with_callbacks() -> None:
    work = work_job()
    chain(work.s(1), success=work.s(2)).push()

    drain()

    assert ran == [1, 2]


def test_a_step_that_fails_for_good_holds_the_rest() -> None:
    work = work_job()

    @job(retry=-1)
    def dies() -> None:
        raise ValueError("no")

    batch = chain(dies.s(), work.s("never"), on_dead=work.s("dead")).push()
    drain(raise_errors=False)

    assert ran == ["dead"]
    assert (batch.status().failed, batch.status().planned) == (1, 1)


def test_a_job_cancels_the_chain_that_it_is_in() -> None:
    work = work_job()

    @job
    def stops() -> None:
        batch = current_job().batch
        assert batch is not None
        batch.cancel()

    batch = chain(stops.s(), work.s("never")).push()
    drain()

    assert ran == []
    assert batch.status().state == "cancelled"


def test_a_group_runs_side_by_side_and_the_callback_follows() -> None:
    work = work_job()
    batch = group(work.s(1), work.s(2), success=work.s("both")).push()

    drain()

    assert ran == [1, 2, "both"]
    assert isinstance(batch, Batch)


def test_chains_and_groups_in_a_group_are_its_children() -> None:
    work = work_job()
    batch = group(
        chain(work.s(1), work.s(2)), group(work.s(3)), work.s(4), success=work.s("all")
    ).push()
    assert batch.status().children == 2

    drain()

    assert sorted(ran[:4]) == [1, 2, 3, 4]
    assert ran.index(1) < ran.index(2)
    assert ran[4] == "all"


def test_options_and_attributes_of_jobs_are_kept() -> None:
    work = work_job(queue="other", custom={"tenant": 7})
    chain(work.s(1), work.s(2).set(priority=5), pass_result=False).push()
    first = models.Job.objects.get()
    assert (first.queue, '"tenant":7' in first.body) == ("other", True)

    drain()

    assert ran == [1, 2]


def test_a_chain_that_passes_results_takes_an_argument_more() -> None:
    @job
    def add(a: int, b: int) -> None:
        pass

    batch = chain(add.s(1, 2), add.s(3), group(add.s(4), add.s(5)), pass_result=True).push()

    steps: Any = models.Batch.objects.get(bid=batch.bid).steps
    assert [(len(step["jobs"]), step["list"], step["of"]) for step in steps] == [
        (1, False, 1),
        (2, False, 1),
    ]
    assert f'"args":["result of {batch.bid}",3]' in steps[0]["jobs"][0]["body"]
    assert models.Job.objects.get().traits == {"bid": batch.bid, "step": [0, 0]}


def test_what_steps_return_goes_to_the_next() -> None:
    @job
    def double(number: int) -> int:
        return 2 * number

    @job
    def total(numbers: list[int], extra: int) -> int:
        ran.append(numbers)
        return sum(numbers) + extra

    @job
    def tell(number: int) -> None:
        ran.append(number)

    steps = group(double.s(1), double.s(20)), total.s(100), tell.s()
    chain(*steps, pass_result=True).push()

    drain()

    assert ran == [[2, 40], 142]
    assert models.BatchResult.objects.count() == 0


def test_what_an_encrypted_step_returns_is_not_passed_on(
    override_faktory: Callable[..., None],
) -> None:
    fernet = pytest.importorskip("cryptography.fernet").Fernet
    override_faktory(ENCRYPTION_KEYS=[fernet.generate_key().decode()])

    @job(encrypt=True)
    def secret(number: int) -> int:
        return 2 * number

    @job
    def tell(number: int | None) -> None:
        ran.append(number)

    chain(secret.s(1), tell.s(), pass_result=True).push()

    drain()

    assert ran == [None]


def test_async_code_pushes_them_too() -> None:
    work = work_job()
    async_to_sync(group(work.s(1)).apush)()
    async_to_sync(chain(work.s(2), work.s(3)).apush)()

    drain()

    assert ran == [1, 2, 3]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _work: chain(), "a chain needs at least one step"),
        (lambda _work: chain(print), "a step of a chain is a signature"),  # type: ignore[arg-type]
        (lambda _work: chain(group()), "a step of a chain is a signature"),
        (lambda work: chain(group(chain(work.s()))), "a step of a chain is a signature"),
        (lambda work: chain(group(work.s(), description="x")), "a step of a chain"),
        (lambda work: chain(work.s(), sucess=work.s()), "unknown option 'sucess'"),
        (lambda _work: group(print), "a group takes signatures, chains and groups"),  # type: ignore[arg-type]
        (lambda work: group(work.s(), retry=1), "unknown option 'retry'"),
        (lambda work: group(work.s(), success=print).push(), "success must be a signature"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[Any], Any], why: str) -> None:
    with pytest.raises(InvalidOption, match=why):
        make(work_job())

    assert models.Job.objects.count() == 0


def test_an_encrypted_job_takes_no_result(override_faktory: Callable[..., None]) -> None:
    pytest.importorskip("cryptography")
    from cryptography.fernet import Fernet

    override_faktory(ENCRYPTION_KEYS=[Fernet.generate_key().decode()])
    plain = work_job()

    @job(encrypt=True)
    def secret(_result: Any) -> None:
        pass

    with pytest.raises(InvalidOption, match="encrypt=True: it cannot take a result"):
        chain(plain.s(1), secret.s(), pass_result=True).push()
    assert chain(plain.s(1), secret.s(2)).push().status().planned == 1
