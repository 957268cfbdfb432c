"""A job as clients of the wire send it (protocol section 5): read, checked, made canonical. Pure.

What is said once for all jobs is read by a prepared decoder; what it refuses is read again field by
field, for names in other cases, and for an error that says what is wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import msgspec
from msgspec import Raw

from faktory_django.errors import CommandRefused, InvalidOption
from faktory_django.features import traits

_NOTHING: Final = Raw(b"")
MIN_JID_BYTES: Final = 8
MAX_NAME: Final = 255
MAX_RESERVE_FOR: Final = 86_400
MAX_PRIORITY: Final = 100
DEFAULT_RETRY: Final = 25
DEFAULT_RESERVE_FOR: Final = 1_800
_INT64: Final = range(-(2**63), 2**63)
# Python's limit for the digits of an integer; its workers could not read more.
MAX_DIGITS: Final = 4_300


class _Job(msgspec.Struct, forbid_unknown_fields=True):
    jid: str | None = None
    jobtype: str | None = None
    args: Raw = _NOTHING
    queue: str | None = None
    reserve_for: int | None = None
    retry: int | None = None
    at: str | None = None
    created_at: str | None = None
    enqueued_at: str | None = None
    backtrace: int | None = None
    custom: Raw = _NOTHING
    failure: Raw = _NOTHING
    # sent by Node and Python clients, dropped as the original does; ours is in custom
    priority: Raw = _NOTHING


class _Failure(msgspec.Struct):
    failed_at: str | None = None
    next_at: str | None = None
    message: str | None = None
    errtype: str | None = None
    backtrace: list[str] | None = None
    retry_count: int | None = None
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a job may be: bytes of its text, levels of nesting."""

    job_bytes: int = 33_554_432
    job_depth: int = 1_000


class WireJob(msgspec.Struct, frozen=True):
    """A job that may be stored. at is when it is due, None for now; reserve_for in seconds.

    tracked: its custom attributes ask for that. traits: what its features have to know of it.
    """

    jid: str
    jobtype: str
    queue: str
    body: str
    reserve_for: int = DEFAULT_RESERVE_FOR
    priority: int = 0
    at: datetime | None = None
    failure: str | None = None
    delay_seconds: float | None = None
    tracked: bool = False
    traits: str | None = None


class _WrongType(CommandRefused):
    """A text is not JSON, or a field has a type that it cannot have: a PUSHB is refused whole."""


_DECODER: Final = msgspec.json.Decoder(_Job)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])
_QUEUE: Final = re.compile(r"[a-zA-Z0-9._-]{1,100}", re.ASCII)
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*", re.ASCII)
# A number that a float may not hold, or too long: inside a string it is a false alarm.
_EXPONENT: Final = re.compile(rb"e\+?\d{3}")
_CAPITAL_EXPONENT: Final = re.compile(rb"E\+?\d{3}")
_MANY_DIGITS: Final = 300
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
# Possessive, so that a long string takes no memory and one that does not end is read once.
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|-?\d+(\.\d+)?([eE][+-]?\d+)?', re.DOTALL)
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
# What is right, up to a lone surrogate or the end; it matches wherever it begins.
_UP_TO_LONE: Final = re.compile(
    r"((?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\(?!u[dD][89a-fA-F][0-9a-fA-F]{2}).?)*+)(\\u[dD][89a-fA-F][0-9a-fA-F]{2})?",
    re.DOTALL,
)
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def read_job(text: bytes, limits: Limits) -> WireJob:
    """Return the job of a PUSH.

    Raises CommandRefused with the texts of protocol section 4.1.
    """
    if len(text) > limits.job_bytes:
        raise CommandRefused(f"job is {len(text)} bytes, the limit is {limits.job_bytes}")
    if not text.isascii():
        text = sanitized(text)
    _check_depth(text, limits.job_depth)
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        found = _read_slowly(text, limits)
    return _checked(found)


def read_jobs(text: bytes, limits: Limits, *, max_jobs: int) -> list[WireJob | tuple[str, str]]:
    """Return the jobs of a PUSHB in order; a job that is refused as its jid and the reason.

    Raises CommandRefused when the array, or the type of any field, is wrong: then nothing is
    stored (section 4.2).
    """
    text = sanitized(text)
    _check_depth(text, limits.job_depth + 1)
    try:
        entries = _LIST.decode(text) if text.strip() != b"null" else []
    except (ValueError, RecursionError) as wrong:
        raise _WrongType(f"invalid JSON: {wrong}") from None
    if len(entries) > max_jobs:
        raise CommandRefused(f"PUSHB holds {len(entries)} jobs, the limit is {max_jobs}")
    found: list[WireJob | tuple[str, str]] = []
    for entry in entries:
        raw = bytes(entry)
        if len(raw) > limits.job_bytes:
            reason = f"job is {len(raw)} bytes, the limit is {limits.job_bytes}"
            found.append((_read_slowly(raw, limits).jid or "", reason))
            continue
        try:
            job = _DECODER.decode(raw)
        except (ValueError, RecursionError):
            job = _read_slowly(raw, limits)
        try:
            found.append(_checked(job))
        except _WrongType:
            raise
        except CommandRefused as wrong:
            found.append((job.jid or "", str(wrong)))
    return found


def sanitized(text: bytes) -> bytes:
    """Return text whose invalid UTF-8 and lone surrogates have become U+FFFD, as Faktory does."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        decoded = text.decode(errors="replace")
    if "\\ud" in decoded or "\\uD" in decoded:
        decoded = _UP_TO_LONE.sub(lambda found: found[1] + ("\\ufffd" if found[2] else ""), decoded)
    return decoded.encode()


def instant(text: str) -> datetime:
    """Read RFC 3339 as Go does, rounded up to the microsecond: never early.

    Raises ValueError.
    """
    if not (match := _RFC3339.fullmatch(text)):
        raise ValueError("it is not RFC 3339")
    *parts, fraction, sign, hours, minutes = match.groups()
    year, *rest = map(int, parts)
    digits = (fraction or "").ljust(7, "0")
    microseconds = int(digits[:6]) + (int(digits[6:]) > 0)
    zone: timezone = UTC
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError("its offset is out of range")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(offset if sign == "+" else -offset)
    try:
        # year 0 is a leap year that Python does not know
        moment = datetime(year or 4, *rest, tzinfo=zone)  # type: ignore[misc,arg-type]
        moment = (moment + timedelta(microseconds=microseconds)).astimezone(UTC)
    except OverflowError:
        moment = datetime.min.replace(tzinfo=UTC) if year == 1 else datetime.max.replace(tzinfo=UTC)
    return moment if year else datetime.min.replace(tzinfo=UTC)


def _check_depth(text: bytes, limit: int) -> None:
    if text.count(b"[") + text.count(b"{") <= limit:
        return
    depth = 0
    for bracket in _STRING.sub(b"", text).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            raise _WrongType(f"invalid JSON: it is nested more than {limit} levels deep")


def _read_slowly(text: bytes, limits: Limits) -> _Job:
    """Read a job field by field: names in any case, the last of two wins."""
    text = sanitized(text)
    try:
        # null is an empty job (section 4.1)
        raws = _FIELDS.decode(text) if text.strip() != b"null" else {}
    except RecursionError:
        raise _WrongType(
            f"invalid JSON: it is nested too deeply, the limit is {limits.job_depth}"
        ) from None
    except ValueError as wrong:
        raise _WrongType(f"invalid JSON: {wrong}") from None
    job = _Job()
    for name, raw in raws.items():
        field = name.lower()
        if field not in _TYPES:
            continue
        if _TYPES[field] is Raw:
            setattr(job, field, raw)
            continue
        try:
            setattr(job, field, msgspec.json.decode(raw, type=_TYPES[field]))
        except ValueError as wrong:
            raise _WrongType(f"invalid JSON: {field}: {wrong}") from None
    return job


_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("jid", "jobtype", "queue", "at", "created_at", "enqueued_at"), str | None),
    **dict.fromkeys(("reserve_for", "retry", "backtrace"), int | None),
    **dict.fromkeys(("args", "custom", "failure", "priority"), Raw),
}


def _checked(job: _Job) -> WireJob:
    _check_integers(job)
    args = _part(job.args, "args", b"[")
    custom = _part(job.custom, "custom", b"{")
    if custom and not custom[1:-1].strip():
        custom = b""
    failed = _part(job.failure, "failure", b"{")
    failure = _failure(failed) if failed else None
    jid, jobtype, queue = job.jid or "", job.jobtype or "", job.queue or "default"
    _check_presence(jid, jobtype, args)
    reserve_for = job.reserve_for or 0
    if reserve_for > MAX_RESERVE_FOR:
        raise CommandRefused("jobs cannot be reserved for more than one day")
    at = _due(job.at) if job.at else None
    if not _QUEUE.fullmatch(queue):
        raise CommandRefused(_bad_queue(queue))
    return WireJob(
        jid,
        jobtype,
        queue,
        _body(job, args, custom, queue),
        reserve_for=max(reserve_for, 60) if reserve_for else DEFAULT_RESERVE_FOR,
        priority=_priority(custom) if b"priority" in custom else 0,
        at=at,
        failure=failure,
        tracked=b'"track"' in custom and bool(json.loads(custom).get("track")),
        traits=_traits(custom, jobtype, queue, args, at) if traits.may_be_in(custom) else None,
    )


def _traits(
    custom: bytes, jobtype: str, queue: str, args: bytes, at: datetime | None
) -> str | None:
    try:
        return traits.traits_of(
            json.loads(custom), traits.Pushed(jobtype, queue, args.decode(), at)
        )
    except InvalidOption as wrong:
        raise CommandRefused(str(wrong)) from None


def _check_integers(job: _Job) -> None:
    for name, value in (
        ("reserve_for", job.reserve_for),
        ("retry", job.retry),
        ("backtrace", job.backtrace),
    ):
        if value is not None and value not in _INT64:
            raise _WrongType(f"invalid JSON: {name} {value} is out of range")


def _check_presence(jid: str, jobtype: str, args: bytes) -> None:
    if len(jid) < MIN_JID_BYTES and len(jid.encode()) < MIN_JID_BYTES:
        raise CommandRefused("jobs must have a reasonable jid parameter")
    if not jobtype:
        raise CommandRefused("jobs must have a jobtype parameter")
    if not args:
        raise CommandRefused("jobs must have an args parameter")
    for name, value in (("jid", jid), ("jobtype", jobtype)):
        if len(value) > MAX_NAME or "\0" in value:
            raise CommandRefused(f"{name} must be at most {MAX_NAME} characters without NUL")


def _part(raw: Raw, name: str, opening: bytes) -> bytes:
    """Return a value as its exact text; b"" when there is none."""
    if raw is _NOTHING or (text := bytes(raw)) == b"null":
        return b""
    if text[:1] != opening:
        kind = "an array" if opening == b"[" else "an object"
        raise _WrongType(f"invalid JSON: {name} must be {kind}")
    if _may_hold_huge_number(text):
        _check_numbers(text.decode())
    # outside strings only, for a string holds no raw control character
    return text.replace(b"\r", b" ") if b"\r" in text else text


def _may_hold_huge_number(text: bytes) -> bool:
    """Tell whether to look closely; fast, for all arguments come by."""
    if len(text) >= _MANY_DIGITS and b"0" * _MANY_DIGITS in text.translate(_DIGITS_TO_ZERO):
        return True
    return bool(_EXPONENT.search(text) or _CAPITAL_EXPONENT.search(text))


def _check_numbers(text: str) -> None:
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token[0] == '"':
            continue
        if match.group(1) is None and match.group(2) is None:
            if len(token) > MAX_DIGITS:
                raise _WrongType(
                    f"invalid JSON: an integer has {len(token)} digits, the limit is {MAX_DIGITS}"
                )
        elif float(token) in {float("inf"), float("-inf")}:
            raise _WrongType(f"invalid JSON: number {token[:40]} is out of range")


def _failure(text: bytes) -> str:
    try:
        known = {name.lower(): raw for name, raw in _FIELDS.decode(text).items()}
        found = msgspec.json.decode(msgspec.json.encode(known), type=_Failure)
    except (ValueError, RecursionError) as wrong:
        raise _WrongType(f"invalid JSON: failure: {wrong}") from None
    retry_count, remaining = found.retry_count or 0, found.remaining or 0
    if retry_count not in _INT64 or remaining not in _INT64:
        raise _WrongType("invalid JSON: failure: a number is out of range")
    texts = {
        "next_at": found.next_at,
        "message": found.message,
        "errtype": found.errtype,
        "backtrace": found.backtrace,
    }
    # a time that becomes a parameter of a statement holds no NUL
    failed_at = (found.failed_at or "").replace("\0", "\ufffd")
    facts: dict[str, Any] = {"failed_at": failed_at} | {k: v for k, v in texts.items() if v}
    return _encode(facts | {"retry_count": retry_count, "remaining": remaining})


def _due(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError as wrong:
        raise CommandRefused(f"invalid timestamp for 'at': {quoted(text)}: {wrong}") from None


def _priority(custom: bytes) -> int:
    priority = json.loads(custom).get("priority", 0)
    if type(priority) is not int or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise CommandRefused(
            f"custom.priority must be an integer from {-MAX_PRIORITY} to {MAX_PRIORITY}"
        )
    return priority


def quoted(text: str) -> str:
    """Return text in quotes with escapes, at most 100 characters of it."""
    return _encode(text if len(text) <= 100 else text[:100] + "…")


def _bad_queue(queue: str) -> str:
    if re.fullmatch(r"[a-zA-Z0-9._-]+", queue, re.ASCII):
        return f"cannot get {quoted(queue)} queue: queue names have at most 100 characters"
    return f"cannot get {quoted(queue)} queue: queue names must match \\A[a-zA-Z0-9._-]+\\z"


def _body(job: _Job, args: bytes, custom: bytes, queue: str) -> str:
    created = f'"created_at":{_json(job.created_at)},' if job.created_at else ""
    customs = f'"custom":{custom.decode()},' if custom else ""
    ats = f'"at":{_json(job.at)},' if job.at else ""
    reserves = f',"reserve_for":{job.reserve_for}' if job.reserve_for else ""
    backtraces = f',"backtrace":{job.backtrace}' if job.backtrace else ""
    retry = DEFAULT_RETRY if job.retry is None else job.retry
    return (
        f'{{{created}"retry":{retry},{customs}"jid":{_json(job.jid)},"queue":"{queue}",'
        f'"jobtype":{_json(job.jobtype)},{ats}"args":{args.decode()}{reserves}{backtraces}}}'
    )


def _json(text: str | None) -> str:
    if text is not None and (text.isalnum() or _PLAIN.fullmatch(text)):
        return f'"{text}"'
    return _encode(text)
