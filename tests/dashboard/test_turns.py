"""Jobs that take turns, on the pages of their queue and of a job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.urls import reverse

from faktory_django.api.named import push_named
from faktory_django.dashboard import job_rows, turns
from faktory_django.lifecycle import queues
from faktory_django.lifecycle.fetch import Consumer

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("blank_record")]
ARGS = ("view_job", "view_job_args")


def push(key: str, jobs: int = 1, **options: Any) -> list[str]:
    """Push jobs of a key into the queue "turns"; return their jids."""
    queues.declare(["turns"])
    custom = {"fairness_key": key, **options.pop("custom", {})}
    told = {"queue": "turns", "custom": custom, **options}
    return [push_named("T", [1], {}, options=told).jid for _ in range(jobs)]


def page(client: Client, name: str, *args: str) -> str:
    """Return the text of a page, without what is between its words."""
    response = client.get(reverse(f"faktory:{name}", args=args))
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def reasons(client: Client, jid: str) -> str:
    """Return why a job is not running."""
    [job] = client.get(reverse("faktory:job", args=[jid])).context["jobs"]
    return " ".join(reason.text for reason in job.reasons)


def test_a_queue_says_whose_jobs_wait(person: Callable[..., Client]) -> None:
    push("acme", 3)
    push("<b>other</b>", 1)

    text = page(person(*ARGS), "queue", "turns")

    assert "Whose jobs wait Fairness key Jobs that wait acme 3 &lt;b&gt;other&lt;/b&gt; 1" in text
    assert "All that wait are counted." in text


def test_of_many_keys_and_jobs_the_page_says_what_it_has_counted(
    person: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SHOWN", 2)
    monkeypatch.setattr(turns, "WINDOW", 6)
    for number in range(4):
        push(f"key-{number}", 2 if number == 3 else 1)
    push("later", 5)

    text = page(person(*ARGS), "queue", "turns")

    assert "key-3 2 key-0 1 3 more keys have no more than these." in text
    assert "Counted among the 6 of them that have waited longest; there may be more." in text


def test_who_may_not_see_arguments_sees_no_keys(person: Callable[..., Client]) -> None:
    [jid] = push("acme")
    client = person("view_job")

    assert "acme" not in page(client, "queue", "turns")
    assert "acme" not in page(client, "job", jid)


def test_a_queue_where_nothing_takes_turns_says_nothing_of_it(
    person: Callable[..., Client],
) -> None:
    push_named("T", [1], {}, options={"queue": "turns"})
    queues.declare(["turns"])

    assert "Whose jobs wait" not in page(person(*ARGS), "queue", "turns")


def test_a_job_has_its_key_and_weight_among_its_facts(person: Callable[..., Client]) -> None:
    [one] = push("acme")
    [two] = push("acme", custom={"fairness_weight": 2.5})

    assert "Fairness key acme Pushed" in page(person(*ARGS), "job", one)
    assert "Fairness key acme (weight 2.5)" in page(person(*ARGS), "job", two)


def test_a_job_says_how_many_come_before_it_and_whose(chief: Client) -> None:
    mine = push("acme", 10)
    other = push("other", 3)

    assert "It is the next one in queue" in reasons(chief, mine[0])
    assert "12 jobs are before it in queue" in reasons(chief, mine[9])
    assert "3 jobs of other keys come before it" in reasons(chief, mine[9])
    assert "5 jobs are before it in queue" in reasons(chief, other[2])
    assert "3 jobs of other keys come before it" in reasons(chief, other[2])


def test_priorities_stand_before_and_after_what_takes_turns(chief: Client) -> None:
    [low] = push("acme", priority=-1)
    [first] = push("acme", priority=1)
    mine = push("acme", 2)

    assert "2 jobs are before it in queue" in reasons(chief, mine[1])
    assert "take turns" not in reasons(chief, mine[1])
    assert "3 jobs are before it in queue" in reasons(chief, low)
    assert "It is the next one" in reasons(chief, first)


def test_the_list_of_a_queue_is_in_the_order_in_which_jobs_run(chief: Client) -> None:
    [low] = push("acme", priority=-1)
    mine, other = push("acme", 3), push("other", 2)
    [first] = push("acme", priority=1)
    expected = [first, mine[0], other[0], mine[1], other[1], mine[2], low]

    response = chief.get(reverse("faktory:queue", args=["turns"]))
    by_jid = chief.get(reverse("faktory:queue", args=["turns"]), {"q": f"jid:{other[1]}"})

    jids = re.findall(r"[0-9a-f]{24}", response.content.decode())
    assert list(dict.fromkeys(jids)) == expected
    assert other[1] in by_jid.content.decode()
    claimed = Consumer("w").turn(connection, ["turns"], 10).jobs
    assert len(claimed) == 7


def test_a_count_ends_at_its_limit(chief: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_rows, "CAP", 5)
    push("acme", 10)
    push("other", 10)
    mine = push("acme", 1)

    assert "More than 5 jobs are before it" in reasons(chief, mine[0])
    assert "jobs of other keys come before it" in reasons(chief, mine[0])
