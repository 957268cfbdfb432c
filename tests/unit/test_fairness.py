"""The rules of fairness, each as a table."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import pytest

from faktory_django import keyed
from faktory_django.errors import InvalidOption
from faktory_django.features import fairness


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ("acme", "acme"),
        ("7", "7"),
        (7, "7"),
        (-1, "-1"),
        (0, "0"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("x" * 255, "x" * 255),
        ("テナント 7", "テナント 7"),
    ],
)
def test_a_key_is_kept_as_a_text(value: Any, kept: str | None) -> None:
    assert fairness.key(value) == kept


@pytest.mark.parametrize(
    "value",
    ["", "x" * 256, "a\0b", "a\nb", "a\ud800", True, 1.5, b"acme", ["a"], {}, 10**300, 10**5_000],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_key_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^fairness_key must be a str of 1 to 255 printable"):
        fairness.key(value)


@pytest.mark.parametrize("value", [0.01, 0.5, 1, 3, 100, 99.99])
def test_a_weight_is_a_number(value: float) -> None:
    assert fairness.weight(value) == value


@pytest.mark.parametrize(
    "value", [0, 0.009, 100.1, -1, math.nan, math.inf, True, "3", None, [1], 10**400]
)
def test_what_is_no_weight_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^fairness_weight must be a number from 0.01 to 100"):
        fairness.weight(value)


@pytest.mark.parametrize(
    ("custom", "traits"),
    [
        ({}, {}),
        ({"fairness_key": None}, {}),
        ({"fairness_key": None, "fairness_weight": 3}, {}),
        ({"fairness_weight": 3}, {}),
        ({"fairness_key": "acme"}, {"fair": {"key": "acme"}}),
        ({"fairness_key": 7, "other": 1}, {"fair": {"key": "7"}}),
        ({"fairness_key": "acme", "fairness_weight": None}, {"fair": {"key": "acme"}}),
        ({"fairness_key": "acme", "fairness_weight": 1}, {"fair": {"key": "acme"}}),
        ({"fairness_key": "a", "fairness_weight": 3}, {"fair": {"key": "a", "weight": 3.0}}),
    ],
)
def test_the_custom_attributes_of_a_job_say_whose_turn_it_is(
    custom: dict[str, Any], traits: dict[str, Any]
) -> None:
    assert fairness.traits(custom) == traits


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ({"fairness_key": ""}, "fairness_key must be"),
        ({"fairness_key": "a", "fairness_weight": 0}, "fairness_weight must be"),
        ({"fairness_weight": "3"}, "fairness_weight must be"),
    ],
)
def test_a_wrong_value_is_refused_whether_it_is_used_or_not(
    custom: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOption, match=message):
        fairness.traits(custom)


@pytest.mark.parametrize(
    ("share", "stride"), [(1, 1024), (2, 512), (3, 341), (0.5, 2048), (0.01, 102_400), (100, 10)]
)
def test_the_heavier_a_key_the_closer_its_jobs_lie(share: float, stride: int) -> None:
    assert fairness.stride(share) == stride


def test_places_fit_into_what_the_database_has() -> None:
    rounds = 2 * 2**fairness.START_BITS

    assert rounds * fairness.ROUND * 2**fairness.TIE_BITS <= 2**63


def test_a_hash_is_the_same_for_the_same_and_tells_nothing(settings: Any) -> None:
    one, again = keyed.digest("fairness", "acme"), keyed.digest("fairness", "acme")
    settings.SECRET_KEY = "another"
    other_secret = keyed.digest("fairness", "acme")

    assert one == again
    assert one.startswith("hashed:")
    assert len(one) == len("hashed:") + 32
    assert "acme" not in one
    assert len({one, other_secret, keyed.digest("unique", "acme")}) == 3
