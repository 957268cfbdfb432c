"""Results: what a job has returned, for those who wait for it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async

from faktory_django import arguments, contents, encryption
from faktory_django.errors import InvalidOption, NoResult
from faktory_django.features import history

from .inspection import status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faktory_django.lifecycle.history import Finished

# Between two looks: soon at first, for most jobs are short.
FIRST_SECONDS: Final = 0.02
LONGEST_SECONDS: Final = 1.0
MAX_TIMEOUT_SECONDS: Final = 86_400


def result(jid: str, *, using: str | None = None) -> Any:
    """Return what a job has returned, of the kinds that it had.

    Raises NoResult, which says why there is none, and UnreadableArguments when it is encrypted
    with a key that is not there.
    """
    from faktory_django.lifecycle.history import latest  # noqa: PLC0415 - needs the app registry

    told = status(jid, using=using)
    found = latest([jid], using=using).get(jid)
    if told.state != "done":
        error = _error(found) if found is not None and found.outcome == told.state else ""
        raise NoResult(
            f"job {jid} has no result: its state is {told.state}{error}", state=told.state
        )
    if found is None or found.outcome != "done" or found.result is None:
        why = found.remark if found is not None and found.outcome == "done" else ""
        raise NoResult(
            f"the result of job {jid} was not kept: {why or 'keep_result was not asked for'}",
            state="done",
        )
    return _value(found, found.result)


def _error(found: Finished) -> str:
    failure = contents.loads(found.failure)
    said = ": ".join(filter(None, (str(failure.get(k) or "") for k in ("errtype", "message"))))
    return f" ({said})" if said else ""


def wait(jid: str, *, timeout: float, using: str | None = None) -> Any:
    """Return what a job returns, as soon as it has ended.

    Raises TimeoutError when it is not over after timeout seconds, NoResult as result() does.
    """
    for seconds in _pauses(jid, timeout, using):
        time.sleep(seconds)
    return result(jid, using=using)


async def await_result(jid: str, *, timeout: float, using: str | None = None) -> Any:
    """wait for async code."""
    pauses = _pauses(jid, timeout, using)
    while (seconds := await sync_to_async(_next)(pauses)) is not None:
        await asyncio.sleep(seconds)
    return await sync_to_async(result)(jid, using=using)


def _next(pauses: Iterator[float]) -> float | None:
    return next(pauses, None)


def _pauses(jid: str, timeout: Any, using: str | None) -> Iterator[float]:
    """Yield seconds to wait until the job is over."""
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not 0 <= timeout <= MAX_TIMEOUT_SECONDS:
        raise InvalidOption(
            f"timeout must be 0 to {MAX_TIMEOUT_SECONDS} seconds, got {timeout!r:.100}"
        )
    deadline = time.monotonic() + timeout
    seconds = FIRST_SECONDS
    while not (told := status(jid, using=using)).is_over:
        rest = deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError(f"job {jid} was not over after {timeout} s: it is {told.state}")
        yield min(seconds, rest)
        seconds = min(2 * seconds, LONGEST_SECONDS)


def _value(found: Finished, text: str) -> Any:
    mark = contents.loads(found.mark)
    if "encrypted" in mark:
        what = f"the result of job {found.jobtype} {found.jid}"
        sealed = encryption.unseal(what, json.loads(text), mark["encrypted"])
        return arguments.decode(sealed.args, sealed.kinds)[0]
    return history.value_of(text, mark.get("kinds") or {})
