"""Requests: a line to what it asks for (protocol section 4). Pure; errors are CommandRefused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw

from faktory_django import payload
from faktory_django.errors import CommandRefused
from faktory_django.features import batches
from faktory_django.features.tracking import storable

from .frames import echo
from .jobs import Limits, WireJob, instant, quoted, read_job, read_jobs, sanitized

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

# A command without its argument: the original recovers from a panic and says this.
INTERNAL: Final = "internal error"
MAX_GLOB: Final = 500


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one command may hold."""

    jobs: Limits = field(default_factory=Limits)
    bulk_jobs: int = 1_000_000
    fetch_queues: int = 1_000


class Push(msgspec.Struct, frozen=True):
    """PUSH of one job."""

    job: WireJob


class PushBulk(msgspec.Struct, frozen=True):
    """PUSHB: jobs in order, a refused one as its jid and the reason."""

    jobs: list[WireJob | tuple[str, str]]


class Fetch(msgspec.Struct, frozen=True):
    """FETCH from queues, the first one first."""

    queues: tuple[str, ...]


class Ack(msgspec.Struct, frozen=True):
    """ACK of a jid."""

    jid: str


class Fail(msgspec.Struct, frozen=True):
    """FAIL of a jid, with what went wrong."""

    jid: str
    errtype: str = ""
    message: str = ""
    backtrace: tuple[str, ...] = ()


class Beat(msgspec.Struct, frozen=True):
    """BEAT of a wid, with its own state and memory if it says so."""

    wid: str
    state: str = ""
    rss_kb: int | None = None


class Info(msgspec.Struct, frozen=True):
    """INFO."""


class Flush(msgspec.Struct, frozen=True):
    """FLUSH."""


class End(msgspec.Struct, frozen=True):
    """END: the connection is closed."""


class QueueAct(msgspec.Struct, frozen=True):
    """QUEUE PAUSE, RESUME, REMOVE or LATENCY of these queues, or of all that are known."""

    act: str
    names: tuple[str, ...] = ()
    every: bool = False


class TrackGet(msgspec.Struct, frozen=True):
    """TRACK GET of a jid."""

    jid: str


class TrackSet(msgspec.Struct, frozen=True):
    """TRACK SET: how far the job is; reserve_until extends its reservation."""

    jid: str
    percent: int | None = None
    desc: str | None = None
    reserve_until: datetime | None = None


class BatchNew(msgspec.Struct, frozen=True):
    """BATCH NEW: the callbacks by name, each of which names the batch already."""

    bid: str
    description: str = ""
    parent_bid: str = ""
    callbacks: dict[str, WireJob] = {}


class BatchAct(msgspec.Struct, frozen=True):
    """BATCH OPEN, COMMIT or STATUS of a batch."""

    act: str
    bid: str


class Mutate(msgspec.Struct, frozen=True):
    """MUTATE: clear, kill, discard or requeue the entries of a set that match."""

    act: str
    target: str
    jids: tuple[str, ...] = ()
    jobtype: str = ""
    glob: str = ""


Request = (
    Push
    | PushBulk
    | Fetch
    | Ack
    | Fail
    | Beat
    | Info
    | Flush
    | End
    | QueueAct
    | Mutate
    | TrackGet
    | TrackSet
    | BatchNew
    | BatchAct
)  # what read() returns


def read(line: bytes, limits: RequestLimits) -> Request:
    """Return what a line asks for. Raises CommandRefused with the text of the error reply."""
    verb, space, argument = line.partition(b" ")
    if (reader := _READERS.get(verb)) is None:
        raise CommandRefused(f"unknown command {echo(verb)}")
    return reader(argument if space else None, limits)


def _push(argument: bytes | None, limits: RequestLimits) -> Push:
    return Push(read_job(_given(argument), limits.jobs))


def _push_bulk(argument: bytes | None, limits: RequestLimits) -> PushBulk:
    return PushBulk(read_jobs(_given(argument), limits.jobs, max_jobs=limits.bulk_jobs))


def _fetch(argument: bytes | None, limits: RequestLimits) -> Fetch:
    if argument is None:
        raise CommandRefused("must call fetch with at least one queue")
    names = tuple(dict.fromkeys(argument.decode(errors="replace").split()))
    if len(names) > limits.fetch_queues:
        raise CommandRefused(f"FETCH names {len(names)} queues, the limit is {limits.fetch_queues}")
    return Fetch(names)


def _ack(argument: bytes | None, _limits: RequestLimits) -> Ack:
    text = _given(argument)
    try:
        found = _STRINGS.decode(sanitized(text))
        return Ack(found["jid"] or "")
    except (ValueError, LookupError, RecursionError):
        raise _invalid(b"ACK", text) from None


class _Fail(msgspec.Struct):
    jid: str | None = None
    errtype: str | None = None
    message: str | None = None
    backtrace: list[str] | None = None


def _fail(argument: bytes | None, _limits: RequestLimits) -> Fail:
    text = _given(argument)
    found: _Fail = _fields(b"FAIL", text, _Fail)
    if not found.jid:
        raise CommandRefused("missing JID")
    return Fail(
        found.jid, found.errtype or "", found.message or "", tuple((found.backtrace or [])[:50])
    )


class _Beat(msgspec.Struct):
    wid: str | None = None
    current_state: str | None = None
    rss_kb: int | None = None


def _beat(argument: bytes | None, _limits: RequestLimits) -> Beat:
    text = _given(argument)
    found: _Beat = _fields(b"BEAT", text, _Beat)
    rss_kb = found.rss_kb
    if rss_kb is not None and not 0 <= rss_kb < 2**63:
        raise _invalid(b"BEAT", text)
    return Beat(found.wid or "", found.current_state or "", rss_kb)


def _queue(argument: bytes | None, limits: RequestLimits) -> QueueAct:
    words = _given(argument).decode(errors="replace").split(" ")
    act, names = words[0].upper(), words[1:]
    if act not in {"PAUSE", "RESUME", "REMOVE", "LATENCY"}:
        raise CommandRefused(f"no such QUEUE subcommand: {echo(act.encode())}")
    if len(names) > limits.fetch_queues:
        raise CommandRefused(f"QUEUE names {len(names)} queues, the limit is {limits.fetch_queues}")
    every = names[:1] == ["*"]
    if act == "LATENCY":
        if every:
            raise CommandRefused("QUEUE LATENCY does not support wildcards")
        return QueueAct(act, tuple(filter(None, names)))
    if not names:
        raise CommandRefused(INTERNAL)
    return QueueAct(act, () if every else tuple(filter(None, names)), every)


class _Filter(msgspec.Struct):
    jids: list[str] | None = None
    jobtype: str | None = None
    regexp: str | None = None


class _Mutate(msgspec.Struct):
    cmd: str | None = None
    target: str | None = None
    filter: Raw = Raw(b"")


def _mutate(argument: bytes | None, _limits: RequestLimits) -> Mutate:
    text = _given(argument)
    try:
        found: _Mutate = _folded(text, _Mutate)
        raw = bytes(found.filter)
        wanted: _Filter = _folded(raw, _Filter) if raw and raw != b"null" else _Filter()
    except (ValueError, RecursionError) as wrong:
        raise CommandRefused(str(wrong)) from None
    if found.cmd not in {"clear", "kill", "discard", "requeue"}:
        raise CommandRefused("unknown mutate operation")
    if found.target not in {"scheduled", "retries", "dead"}:
        raise CommandRefused("invalid target for mutation command")
    glob = wanted.regexp or ""
    if len(glob) > MAX_GLOB:
        raise CommandRefused(f"regexp has {len(glob)} characters, the limit is {MAX_GLOB}")
    if found.cmd == "clear":
        return Mutate("clear", found.target)
    return Mutate(found.cmd, found.target, tuple(wanted.jids or ()), wanted.jobtype or "", glob)


class _Track(msgspec.Struct):
    jid: str | None = None
    percent: int | float | None = None
    desc: str | None = None
    reserve_until: str | None = None


def _track(argument: bytes | None, _limits: RequestLimits) -> TrackGet | TrackSet:
    act, _, rest = _given(argument).partition(b" ")
    if act.upper() == b"GET":
        if not (jid := rest.decode(errors="replace").strip()):
            raise CommandRefused("missing JID")
        return TrackGet(jid)
    if act.upper() == b"SET":
        return _track_set(rest)
    raise CommandRefused(f"no such TRACK subcommand: {echo(act)}")


def _track_set(text: bytes) -> TrackSet:
    found: _Track = _fields(b"TRACK", text, _Track)
    if not found.jid:
        raise CommandRefused("missing JID")
    percent, until = None, None
    if found.percent is not None:
        # a worker that has counted wrong is not failed for it
        percent = int(min(max(found.percent, 0), 100))
    if found.reserve_until:
        try:
            until = instant(found.reserve_until)
        except ValueError as wrong:
            said = quoted(found.reserve_until)
            raise CommandRefused(
                f"invalid timestamp for 'reserve_until': {said}: {wrong}"
            ) from None
    desc = None if found.desc is None else storable(found.desc)
    return TrackSet(found.jid, percent, desc, until)


class _Batch(msgspec.Struct):
    description: str | None = None
    parent_bid: str | None = None
    success: Raw = Raw(b"")
    complete: Raw = Raw(b"")
    dead: Raw = Raw(b"")


def _batch(argument: bytes | None, limits: RequestLimits) -> BatchNew | BatchAct:
    act, _, rest = _given(argument).partition(b" ")
    name = act.decode(errors="replace").upper()
    if name == "NEW":
        return _batch_new(rest, limits)
    if name in {"OPEN", "COMMIT", "STATUS"}:
        if not (bid := rest.decode(errors="replace").strip()):
            raise CommandRefused("missing BID")
        return BatchAct(name, bid)
    raise CommandRefused(f"no such BATCH subcommand: {echo(act)}")


def _batch_new(text: bytes, limits: RequestLimits) -> BatchNew:
    found: _Batch = _fields(b"BATCH", text, _Batch)
    bid, parent = batches.new_bid(), found.parent_bid or ""
    custom = {batches.OWN: bid} | ({batches.PARENT: parent} if parent else {})
    given = {"complete": found.complete, "success": found.success, "dead": found.dead}
    callbacks = {
        name: _callback(bytes(raw), custom, limits)
        for name, raw in given.items()
        if bytes(raw) not in {b"", b"null"}
    }
    if not callbacks:
        raise CommandRefused("a batch needs a success or a complete callback")
    description = storable(found.description or "")
    return BatchNew(bid, description, parent, callbacks)


def _callback(text: bytes, custom: dict[str, str], limits: RequestLimits) -> WireJob:
    """Read a job that is pushed by the server: it gets a jid if it has none (section 9.3)."""
    try:
        fields = {name.lower(): raw for name, raw in _FIELDS.decode(text).items()}
        own = bytes(fields.get("custom", b"null"))
        customs: dict[str, Any] = {} if own == b"null" else _FIELDS.decode(own)
    except (ValueError, RecursionError) as wrong:
        raise CommandRefused(f"invalid callback: {wrong}") from None
    customs.pop(batches.MEMBER, None)
    fields["custom"] = Raw(msgspec.json.encode(customs | custom))
    if bytes(fields.get("jid", b"null")) in {b"null", b'""'}:
        fields["jid"] = Raw(msgspec.json.encode(payload.new_jid()))
    return read_job(msgspec.json.encode(fields), limits.jobs)


def _given(argument: bytes | None) -> bytes:
    if argument is None:
        raise CommandRefused(INTERNAL)
    return argument


def _invalid(verb: bytes, text: bytes) -> CommandRefused:
    return CommandRefused(f"invalid {verb.decode()} {echo(text)}")


def _fields(verb: bytes, text: bytes, kind: Any) -> Any:
    try:
        return _folded(text, kind)
    except (ValueError, RecursionError):
        raise _invalid(verb, text) from None


def _folded(text: bytes, kind: Any) -> Any:
    """Read an object whose names may be in any case; the last of two wins, null is an empty one."""
    if text.strip() == b"null":
        return kind()
    raws = _FIELDS.decode(sanitized(text))
    names = kind.__struct_fields__
    known = {field: raw for name, raw in raws.items() if (field := name.lower()) in names}
    return msgspec.json.decode(msgspec.json.encode(known), type=kind)


_STRINGS: Final = msgspec.json.Decoder(dict[str, str | None])
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_READERS: Final[dict[bytes, Callable[[bytes | None, RequestLimits], Request]]] = {
    b"PUSH": _push,
    b"PUSHB": _push_bulk,
    b"FETCH": _fetch,
    b"ACK": _ack,
    b"FAIL": _fail,
    b"BEAT": _beat,
    b"INFO": lambda _argument, _limits: Info(),
    b"FLUSH": lambda _argument, _limits: Flush(),
    b"END": lambda _argument, _limits: End(),
    b"QUEUE": _queue,
    b"MUTATE": _mutate,
    b"BATCH": _batch,
    b"TRACK": _track,
}
