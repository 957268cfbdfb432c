"""History: which jobs are kept when they have ended, for how long, and what is kept of a run."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from faktory_django import arguments
from faktory_django.errors import InvalidArguments, InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# Keys of custom: for how many days, and whether what a Python function returns is kept too.
DAYS: Final = "history_days"
RESULT: Final = "keep_result"
# The trait.
KEEP: Final = "keep"

MAX_DAYS: Final = 366
# Of a job that wants its result kept and does not say for how long.
RESULT_DAYS: Final = 1
MAX_LINE: Final = 1_000

# How a job ends.
OUTCOMES: Final = ("done", "failed", "dead", "discarded", "expired", "cancelled")


class Settings(Protocol):
    """The settings that say what is kept."""

    @property
    def history_days(self) -> int: ...
    @property
    def history_args(self) -> bool: ...
    @property
    def history_off_queues(self) -> tuple[str, ...]: ...


class Defaults(NamedTuple):
    """What the settings say: HISTORY_DAYS, HISTORY_ARGS, HISTORY_OFF_QUEUES."""

    days: int = 0
    args: bool = False
    off_queues: Collection[str] = ()

    @classmethod
    def of(cls, settings: Settings) -> Defaults:
        """Return what they say."""
        return cls(settings.history_days, settings.history_args, settings.history_off_queues)

    def applies(self, queue: str) -> bool:
        """Return whether jobs of a queue are kept that say nothing of it."""
        return self.days > 0 and queue not in self.off_queues


NOTHING: Final = Defaults()


def days(value: object) -> int:
    """Return an option history in whole days, rounded up; 0 for False.

    Raises InvalidOption unless it is False, or 1 to 366 days as a number or a timedelta.
    """
    if value is False:
        return 0
    whole = math.ceil(value / timedelta(days=1)) if isinstance(value, timedelta) else value
    if type(whole) is not int or not 1 <= whole <= MAX_DAYS:
        raise InvalidOption(
            f"history must be False, or 1 to {MAX_DAYS} days as an int or a timedelta, "
            f"got {value!r:.100}"
        )
    return whole


def traits(custom: Mapping[str, Any], *, queue: str, defaults: Defaults) -> dict[str, Any]:
    """Return the trait of a job that is kept when it has ended, nothing for one that is not.

    What the job says counts, then the settings. Raises InvalidOption for what it cannot say.
    """
    told = _told(custom.get(DAYS))
    result = _asks_for_result(custom.get(RESULT))
    if told is None:
        told = defaults.days if defaults.applies(queue) else 0
        told = max(told, RESULT_DAYS) if result else told
    if not told:
        return {}
    found: dict[str, Any] = {"days": told}
    if result:
        found["result"] = True
    if defaults.args:
        found["args"] = True
    return {KEEP: found}


def said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options history and keep_result become in custom.

    Raises InvalidOption for what cannot be both.
    """
    found: dict[str, Any] = {}
    if "history" in options:
        found[DAYS] = days(options["history"])
    if options.get("keep_result"):
        if found.get(DAYS) == 0:
            raise InvalidOption("a result is kept in the history: keep_result and history=False")
        found[RESULT] = True
    return found


def keep_of(traits: str | None) -> dict[str, Any] | None:
    """Return what the traits of a job, as text, say of what is kept of it; None for nothing."""
    if traits is None or f'"{KEEP}"' not in traits:
        return None
    found: dict[str, Any] | None = json.loads(traits).get(KEEP)
    return found


def _told(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_DAYS:
        raise InvalidOption(
            f"custom.{DAYS} must be an int from 0 to {MAX_DAYS}, got {value!r:.100}"
        )
    return value


def _asks_for_result(value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise InvalidOption(f"custom.{RESULT} must be true or false, got {value!r:.100}")
    return value is True


class Result(NamedTuple):
    """What is kept of a value: JSON, and the kinds in it; or why nothing is."""

    text: str | None = None
    kinds: Mapping[str, str] = {}
    remark: str = ""


def result_of(value: Any, *, max_bytes: int, max_depth: int) -> Result:
    """Return a value that a job has returned as it is kept; whatever it is, it is no error."""
    try:
        text, kinds = arguments.encode([value], {}, max_depth=max_depth)
    except InvalidArguments as wrong:
        said = str(wrong).replace("the argument at /0", "the result", 1)
        return Result(remark=line(f"not JSON: {said}"))
    except Exception as wrong:  # noqa: BLE001 - the methods of the application's own types
        return Result(remark=f"not JSON: {type(wrong).__name__}")
    size = len(text.encode()) - 2
    if size > max_bytes:
        return Result(remark=f"too large: {size} bytes, RESULT_BYTES is {max_bytes}")
    return Result(text[1:-1], kinds)


def value_of(text: str, kinds: Mapping[str, str]) -> Any:
    """Return what was kept, of the kinds that it had. Raises InvalidArguments, or ValueError."""
    return arguments.decode([json.loads(text)], kinds)[0]


def line(value: object) -> str:
    """Return a line of a log as it is kept: 1,000 characters of it, without NUL.

    Raises InvalidOption unless it is a str.
    """
    if not isinstance(value, str):
        raise InvalidOption(f"a line of a log must be str, got {value!r:.100}")
    cut = value[:MAX_LINE].replace("\0", "\ufffd")
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def note(
    *,
    started: float | None = None,
    ran: float | None = None,
    wid: str = "",
    attempt: int | None = None,
    **more: Any,
) -> str:
    """Return what is known of a run as the store takes it; started is in Unix seconds."""
    facts: dict[str, Any] = {"started": started, "ran": ran, "wid": wid, "attempt": attempt, **more}
    return _text({k: v for k, v in facts.items() if v or v == 0})


_text: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


class Limited:
    """Counts the lines of a run: beyond the limit only that there are more is said, once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._said = 0

    def next(self, text: str) -> str | None:
        """Return what to write in the place of a line; None for nothing."""
        self._said += 1
        if self._said <= self._limit:
            return text
        if self._said == self._limit + 1:
            return f"… no more lines of this run are kept (LOG_LINES is {self._limit})"
        return None
