"""Cancelling: what an application says when it does not want a job any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from faktory_django.errors import InvalidOption

from .inspection import MAX_JID
from .options import shown

MAX_KILL_AFTER: Final = 86_400
MAX_BY: Final = 255
# What became of the wish.
CANCELLED: Final = "cancelled"
ASKED: Final = "asked"
NOT_FOUND: Final = "not found"


def cancel(
    jid: str,
    *,
    kill_after: float | timedelta | None = None,
    by: str = "",
    using: str | None = None,
) -> str:
    """Cancel a job of any jobtype, wherever it is.

    Returns "cancelled" when it was taken out of its queue, the scheduled or the retries, "asked"
    when it runs and was asked to stop, else "not found". It takes effect with the transaction that
    it is called in. A run that has not stopped kill_after seconds (or timedelta) later is ended by
    force; by is shown to operators. Raises InvalidOption for a value that cannot be.
    """
    if not isinstance(jid, str):
        raise InvalidOption(f"a jid is a str, got {shown(jid)}")
    seconds = None if kill_after is None else _kill_after(kill_after)
    _check_by(by)
    if not jid or "\0" in jid or len(jid) > MAX_JID:
        return NOT_FOUND
    # A view may run before any job of this process: the models are imported when they are needed.
    from faktory_django.lifecycle import cancel as verb  # noqa: PLC0415

    return verb.cancel([jid], by=by, kill_after=seconds, using=using)[jid]


def _check_by(by: object) -> None:
    if not isinstance(by, str) or "\0" in by or len(by) > MAX_BY:
        raise InvalidOption(f"by must be a str of at most {MAX_BY} characters, got {shown(by)}")


def _kill_after(value: object) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    right = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not right or not 0 <= seconds <= MAX_KILL_AFTER:  # type: ignore[operator]
        raise InvalidOption(
            f"kill_after must be 0 to {MAX_KILL_AFTER} seconds or a timedelta, got {shown(value)}"
        )
    return float(seconds)  # type: ignore[arg-type]
