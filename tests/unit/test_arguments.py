"""Arguments come back exactly, or are refused with their place and the limit."""

from __future__ import annotations

import enum
import json
import math
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db.models import TextChoices
from django.utils.safestring import mark_safe
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faktory_django import arguments, payload
from faktory_django.errors import InvalidArguments

DEPTH = 100


class Colour(enum.Enum):
    """An Enum of texts."""

    RED = "red"


class Mixed(str, enum.Enum):  # noqa: UP042 - prints as Mixed.ONE
    """An Enum whose members are texts and print as something else."""

    ONE = "eins"


class Size(enum.IntFlag):
    """An Enum whose members are numbers and can be combined."""

    SMALL = 1
    LARGE = 2


class Fruit(TextChoices):
    """Django's own kind of Enum."""

    APPLE = "apple", "An apple"


class Odd(enum.Enum):
    """An Enum whose value JSON does not know."""

    TUPLE = (1, 2)


def there_and_back(*args: Any, **kwargs: Any) -> list[Any]:
    """Encode, read as the worker reads, decode."""
    text, kinds = arguments.encode(args, kwargs, max_depth=DEPTH)
    read = payload.parse(payload.canonical("a.job", "0" * 24, text, queue="default")).args
    return arguments.decode(read, json.loads(json.dumps(kinds)))


def same(one: Any, other: Any) -> bool:
    """Equal with equal types all the way down, and equal signs of zero."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (set, frozenset)):
        return one == other and Counter(map(type, one)) == Counter(map(type, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


texts = st.text(st.characters(exclude_categories=["Cs"]))
keys = st.text(st.sampled_from('ab~/01\0"\\é\u2028😀'), max_size=5)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
# Whole seconds, as all zones have: Python 3.11 reads an offset of microseconds as none.
zones = st.none() | st.integers(-86_399, 86_399).map(lambda s: timezone(timedelta(seconds=s)))
rich_scalars = (
    st.datetimes(timezones=zones)
    | st.dates()
    | st.times(timezones=zones)
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.sampled_from([Colour.RED, Mixed.ONE, Size.SMALL, Size.SMALL | Size.LARGE, Fruit.APPLE])
)
members = st.integers() | texts | rich_scalars | st.frozensets(st.integers() | st.uuids())
rich_values = st.recursive(
    rich_scalars | st.sets(members) | st.frozensets(members) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(json_values)
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
@example(0.1)
@example(1.0)
@example(2**53 + 1)
@example(-(2**63) - 1)
@example(2**64)
@example("\0 \u2028 \ufeff \U0001f600 </script> \x7f")
def test_every_json_value_comes_back_exactly(value: Any) -> None:
    back = there_and_back(value)

    assert same(back, [value])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4_300), st.sampled_from("123456789"), st.sampled_from(["", "-"]))
@example(4_300, "9", "-")
def test_integers_of_up_to_4300_digits_come_back_exactly(
    digits: int, digit: str, sign: str
) -> None:
    value = int(sign + digit * digits)

    back = there_and_back([value], value)

    assert back == [[value], value]


@settings(max_examples=40, deadline=None)
@given(rich_values)
@example({"a/b": {"c~d": [date(2026, 1, 1)]}, "~1": {Decimal("1.10")}})
@example({frozenset({UUID(int=1)}), frozenset({UUID(int=2)})})
@example(timedelta.min)
@example(timedelta.max)
@example(timedelta(microseconds=-1))
def test_what_json_does_not_know_comes_back_as_its_own_kind(value: Any) -> None:
    back = there_and_back(0, value)

    assert same(back, [0, value])


def test_the_wire_sees_plain_json_and_the_kinds_beside_it() -> None:
    when = datetime(2026, 11, 23, 10, 0, 0, 5, tzinfo=UTC)

    text, kinds = arguments.encode(
        [{"a/b~": {Decimal("1.10")}}, when, Colour.RED, timedelta(seconds=-1.5)],
        {"by": UUID(int=7)},
        max_depth=DEPTH,
    )

    assert json.loads(text) == [
        {"a/b~": ["1.10"]},
        "2026-11-23T10:00:00.000005+00:00",
        "red",
        "-P0DT1.500000S",
        {"by": "00000000-0000-0000-0000-000000000007"},
    ]
    assert kinds == {
        "/0/a~1b~0": "set",
        "/0/a~1b~0/0": "decimal",
        "/1": "datetime",
        "/2": f"enum:{__name__}:Colour",
        "/3": "timedelta",
        "/4/by": "uuid",
    }


def test_an_aware_datetime_keeps_its_instant_and_offset() -> None:
    summer = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    [back] = there_and_back(summer)

    assert back == summer
    assert back.utcoffset() == timedelta(hours=2)


def test_a_decimal_keeps_its_trailing_zeros_and_its_nan() -> None:
    exact, nan = there_and_back(Decimal("1.100"), Decimal("NaN"))

    assert str(exact) == "1.100"
    assert nan.is_nan()


def test_a_tuple_travels_as_a_list() -> None:
    assert there_and_back((1, (2, 3))) == [[1, [2, 3]]]


def test_kin_of_plain_types_travel_as_the_plain_type() -> None:
    class Price(float):
        pass

    back = there_and_back(mark_safe("<b>"), Price(1.5), {mark_safe("k"): mark_safe("v")})

    assert same(back, ["<b>", 1.5, {"k": "v"}])


def test_a_key_that_is_an_enum_of_texts_travels_as_its_text() -> None:
    assert there_and_back({Mixed.ONE: 1}) == [{"eins": 1}]


def test_keyword_arguments_are_one_trailing_object() -> None:
    assert there_and_back(1, b=2, a=date(2026, 1, 2)) == [1, {"b": 2, "a": date(2026, 1, 2)}]


def deep(levels: int) -> list[Any]:
    """Nest lists."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class LocalKind(enum.Enum):
    """Moved away below, so that its name leads nowhere."""

    X = 1


LocalKind.__qualname__ = "nobody.<locals>.LocalKind"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "the argument at /1 is not JSON"),
        ([math.inf], "the argument at /1 is not JSON"),
        (-math.inf, "the argument at /1 is not JSON"),
        pytest.param(
            10**4_300,
            "the argument at /1 is not JSON: Exceeds the limit (4300 digits)",
            id="4301 digits",
        ),
        ("\ud800", "the argument at /1 holds a lone surrogate"),
        ({"k": ["\udfff"]}, "the argument at /1 holds a lone surrogate"),
        (object(), "the argument at /1 is a object, which is not JSON"),
        ([0, {"a/b": b"bytes"}], "the argument at /1/1/a~1b is a bytes, which is not JSON"),
        ({"k": 1 + 2j}, "the argument at /1/k is a complex, which is not JSON"),
        ({1: 2}, "the object at /1 has the key 1; keys must be str"),
        ([{None: 2}], "the object at /1/0 has the key None; keys must be str"),
        (Odd.TUPLE, "the argument at /1 is <Odd.TUPLE: (1, 2)>, not a plain value"),
        (LocalKind.X, "the argument at /1 is of the Enum nobody.<locals>.LocalKind"),
        ({(1, 2)}, "the set at /1 holds (1, 2), which would come back as a list"),
        (deep(101), "is nested deeper than 100 levels (MAX_ARGUMENT_DEPTH)"),
        ("x", None),
        (deep(99), None),
    ],
)
def test_an_argument_that_cannot_travel_is_named_and_refused(
    value: Any, message: str | None
) -> None:
    if message is None:
        assert there_and_back("fine", value) == ["fine", value]
        return
    with pytest.raises(InvalidArguments) as refusal:
        arguments.encode(["fine", value], {}, max_depth=DEPTH)

    assert message in str(refusal.value)


def test_a_model_instance_is_refused_with_the_advice_to_pass_its_pk() -> None:
    with pytest.raises(InvalidArguments) as refusal:
        arguments.encode([], {"user": User(pk=1)}, max_depth=DEPTH)

    assert str(refusal.value) == (
        "the argument at /0/user is the model instance User; pass its pk and load it in the job"
    )


def test_a_value_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)

    with pytest.raises(InvalidArguments, match="MAX_ARGUMENT_DEPTH"):
        arguments.encode([circle], {}, max_depth=DEPTH)


def test_nesting_beyond_what_python_can_follow_is_refused() -> None:
    with pytest.raises(InvalidArguments):
        arguments.encode([deep(5_000)], {}, max_depth=100_000)


@pytest.mark.parametrize(
    ("value", "kinds", "message"),
    [
        ("tomorrow", {"/0": "date"}, "the argument at /0 is not a date"),
        (5, {"/0": "datetime"}, "the argument at /0 is not a datetime"),
        ("P1D", {"/0": "timedelta"}, "not a duration: 'P1D'"),
        ("x", {"/0": "decimal"}, "the argument at /0 is not a decimal"),
        (1, {"/0": "uuid"}, "the argument at /0 is not a uuid"),
        ([[]], {"/0": "set"}, "the argument at /0 is not a set"),
        (1, {"/3": "set"}, "the argument at /3 is not a set"),
        ({}, {"/0/k": "set"}, "the argument at /0/k is not a set"),
        (1, {"/0": "pickle"}, "unknown kind 'pickle'"),
        ("ls", {"/0": "enum:os:system"}, "no loaded module has the Enum os.system"),
        ("x", {"/0": "enum:antigravity:X"}, "no loaded module has the Enum antigravity.X"),
        ("blue", {"/0": f"enum:{__name__}:Colour"}, "'blue' is not a valid Colour"),
        ("x", {"/0": "enum:nonsense"}, "the argument at /0 is not a enum:nonsense"),
    ],
)
def test_a_value_that_does_not_fit_its_kind_is_refused_when_read(
    value: Any, kinds: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidArguments) as refusal:
        arguments.decode([value], kinds)

    assert message in str(refusal.value)


def test_a_time_of_a_zone_without_a_date_loses_nothing_but_the_zone() -> None:
    fixed = time(12, 30, tzinfo=timezone(timedelta(hours=2)))

    assert there_and_back(fixed) == [fixed]
