"""Payload: the job hash of the protocol (section 5), made once at push and never rewritten.

What the store knows later (enqueued_at, failure) is put in front when the job is shown.
"""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from faktory_django.errors import PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRY: Final = 25
RESERVE_FOR: Final = 1_800
# The key in `custom` under which a push by Python notes what only Python needs.
MARK: Final = "faktory_django"
# In that note: args are one token, and this is how it was made.
ENCRYPTED: Final = "encrypted"


class Body(msgspec.Struct):
    """A job hash as workers read it."""

    jid: str
    jobtype: str
    args: list[Any]
    queue: str = "default"
    retry: int | None = None
    custom: dict[str, Any] | None = None
    reserve_for: int | None = None
    backtrace: int | None = None
    created_at: str | None = None
    at: str | None = None


_DECODER: Final = msgspec.json.Decoder(Body)
_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def new_jids(count: int) -> list[str]:
    """Return jids: 4 bytes of the time in seconds, then 8 random bytes, in hexadecimal.

    New ones stand near each other in an index, so a push costs the same at any size.
    """
    now, random = f"{int(time.time()):08x}", secrets.token_hex(8 * count)
    return [now + random[start : start + 16] for start in range(0, 16 * count, 16)]


def new_jid() -> str:
    """Return one jid."""
    return new_jids(1)[0]


def template(
    jobtype: str,
    *,
    queue: str,
    retry: int,
    custom: Mapping[str, Any] | None = None,
    at: str | None = None,
    reserve_for: int | None = None,
    backtrace: int = 0,
) -> tuple[str, str, str]:
    """Return the three parts of a body around its jid and its args, in the protocol's order."""
    customs = f'"custom":{_text(custom)},' if custom else ""
    ats = f'"at":"{at}",' if at else ""
    reserves = f',"reserve_for":{reserve_for}' if reserve_for else ""
    backtraces = f',"backtrace":{backtrace}' if backtrace else ""
    return (
        f'{{"retry":{retry},{customs}"jid":"',
        f'","queue":"{queue}","jobtype":{_text(jobtype)},{ats}"args":',
        f"{reserves}{backtraces}}}",
    )


def noted(kinds: Mapping[str, str], *, named: bool) -> dict[str, Any]:
    """Return the note of a push by Python: kinds of its arguments, and whether the last are named.

    Empty when there is nothing to note; else to stand in custom under MARK.
    """
    found: dict[str, Any] = {"kinds": dict(kinds)} if kinds else {}
    if named:
        found["kwargs"] = True
    return found


def too_large(jobtype: str, size: int, limit: int) -> PayloadTooLarge:
    """Return the error of a body of size bytes."""
    return PayloadTooLarge(f"job {jobtype} is {size} bytes, MAX_PAYLOAD_BYTES is {limit}")


def canonical(jobtype: str, jid: str, args_text: str, *, queue: str, retry: int = RETRY) -> str:
    """Return the body of a plain job; args_text is a JSON array, jid needs no escapes."""
    head, middle, tail = template(jobtype, queue=queue, retry=retry)
    return f"{head}{jid}{middle}{args_text}{tail}"


def parse(body: str) -> Body:
    """Read a body that is in the store.

    Raises ValueError when it is not a job hash. msgspec keeps integers exact but refuses some
    JSON that Python reads: an escaped lone surrogate, 1e400.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError("the body is not a JSON object") from None
        return msgspec.convert(found, Body)


def retry_of(body: str) -> int:
    """Return how often the job may be retried: 25 when it does not say, or is not readable."""
    try:
        retry = parse(body).retry
    except (ValueError, RecursionError):
        return RETRY
    return RETRY if retry is None else retry


def jid_of(body: str) -> str:
    """Return the jid; empty when the body is not readable."""
    try:
        return parse(body).jid
    except (ValueError, RecursionError):
        return ""


def is_encrypted(custom: Any) -> bool:
    """Return whether the custom attributes of a job say that its args are a token."""
    mark = custom.get(MARK) if isinstance(custom, dict) else None
    return isinstance(mark, dict) and bool(mark.get(ENCRYPTED))


def retry_count_of(failure: str) -> int:
    """Return retry_count of a failure hash; 0 when it is not readable."""
    try:
        found = json.loads(failure).get("retry_count", 0)
    except (ValueError, AttributeError):
        return 0
    return found if isinstance(found, int) else 0


def rfc3339(unix_seconds: float) -> str:
    """Return an instant as the protocol writes it: UTC, without zeros at the end."""
    text = datetime.fromtimestamp(unix_seconds, UTC).isoformat()[:-6]
    return f"{text.rstrip('0')}Z" if "." in text else f"{text}Z"


def with_failure(body: str, failure: str | None, enqueued_at: str | None = None) -> str:
    """Return the whole job hash: what the store knows stands in front of the body."""
    front = f'"enqueued_at":"{enqueued_at}",' if enqueued_at else ""
    front += f'"failure":{failure},' if failure else ""
    return f"{{{front}{body[1:]}" if front else body
