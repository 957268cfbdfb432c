"""Retry: what becomes of a job that failed (protocol section 6.3). Pure decisions."""

from __future__ import annotations

import json
import logging
import math
import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faktory_django.registry import Definition

logger = logging.getLogger(__name__)

MAX_DELAY_SECONDS: Final = 10 * 365 * 86_400
MAX_ERRTYPE: Final = 100
MAX_MESSAGE: Final = 1_000
MAX_BACKTRACE: Final = 50


class Fate(StrEnum):
    """Where a job goes that did not succeed."""

    RETRY = "retry"
    DEAD = "dead"
    GONE = "gone"
    SNOOZE = "snooze"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Error:
    """What went wrong, cut at characters: type 100, message 1000, backtrace 50 lines."""

    errtype: str
    message: str
    backtrace: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Return its class and message, as notes of runs have them."""
        return {"errtype": self.errtype, "message": self.message}

    @classmethod
    def cut(cls, errtype: str, message: str, backtrace: Sequence[str] = ()) -> Error:
        """Return an error whose texts are trimmed, within limits and storable."""
        return cls(
            _clean(errtype).strip()[:MAX_ERRTYPE] or "unknown",
            _clean(message).strip()[:MAX_MESSAGE] or "unknown",
            tuple(_clean(line).rstrip()[:MAX_MESSAGE] for line in backtrace[-MAX_BACKTRACE:]),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a job: its fate, and the failure that goes with it.

    failure is the text of the failure hash without its opening brace and times, which the
    database adds; failed_at is the time of the first failure, as written then.
    """

    fate: Fate
    failure: str = ""
    failed_at: str | None = None
    delay_seconds: float | None = None
    retry_count: int = 0


def backoff_seconds(retry_count: int, *, draw: Callable[[int], int] = random.randrange) -> int:
    """Return n^4 + 15 + random(0..29) * (n + 1) seconds, n the retries so far (section 6.3)."""
    delay = retry_count**4 + 15 + draw(30) * (retry_count + 1)
    return min(delay, MAX_DELAY_SECONDS)


def delay_of(definition: Definition | None) -> Callable[[int], float]:
    """Return the function from the number of retries so far to seconds: the job's own, or ours.

    A backoff of the application that raises, or gives no time, is replaced by ours.
    """
    if definition is None or (own := definition.backoff) is None:
        return backoff_seconds

    def delay(retry_count: int) -> float:
        try:
            given = own(retry_count)
            seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
            if math.isnan(seconds):
                raise ValueError("the backoff is not a number")
        except Exception:
            logger.exception("the backoff of %s failed", definition.jobtype)
            return backoff_seconds(retry_count)
        return min(max(seconds, 0.0), MAX_DELAY_SECONDS)

    return delay


def judge(
    retry: int,
    failure: str | None,
    error: Error,
    *,
    delay: Callable[[int], float] = backoff_seconds,
    kill: bool = False,
) -> Verdict:
    """Decide what becomes of a job that failed.

    retry is the job's own setting, failure its latest failure hash as JSON, delay gives the
    seconds to wait from the number of retries so far.
    """
    if retry == 0 and not kill:
        return Verdict(Fate.GONE)
    before: dict[str, Any] | None = json.loads(failure) if failure else None
    if before is None:
        retry_count, remaining = 0, retry
    else:
        retry_count = before.get("retry_count", 0) + 1
        remaining = max(before.get("remaining", 0) - 1, 0)
    dies = kill or retry < 0 or retry_count >= retry
    text = json.dumps(
        {
            "message": error.message,
            "errtype": error.errtype,
            "backtrace": error.backtrace,
            "retry_count": retry_count,
            "remaining": remaining,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return Verdict(
        Fate.DEAD if dies else Fate.RETRY,
        text[1:],
        before.get("failed_at") if before else None,
        None if dies else float(delay(retry_count)),
        retry_count,
    )


def _clean(text: str) -> str:
    """Return text without what PostgreSQL cannot hold; a halved character becomes U+FFFD."""
    text = text.replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode("utf-8")
