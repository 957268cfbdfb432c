"""Batches: what `custom` says of them (protocol section 9.3), and what a batch has come to."""

from __future__ import annotations

import json
import re
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from faktory_django.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

# A job joins a batch by the first of these keys of its `custom`. The second names the job of the
# batch that pushes it: such a job may join a batch that is committed. The third stands in the
# callbacks of a batch, the last names the parent of that batch.
MEMBER: Final = "bid"
BY: Final = "bid_by"
OWN: Final = "_bid"
PARENT: Final = "_pbid"
# Which step of a chain a job is, and its place in it, when the next step takes its result.
STEP: Final = "bid_step"
KEYS: Final = frozenset({MEMBER, OWN})

BID: Final = re.compile(r"b-[a-zA-Z0-9_-]{1,60}", re.ASCII)

# What became of a callback, as the protocol says it.
NOT_YET: Final = ""
ENQUEUED: Final = "1"
DONE: Final = "2"


def new_bid() -> str:
    """Return an id that no batch has: b- and 14 characters."""
    return f"b-{secrets.token_urlsafe(12)[:14]}"


def traits(custom: Mapping[str, Any], _pushed: object = None) -> dict[str, Any]:
    """Return what the store has to know of a job that is in a batch, or is a callback of one.

    Raises InvalidOption for what cannot be the id of a batch.
    """
    found: dict[str, Any] = {}
    if (bid := custom.get(MEMBER)) not in (None, ""):
        found["bid"] = checked_bid(bid, MEMBER)
        if custom.get(BY):
            found["bid_by"] = True
        if (step := custom.get(STEP)) is not None:
            found["step"] = _checked_step(step)
    elif (own := custom.get(OWN)) not in (None, ""):
        found["callback"] = checked_bid(own, OWN)
    return found


@lru_cache(1_024)
def bid_of(traits: str | None) -> str | None:
    """Return the batch that is to be folded when a job with these traits has ended."""
    if traits is None or not ('"bid"' in traits or '"callback"' in traits):
        return None
    found: dict[str, Any] = json.loads(traits)
    return found.get("bid") or found.get("callback")


def passes_result(traits: str) -> bool:
    """Return whether the next step of a chain takes what a job with these traits returns."""
    return '"step"' in traits and "step" in json.loads(traits)


def checked_bid(bid: object, key: str) -> str:
    """Return the id of a batch. Raises InvalidOption, which names the key it stands at."""
    if isinstance(bid, str) and BID.fullmatch(bid):
        return bid
    raise InvalidOption(
        f"{key} must be the id of a batch, such as b-9fYQkNb0KJbFmA, got {bid!r:.100}"
    )


def _checked_step(step: object) -> list[int]:
    if isinstance(step, list) and len(step) == 2 and all(type(n) is int for n in step):
        return step
    raise InvalidOption(f"{STEP} must be two integers, got {step!r:.100}")


def percent(ended: int, planned: int) -> int:
    """Return how far a batch is, rounded down; one without jobs is done."""
    return 100 if planned <= 0 else min(100, 100 * ended // planned)


def state(*, committed: bool, cancelled: bool, success: str, lost: int, pending: int) -> str:
    """Return what a batch has come to, in one word.

    open until it is committed, then running; success, failed when one of its jobs is gone without
    success and no other is left, cancelled.
    """
    if cancelled:
        return "cancelled"
    if not committed:
        return "open"
    if success:
        return "success"
    return "failed" if 0 < pending <= lost else "running"
