"""What a worker is told: queues and their order, numbers and their limits, from three places."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from faktory_django.errors import InvalidOption, InvalidQueueName
from faktory_django.management.commands.faktory_worker import worker_options
from faktory_django.worker.options import QueueOrder, queue_order


@pytest.mark.parametrize(
    ("specs", "names", "weights"),
    [
        (["critical,default"], ("critical", "default"), ()),
        (["critical", "default,low"], ("critical", "default", "low"), ()),
        (["critical, default"], ("critical", "default"), ()),
        (["a,b,a"], ("a", "b"), ()),
        (["a=3,b=1"], ("a", "b"), (3, 1)),
        (["a=3,b"], ("a", "b"), (3, 1)),
        (["a=1000"], ("a",), (1_000,)),
        (["a=1"], ("a",), (1,)),
    ],
)
def test_queues_are_read_in_order_with_their_weights(
    specs: list[str], names: tuple[str, ...], weights: tuple[int, ...]
) -> None:
    assert queue_order(specs, shuffle=False) == QueueOrder(names, weights)


def test_shuffled_queues_weigh_the_same() -> None:
    assert queue_order(["a,b"], shuffle=True) == QueueOrder(("a", "b"), (1, 1))


@pytest.mark.parametrize("spec", ["", "a,,b", "a b", "a,*", "=3", "x" * 101, "größe"])
def test_a_wrong_queue_name_is_refused(spec: str) -> None:
    with pytest.raises(InvalidQueueName, match="a queue name is 1 to 100 characters"):
        queue_order([spec], shuffle=False)


@pytest.mark.parametrize("spec", ["a=0", "a=1001", "a=-1", "a=x", "a=1.5", "a=٣", "a=", "a=1=2"])
def test_a_wrong_weight_is_refused_with_its_limits(spec: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        queue_order([spec], shuffle=False)

    assert str(refusal.value) == f"the weight of a queue must be 1 to 1000, got {spec!r}"


def test_no_queue_at_all_is_refused() -> None:
    with pytest.raises(InvalidOption, match="a worker needs the name of at least one queue"):
        queue_order([], shuffle=False)


@pytest.mark.parametrize("specs", [["a=3,b,a=2"], ["a", "a=3"], ["a=3", "a"]])
def test_a_queue_that_is_named_with_two_weights_is_refused(specs: list[str]) -> None:
    with pytest.raises(InvalidOption, match="queue 'a' is named with two weights"):
        queue_order(specs, shuffle=False)


def test_a_strict_order_is_the_same_for_every_claim() -> None:
    order = queue_order(["a,b,c"], shuffle=False)

    assert {tuple(order.next()) for _ in range(50)} == {("a", "b", "c")}


def test_every_claim_looks_at_all_weighted_queues() -> None:
    order = queue_order(["a=5,b,c"], shuffle=False)

    assert {frozenset(order.next()) for _ in range(50)} == {frozenset("abc")}


@pytest.mark.parametrize(
    ("spec", "shares"), [("a=6,b=3,c=1", {"a": 0.6, "b": 0.3, "c": 0.1}), ("a=1,b=1", {"a": 0.5})]
)
def test_a_queue_comes_first_as_often_as_its_weight_says(
    spec: str, shares: dict[str, float]
) -> None:
    order = queue_order([spec], shuffle=False)

    first = Counter(order.next()[0] for _ in range(5_000))

    # Six standard deviations: one run in a billion fails.
    assert {q: first[q] / 5_000 for q in shares} == pytest.approx(shares, abs=0.043)


def test_without_a_word_the_settings_hold(override_faktory: Any) -> None:
    override_faktory(QUEUES=["a", "b=2"], CONCURRENCY=3, PROCESSES=2, GRACE_SECONDS=1.5)

    options = worker_options({})

    assert options.queues == QueueOrder(("a", "b"), (1, 2))
    assert (options.concurrency, options.processes, options.grace_seconds) == (3, 2, 1.5)
    assert (options.database, options.burst, options.labels) == ("default", False, ("python",))


def test_the_command_line_wins_over_the_environment_and_that_over_the_settings(
    override_faktory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    override_faktory(CONCURRENCY=3, PROCESSES=3, GRACE_SECONDS=3.0, QUEUES=["three"])
    monkeypatch.setenv("FAKTORY_WORKER_CONCURRENCY", "2")
    monkeypatch.setenv("FAKTORY_WORKER_PROCESSES", "2")
    monkeypatch.setenv("FAKTORY_WORKER_QUEUE", "two,zwei")

    options = worker_options({"concurrency": 1})

    assert (options.concurrency, options.processes, options.grace_seconds) == (1, 2, 3.0)
    assert options.queues.names == ("two", "zwei")


def test_a_blank_in_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUEUE", "DATABASE", "CONCURRENCY", "GRACE"):
        monkeypatch.setenv(f"FAKTORY_WORKER_{name}", " ")

    assert worker_options({}) == worker_options({"queue": ["default"], "database": "default"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"concurrency": 0}, "--concurrency must be 1 to 1000, got 0"),
        ({"async_concurrency": 10_001}, "--async-concurrency must be 1 to 10000, got 10001"),
        ({"processes": -1}, "--processes must be 1 to 256, got -1"),
        ({"grace": float("nan")}, "--grace must be 0 to 86400, got nan"),
        ({"poll": 0.0}, "--poll must be 0.01 to 60, got 0.0"),
        ({"max_jobs": 0}, "--max-jobs must be at least 1, got 0"),
        ({"max_rss_mb": -1}, "--max-rss-mb must be at least 1, got -1"),
        ({"database": "nope"}, "--database must be an alias in DATABASES (default), got 'nope'"),
    ],
)
def test_a_wrong_number_on_the_command_line_is_named_with_its_limits(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOption) as refusal:
        worker_options(given)

    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CONCURRENCY", "many", "FAKTORY_WORKER_CONCURRENCY must be int, got 'many'"),
        ("CONCURRENCY", "0", "FAKTORY_WORKER_CONCURRENCY must be 1 to 1000, got 0"),
        ("GRACE", "soon", "FAKTORY_WORKER_GRACE must be float, got 'soon'"),
        (
            "DATABASE",
            "nope",
            "FAKTORY_WORKER_DATABASE must be an alias in DATABASES (default), got 'nope'",
        ),
    ],
)
def test_a_wrong_value_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"FAKTORY_WORKER_{name}", value)

    with pytest.raises(InvalidOption) as refusal:
        worker_options({})

    assert str(refusal.value) == message
