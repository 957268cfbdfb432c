"""Arguments: Python values to JSON and back, exactly.

JSON types travel as they are. Some others travel as plain JSON, and their kinds are noted
beside them by JSON pointer (RFC 6901), so that Python gets back what Python pushed.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from faktory_django.errors import InvalidArguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SCALARS: Final = frozenset({str, int, bool, float, type(None)})
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# Twenty times as fast, and the same for these: of a float it would write NaN as null.
_SIMPLE: Final = frozenset({str, int, bool, type(None)})
_quick: Final = msgspec.json.Encoder().encode
# The methods of the plain types: a subclass may print as something else.
_EXACT: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
_DURATION: Final = re.compile(r"(-?)P(\d+)DT(\d+)(?:\.(\d{6}))?S", re.ASCII)


def encode(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, max_depth: int
) -> tuple[str, dict[str, str]]:
    """Return the JSON text of args, and the kinds of the values that JSON does not know.

    Keyword arguments become one trailing object. Raises InvalidArguments, which names the
    argument.
    """
    values: list[Any] = [*args, dict(kwargs)] if kwargs else list(args)
    kinds: dict[str, str] = {}
    try:
        if _SIMPLE.issuperset(map(type, values)):
            return _quick(values).decode(), kinds
        if not all(type(value) in _SCALARS for value in values):
            values = [_plain(v, f"/{i}", kinds, max_depth) for i, v in enumerate(values)]
        text = _ENCODER.encode(values)
        text.encode()
    except InvalidArguments:
        raise
    except (ValueError, RecursionError) as wrong:
        raise _named(values, wrong) from None
    return text, kinds


def decode(args: list[Any], kinds: Mapping[str, str]) -> list[Any]:
    """Give the noted values their kinds again, in place; return args.

    Raises InvalidArguments when a value does not fit its kind.
    """
    for pointer in sorted(kinds, key=lambda p: -p.count("/")):
        holder: Any = args
        *path, last = [_unescape(step) for step in pointer.split("/")[1:]]
        try:
            for step in path:
                holder = holder[int(step)] if isinstance(holder, list) else holder[step]
            place: Any = int(last) if isinstance(holder, list) else last
            holder[place] = _revive(kinds[pointer], holder[place])
        except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as wrong:
            raise InvalidArguments(
                f"the argument at {pointer} is not a {kinds[pointer]}: {wrong}"
            ) from wrong
    return args


def _plain(value: Any, pointer: str, kinds: dict[str, str], depth: int) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth <= 0:
        levels = pointer.count("/") - 1
        raise InvalidArguments(
            f"the argument at /{pointer.split('/')[1]} is nested deeper than {levels} levels "
            "(MAX_ARGUMENT_DEPTH)"
        )
    if kind is list or isinstance(value, (list, tuple)):
        return [_plain(v, f"{pointer}/{i}", kinds, depth - 1) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {
            _key(k, pointer): _plain(v, f"{pointer}/{_escape(k)}", kinds, depth - 1)
            for k, v in value.items()
        }
    if isinstance(value, Enum):
        return _enum_value(value, pointer, kinds)
    if isinstance(value, (set, frozenset)):
        return _members(value, pointer, kinds, depth)
    return _noted(value, pointer, kinds)


def _enum_value(value: Enum, pointer: str, kinds: dict[str, str]) -> Any:
    if type(value.value) not in _SCALARS:
        raise InvalidArguments(f"the argument at {pointer} is {value!r}, not a plain value")
    kind = type(value)
    kinds[pointer] = name = f"enum:{kind.__module__}:{kind.__qualname__}"
    if _enum(name) is not kind:
        raise InvalidArguments(
            f"the argument at {pointer} is of the Enum {kind.__qualname__}, "
            f"which a worker does not find in {kind.__module__}"
        )
    return value.value


def _members(
    value: set[Any] | frozenset[Any], pointer: str, kinds: dict[str, str], depth: int
) -> list[Any]:
    kinds[pointer] = "frozenset" if isinstance(value, frozenset) else "set"
    members = _in_order(value)
    plain = [_plain(v, f"{pointer}/{i}", kinds, depth - 1) for i, v in enumerate(members)]
    for place, member in enumerate(plain):
        if isinstance(member, (list, dict)) and f"{pointer}/{place}" not in kinds:
            raise InvalidArguments(
                f"the set at {pointer} holds {members[place]!r}, which would come back as a "
                f"{type(member).__name__}, and that cannot be in a set"
            )
    return plain


def _noted(value: Any, pointer: str, kinds: dict[str, str]) -> Any:
    if isinstance(value, str):  # SafeString
        return str(value)
    if isinstance(value, (int, float)):  # numpy.float64
        return int(value) if isinstance(value, int) else float(value)
    for base, (name, write, _) in _KINDS.items():
        if isinstance(value, base):
            kinds[pointer] = name
            return write(value)
    if hasattr(value, "_meta") and hasattr(value, "pk") and not isinstance(value, type):
        raise InvalidArguments(
            f"the argument at {pointer} is the model instance {type(value).__name__}; "
            "pass its pk and load it in the job"
        )
    raise InvalidArguments(
        f"the argument at {pointer} is a {type(value).__name__}, which is not JSON"
    )


def _key(key: Any, pointer: str) -> str:
    if not isinstance(key, str):
        raise InvalidArguments(f"the object at {pointer} has the key {key!r}; keys must be str")
    return str.__str__(key)


def _in_order(values: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _named(values: Sequence[Any], wrong: Exception) -> InvalidArguments:
    for place, value in enumerate(values):
        try:
            _ENCODER.encode(value).encode()
        except UnicodeEncodeError:
            return InvalidArguments(f"the argument at /{place} holds a lone surrogate")
        except RecursionError:
            return InvalidArguments(f"the argument at /{place} is nested too deeply")
        except ValueError as cause:
            return InvalidArguments(f"the argument at /{place} is not JSON: {cause}")
    return InvalidArguments(f"the arguments are not JSON: {wrong}")


def _escape(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _unescape(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def _write_duration(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{value.seconds}{fraction}S"


def _read_duration(text: str) -> timedelta:
    if not (match := _DURATION.fullmatch(text)):
        raise ValueError(f"not a duration: {text!r}")
    sign, days, seconds, fraction = match.groups()
    value = timedelta(days=int(days), seconds=int(seconds), microseconds=int(fraction or 0))
    return -value if sign else value


# Order matters: a datetime is a date.
_KINDS: Final[dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]]] = {
    datetime: ("datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("date", date.isoformat, date.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: ("timedelta", _write_duration, _read_duration),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    **{name: read for name, _, read in _KINDS.values()},
    "set": set,
    "frozenset": frozenset,
}


def _revive(kind: str, value: Any) -> Any:
    if kind.startswith("enum:"):
        if (found := _enum(kind)) is None:
            _, module, qualname = kind.split(":")
            raise ValueError(f"no loaded module has the Enum {module}.{qualname}")
        return found(value)
    if kind not in _READERS:
        raise ValueError(f"unknown kind {kind!r}")
    return _READERS[kind](value)


def _enum(kind: str) -> type[Enum] | None:
    """Return an Enum class of a module that is loaded already: a payload never imports code."""
    _, module, qualname = kind.split(":")
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = vars(found).get(name) if found is not None else None
    return found if isinstance(found, type) and issubclass(found, Enum) else None
