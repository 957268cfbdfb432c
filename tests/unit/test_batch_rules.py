"""The rules of batches, each as a table."""

from __future__ import annotations

import re
from typing import Any

import pytest

from faktory_django.errors import InvalidOption
from faktory_django.features import batches


@pytest.mark.parametrize(
    ("custom", "traits"),
    [
        ({}, {}),
        ({"bid": None}, {}),
        ({"bid": ""}, {}),
        ({"bid": "b-1"}, {"bid": "b-1"}),
        ({"bid": "b-1", "bid_by": "jid"}, {"bid": "b-1", "bid_by": True}),
        ({"bid": "b-1", "bid_by": ""}, {"bid": "b-1"}),
        ({"bid": "b-1", "bid_step": [1, 0]}, {"bid": "b-1", "step": [1, 0]}),
        ({"_bid": "b-1", "_pbid": "b-0"}, {"callback": "b-1"}),
        ({"_bid": ""}, {}),
        # a member is no callback, whatever else it says
        ({"bid": "b-1", "_bid": "b-2"}, {"bid": "b-1"}),
        ({"bid_by": "jid", "bid_step": [0, 0]}, {}),
    ],
)
def test_what_custom_says_of_batches(custom: dict[str, Any], traits: dict[str, Any]) -> None:
    assert batches.traits(custom) == traits


@pytest.mark.parametrize(
    "wrong", [7, ["b-1"], "1", "b-", "B-1", "b-1 ", "b-\0", f"b-{'x' * 61}", "b-é", True, {}]
)
@pytest.mark.parametrize("key", ["bid", "_bid"])
def test_what_is_no_id_of_a_batch_is_refused(key: str, wrong: Any) -> None:
    with pytest.raises(InvalidOption, match=f"{key} must be the id of a batch"):
        batches.traits({key: wrong})


@pytest.mark.parametrize("wrong", [7, [1], [1, 2, 3], ["1", 2], [True, 1], {}])
def test_a_step_is_two_integers(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="bid_step must be two integers"):
        batches.traits({"bid": "b-1", "bid_step": wrong})


def test_ids_are_those_of_the_protocol_and_differ() -> None:
    found = {batches.new_bid() for _ in range(100)}

    assert len(found) == 100
    assert all(re.fullmatch(r"b-[a-zA-Z0-9_-]{14}", bid) for bid in found)
    assert all(batches.BID.fullmatch(bid) for bid in found)


@pytest.mark.parametrize(
    ("traits", "bid"),
    [
        (None, None),
        ('{"limit": ["k"]}', None),
        ('{"bid": "b-1", "unique": {}}', "b-1"),
        ('{"callback": "b-2"}', "b-2"),
    ],
)
def test_which_batch_is_folded_when_a_job_ends(traits: str | None, bid: str | None) -> None:
    assert batches.bid_of(traits) == bid


@pytest.mark.parametrize(
    ("ended", "planned", "percent"),
    [(0, 0, 100), (0, 3, 0), (1, 3, 33), (2, 3, 66), (3, 3, 100), (5, 3, 100), (999, 1_000, 99)],
)
def test_progress_is_rounded_down(ended: int, planned: int, percent: int) -> None:
    assert batches.percent(ended, planned) == percent


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "running"),
        ({"committed": False}, "open"),
        ({"committed": False, "cancelled": True}, "cancelled"),
        ({"success": "1"}, "success"),
        ({"success": "2", "lost": 1}, "success"),
        ({"lost": 1, "pending": 2}, "running"),
        ({"lost": 2, "pending": 2}, "failed"),
        ({"cancelled": True, "success": "1"}, "cancelled"),
    ],
)
def test_what_a_batch_has_come_to(facts: dict[str, Any], state: str) -> None:
    given: dict[str, Any] = {
        "committed": True,
        "cancelled": False,
        "success": "",
        "lost": 0,
        "pending": 0,
    }

    assert batches.state(**(given | facts)) == state
