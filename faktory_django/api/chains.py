"""chain and group: jobs one after the other, and jobs side by side. Both are batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async

from faktory_django.errors import InvalidOption
from faktory_django.features import batches

from . import options as checks
from .batch import Batch
from .signatures import Signature, ready

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS: Final = ("description", "success", "complete", "on_dead", "parent", "using")


class group:  # noqa: N801 - reads as a verb does, beside chain
    """Jobs that run side by side: signatures, and chains and groups, which become child batches.

    Takes what Batch takes besides.
    """

    def __init__(self, *members: Signature | chain | group, **options: Any) -> None:
        for one in members:
            if not isinstance(one, (Signature, chain, group)):
                raise InvalidOption(
                    f"a group takes signatures, chains and groups, got {checks.shown(one)}"
                )
        self.members = members
        self.options = _checked(options)

    def push(self) -> Batch:
        """Push all of it, or nothing; return the batch."""
        with Batch(**self.options) as batch:
            for one in self.members:
                one.push()
        return batch

    async def apush(self) -> Batch:
        """push for async code."""
        return await sync_to_async(self.push)()


class chain:  # noqa: N801
    """Jobs that run one after the other, each when the one before has succeeded.

    A step is a signature or a group of signatures: the next step waits for all of it. With
    pass_result each job gets what the step before has returned as its first argument: one value,
    or a list for a group. Takes what Batch takes besides; the callbacks follow the last step.
    """

    def __init__(
        self, *steps: Signature | group | chain, pass_result: bool = False, **options: Any
    ) -> None:
        self.pass_result: bool = pass_result
        self.options: dict[str, Any] = _checked(options)
        self.steps: list[Signature | group] = []
        for step in steps:
            if isinstance(step, chain) and not step.options and step.pass_result == pass_result:
                self.steps += step.steps
            else:
                self.steps.append(_step(step))
        if not self.steps:
            raise InvalidOption("a chain needs at least one step")

    def push(self) -> Batch:
        """Push the first step, and what is to follow; return the batch."""
        batch = Batch(**self.options)
        last = len(self.steps) - 1
        batch._steps = [self._later(batch.bid, nr) for nr in range(1, last + 1)]
        with batch:
            for place, one in enumerate(_members(self.steps[0])):
                custom = self._marks(0, place) if last else {}
                one.set(custom={**(one.job.options.get("custom") or {}), **custom}).push()
        return batch

    async def apush(self) -> Batch:
        """push for async code."""
        return await sync_to_async(self.push)()

    def _later(self, bid: str, nr: int) -> dict[str, Any]:
        """Return a step as the fold pushes it; takes stands where the result is to be."""
        before = self.steps[nr - 1]
        takes = f"result of {bid}"
        jobs = []
        for place, one in enumerate(_members(self.steps[nr])):
            if self.pass_result and one.job.definition.encrypt:
                raise InvalidOption(
                    f"{one.job.jobtype} has encrypt=True: it cannot take a result in a chain"
                )
            custom = {batches.MEMBER: bid, batches.BY: "chain"}
            if nr < len(self.steps) - 1:
                custom |= self._marks(nr, place)
            jobs.append(ready(one, custom, first=[takes] if self.pass_result else []))
        step: dict[str, Any] = {"jobs": [job for job in jobs if job is not None]}
        if self.pass_result:
            step |= {
                "takes": f'"{takes}"',
                "list": isinstance(before, group),
                "of": len(_members(before)),
            }
        return step

    def _marks(self, nr: int, place: int) -> dict[str, Any]:
        return {batches.STEP: [nr, place]} if self.pass_result else {}


def _members(step: Signature | group) -> Sequence[Signature]:
    if isinstance(step, Signature):
        return [step]
    return [one for one in step.members if isinstance(one, Signature)]


def _step(step: Any) -> Signature | group:
    if isinstance(step, Signature):
        return step
    plain = isinstance(step, group) and not step.options
    if not plain or not step.members or not all(isinstance(m, Signature) for m in step.members):
        raise InvalidOption(
            "a step of a chain is a signature, or a group of signatures without options, "
            f"got {checks.shown(step)}"
        )
    return step  # type: ignore[no-any-return]


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name not in OPTIONS:
            raise InvalidOption(f"unknown option {name!r}; there are {', '.join(OPTIONS)}")
    return options
