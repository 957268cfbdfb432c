"""Overview: is everything all right?"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from faktory_django.models import Counter, CounterDelta, DeadJob, Queue

if TYPE_CHECKING:
    from django.test import Client

    from . import world

pytestmark = pytest.mark.django_db
PAGE = "/faktory/"


def tiles(text: str) -> dict[str, list[int]]:
    """Return the exact numbers of the tiles by their names."""
    found = re.findall(r'class="tile (\w+).*?</li>', text, re.DOTALL)
    parts = re.split(r'class="tile ', text)[1:]
    numbers = [[int(n) for n in re.findall(r'<data value="(\d+)"', part)] for part in parts]
    return {
        name: n[:2] if name == "busy" else n[:1] for name, n in zip(found, numbers, strict=True)
    }


def test_the_numbers_are_those_of_the_store(viewer: Client, busy: world.World) -> None:
    del busy

    found = tiles(viewer.get(PAGE).content.decode())

    assert list(found) == [
        *("processed", "failed", "busy", "enqueued", "retries", "scheduled", "dead")
    ]
    assert found["busy"] == [8, 20]
    assert found["enqueued"] == [112]
    assert (found["retries"], found["scheduled"], found["dead"]) == ([30], [40], [24])
    assert found["processed"][0] > found["failed"][0] > 0


def test_what_was_counted_a_moment_ago_is_in_the_numbers_and_the_chart(viewer: Client) -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    CounterDelta.objects.create(starts_at=minute, queue="q", jobtype="t", done=7, failed=3)

    text = viewer.get(PAGE).content.decode()

    assert tiles(text)["processed"] == [10]
    assert "Processed: 10\nFailed: 3" in text


def test_a_number_leads_to_its_list(viewer: Client) -> None:
    text = viewer.get(PAGE).content.decode()

    for name in ("busy", "queues", "retries", "scheduled", "dead"):
        assert f'<a href="/faktory/{name}/" id="tile-' in text


def test_an_empty_store_says_what_will_be_there(viewer: Client) -> None:
    text = viewer.get(PAGE).content.decode()

    assert "Everything is all right." in text
    assert "No queue is known yet." in text
    assert "Nothing in this time" in text
    assert "<title>Dashboard | Jobs</title>" in text


@pytest.mark.parametrize(
    ("asked", "days"), [("", 30), ("7", 7), ("90", 90), ("180", 180), ("365", 30), ("x", 30)]
)
def test_the_history_has_as_many_days_as_were_asked_for(
    viewer: Client, asked: str, days: int
) -> None:
    text = viewer.get(PAGE, {"days": asked}).content.decode()

    below = text.partition('class="below"')[2]
    assert below.count('class="chart-step"') == days
    assert f'?days={days}" aria-current="true"' in below


def test_a_day_is_what_was_folded_and_what_was_not(viewer: Client) -> None:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    common = {"queue": "q", "jobtype": "t"}
    for resolution in Counter.Resolution.values:
        Counter.objects.create(resolution=resolution, starts_at=today, done=25, failed=1, **common)
    CounterDelta.objects.create(starts_at=timezone.now(), done=300, failed=2, **common)
    yesterday = today - timedelta(minutes=1)
    CounterDelta.objects.create(starts_at=yesterday, done=4_000, failed=5, **common)

    below = viewer.get(PAGE, {"days": "7"}).content.decode().partition('class="below"')[2]

    assert "Failed: 3\nSucceeded: 325" in below
    assert "Failed: 5\nSucceeded: 4,000" in below


def test_the_history_ends_with_today_and_begins_with_its_first_day(viewer: Client) -> None:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for days, done in ((0, 1), (6, 20), (7, 300)):
        at = today - timedelta(days=days)
        Counter.objects.create(resolution=86_400, starts_at=at, queue="q", jobtype="t", done=done)

    below = viewer.get(PAGE, {"days": "7"}).content.decode().partition('class="below"')[2]

    assert [n in below for n in ("Succeeded: 1", "Succeeded: 20", "Succeeded: 300")] == [
        *(True, True, False)
    ]


def test_the_title_of_the_tab_says_what_is_wrong(viewer: Client) -> None:
    DeadJob.objects.create(
        queue="q", jid="j", jobtype="t", reserve_for=60, body="{}", died_at=timezone.now()
    )
    assert "<title>(1 dead) Dashboard | Jobs</title>" in viewer.get(PAGE).content.decode()


def test_the_history_is_not_read_again_with_each_renewal(viewer: Client) -> None:
    text = viewer.get(PAGE, headers={"HX-Request": "true"}).content.decode()

    assert 'class="tile processed' in text
    assert 'class="below"' not in text


def test_it_costs_the_same_with_any_number_of_queues(
    viewer: Client, busy: world.World, django_assert_max_num_queries: Any
) -> None:
    del busy
    for i in range(90):
        Queue.objects.create(name=f"q{i}")

    with django_assert_max_num_queries(24):
        viewer.get(PAGE)


def test_what_is_old_and_what_is_new_are_both_counted_once(viewer: Client) -> None:
    now = timezone.now()
    for resolution in Counter.Resolution.values:
        for days, done in ((0, 321), (1, 4_000)):
            Counter.objects.create(
                resolution=resolution,
                starts_at=now - timedelta(days=days),
                queue="q",
                jobtype="t",
                done=done,
            )
    CounterDelta.objects.create(
        starts_at=now - timedelta(hours=5), queue="q", jobtype="t", done=50_000
    )

    assert tiles(viewer.get(PAGE).content.decode())["processed"] == [54_321]
