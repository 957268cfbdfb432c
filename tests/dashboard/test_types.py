"""The pages of job types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from faktory_django import job, registry
from faktory_django.dashboard.quantiles import added, bucket_names, quantile
from faktory_django.dashboard.types import PERIODS, Numbers, about, total_of
from faktory_django.lifecycle import stats
from faktory_django.models import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

    from .world import World

INSERT = """
INSERT INTO faktory_django_counterdelta (starts_at, queue, jobtype, pushed, done, failed, waits,
    runs)
VALUES (date_trunc('minute', now()) - %(ago)s::interval, %(queue)s, %(jobtype)s, 9, 6, 3, %(waits)s,
    %(runs)s)
"""


def histogram(**counts: int) -> list[int]:
    found = [0] * BUCKETS
    for nr, count in counts.items():
        found[int(nr[1:])] = count
    return found


def count(ago: str, jobtype: str = "Mail", queue: str = "mail", *, folded: bool = True) -> None:
    params: dict[str, Any] = {"ago": ago, "queue": queue, "jobtype": jobtype}
    params |= {"waits": histogram(b1=6), "runs": histogram(b7=6)}
    with connection.cursor() as cursor:
        cursor.execute(INSERT, params)
    if folded:
        stats.fold(connection)


def listed(client: Client, period: str) -> dict[str, Numbers]:
    response = client.get(reverse("faktory:types"), {"period": period})
    assert response.status_code == 200
    return dict(response.context["types"])


@pytest.mark.parametrize(
    ("counts", "part", "seconds"),
    [
        ([], 0.5, None),
        (histogram(), 0.5, None),
        (histogram(b0=1), 1.0, 0.001),
        (histogram(b1=100), 0.5, 0.001_732),
        (histogram(b1=100), 1.0, 0.003),
        (histogram(b3=50, b7=50), 0.5, 0.03),
        (histogram(b3=90, b7=10), 0.95, 1.732),
        (histogram(b15=1), 0.5, 10_000),
        (histogram(b0=1, b15=99), 0.95, 10_000),
    ],
)
def test_a_quantile_is_read_from_a_histogram(
    counts: list[int], part: float, seconds: float | None
) -> None:
    assert quantile(counts, part) == (seconds and pytest.approx(seconds, rel=0.001))


@given(st.lists(st.integers(0, 10**9), min_size=BUCKETS, max_size=BUCKETS))
def test_quantiles_are_in_order_and_in_range(counts: list[int]) -> None:
    half, most = quantile(counts, 0.5), quantile(counts, 0.95)

    if half is None or most is None:
        assert not any(counts)
    else:
        assert 0 < half <= most <= 10_000


def test_histograms_are_added_bucket_by_bucket() -> None:
    assert added([]) == [0] * BUCKETS
    assert added([histogram(b1=1), (), histogram(b1=2, b3=4)]) == histogram(b1=3, b3=4)
    assert len(bucket_names()) == BUCKETS
    assert bucket_names()[-2:] == ["≤ 2.8 h", "> 2.8 h"]


@pytest.mark.parametrize(
    ("period", "now", "since"),
    [
        ("hour", "2026-11-25T12:34:56", "2026-11-25T11:35:00"),
        ("day", "2026-11-25T12:34:56", "2026-11-24T13:00:00"),
        ("day", "2026-11-25T12:00:00", "2026-11-24T13:00:00"),
        ("week", "2026-11-25T12:34:56", "2026-11-19T00:00:00"),
        ("month", "2026-11-25T00:00:00", "2026-10-27T00:00:00"),
        ("quarter", "2026-11-25T23:59:59", "2026-08-28T00:00:00"),
    ],
)
def test_a_period_ends_with_the_span_that_has_begun(period: str, now: str, since: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert PERIODS[period].since(at) == datetime.fromisoformat(since).replace(tzinfo=UTC)


def test_spans_are_added_up_to_a_total() -> None:
    total = total_of([Numbers(3, 2, 1, histogram(b1=2), histogram(b1=2)), Numbers(), Numbers(1)])

    assert (total.pushed, total.ran) == (4, 3)
    assert total.failed_percent == pytest.approx(33.333, rel=0.01)
    assert total.run_p50 == total.wait_p50
    assert Numbers().failed_percent is None


@pytest.mark.parametrize("folded", [True, False])
def test_what_is_folded_and_what_is_not_is_counted_once_in_the_right_time(
    chief: Client, *, folded: bool
) -> None:
    count("10 minutes")
    count("5 hours")
    count("10 days")
    count("200 days")
    count("0 minutes", folded=folded)

    ran = {name: listed(chief, name)["Mail"].ran for name in PERIODS}

    assert ran["hour"] == 18
    assert ran["day"] == 27
    assert ran["week"] == 27
    assert ran["month"] == ran["quarter"] == 36


def test_a_type_shows_its_times_over_time(chief: Client) -> None:
    count("30 minutes")
    count("0 minutes", folded=False)

    context = chief.get(reverse("faktory:type", args=["Mail"])).context

    runs, run_time, wait = context["charts"]
    assert sum(runs.series[1].values) == 12
    assert run_time.series[0].values[-1] == pytest.approx(1.732, rel=0.001)
    assert wait.series[0].values[-1] == pytest.approx(0.001_732, rel=0.001)
    assert [v is None for v in wait.series[1].values].count(False) == 2
    assert context["histogram"].series[0].values[7] == 12
    assert context["queues"] == [("mail", 12, 6)]


@pytest.mark.parametrize(
    ("period", "spans"),
    [("hour", 60), ("day", 24), ("week", 7), ("month", 30), ("quarter", 90)],
)
def test_a_type_has_a_value_for_each_span_of_the_period(
    chief: Client, period: str, spans: int
) -> None:
    count("0 minutes")
    count("0 minutes", folded=False)

    context = chief.get(reverse("faktory:type", args=["Mail"]), {"period": period}).context

    for chart in context["charts"]:
        assert {len(series.values) for series in chart.series} == {spans}
    assert sum(context["charts"][0].series[1].values[-2:]) == context["total"].done == 12


def test_the_type_that_ran_most_comes_first(chief: Client, busy: World) -> None:
    del busy
    ran = [numbers.ran for numbers in listed(chief, "hour").values()]

    assert len(ran) == 5
    assert ran == sorted(ran, reverse=True)


def test_types_of_hidden_queues_are_not_counted(
    chief: Client, override_faktory: Callable[..., None]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO faktory_django_queue (name) VALUES ('mail'), ('other')")
    count("1 minute")
    count("1 minute", queue="other")
    count("1 minute", jobtype="Secret", queue="other")
    override_faktory(DASHBOARD_QUEUE_ACCESS="tests.dashboard.hooks.only_mail")

    found = listed(chief, "hour")
    page = chief.get(reverse("faktory:type", args=["Secret"]))

    assert {name: numbers.ran for name, numbers in found.items()} == {"Mail": 9}
    assert page.context["total"].ran == 0
    assert page.context["queues"] == []


@pytest.mark.parametrize("period", ["year", "", "hour\0", "7"])
def test_an_unknown_period_is_refused(chief: Client, period: str) -> None:
    for url in (reverse("faktory:types"), reverse("faktory:type", args=["Mail"])):
        assert chief.get(url, {"period": period}).status_code == 400


@pytest.mark.parametrize("name", [*PERIODS])
def test_a_page_takes_few_queries(
    chief: Client, busy: World, django_assert_max_num_queries: Any, name: str
) -> None:
    del busy
    for url in (reverse("faktory:types"), reverse("faktory:type", args=["FetchURL"])):
        with django_assert_max_num_queries(14):
            assert chief.get(url, {"period": name}).status_code == 200


def test_what_the_code_says_of_a_type_is_shown(chief: Client) -> None:
    known = dict(registry._definitions)
    try:

        @job(name="docs.send", aliases=["docs.mail"])
        def send() -> None:
            """Send <b>one</b> letter.

            Twice is an error.
            """
            raise AssertionError

        page = chief.get(reverse("faktory:type", args=["docs.mail"])).content.decode()
    finally:
        registry._definitions.clear()
        registry._definitions.update(known)

    assert "Send &lt;b&gt;one&lt;/b&gt; letter.\n\nTwice is an error." in page
    assert "also called docs.mail" in page
    assert about("docs.send") is None
