"""Why a job is not running, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faktory_django.dashboard import why
from faktory_django.dashboard.counts import Count
from faktory_django.dashboard.serving import Service, Worker, service
from faktory_django.lifecycle.holders import Hold

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERVED = {"running": 2, "slots": 20, "busy": 3}
FULL = SERVED | {"busy": 20}
ONE = {"running": 1, "slots": 1, "busy": 1}


def mail(**facts: Any) -> Service:
    return Service("mail", **{"wire": 0, **facts})


def said(reasons: list[why.Reason]) -> str:
    return " | ".join(f"! {r.text}" if r.grave else r.text for r in reasons)


@pytest.mark.parametrize(
    ("facts", "ahead", "seconds", "text"),
    [
        (SERVED, Count(0), 1, 'It is the next one in queue "mail". | A worker has room: it starts'),
        (SERVED, Count(1), 1, '1 job is before it in queue "mail".'),
        (SERVED, Count(1_204), 1, '1,204 jobs are before it in queue "mail".'),
        (SERVED, Count(10_000, roughly=True), 1, "More than 10,000 jobs are before it in queue"),
        (SERVED, Count(0), 300, "! Workers have room, and yet it has waited for 5 min: they may"),
        (FULL, Count(0), 300, 'All 20 slots of the workers that serve queue "mail" are busy.'),
        (ONE, Count(0), 3, 'The only slot of the workers that serve queue "mail" is busy.'),
        (SERVED | {"paused": True}, Count(0), 1, '! Queue "mail" is paused: workers take nothing'),
        ({}, Count(0), 1, '! No worker serves queue "mail". Start one: manage.py faktory_worker'),
        ({"quiet": 2}, Count(0), 1, '! The workers of queue "mail" are quiet: they take no new'),
        ({"silent": 1}, Count(0), 1, '! The workers of queue "mail" have not been heard of'),
        ({"wire": 1}, Count(0), 1, 'No Python worker serves queue "mail"; one worker on the wire'),
        ({"wire": 3}, Count(0), 1, 'No Python worker serves queue "mail"; 3 workers on the wire'),
        ({"wire": 3, "asking": True}, Count(0), 1, "A worker on the wire waits for jobs of queue"),
        (SERVED, None, 1, "It is on its way between its queue and a worker. Look again."),
    ],
)
def test_a_waiting_job_says_what_it_waits_for(
    facts: dict[str, Any], ahead: Count | None, seconds: float, text: str
) -> None:
    assert text in said(why.waiting(mail(**facts), ahead, seconds))


def test_a_job_in_a_paused_queue_does_not_say_that_it_starts_soon() -> None:
    found = said(why.waiting(mail(**SERVED, paused=True), Count(0), 1))

    assert "moment" not in found


@pytest.mark.parametrize(
    ("due_at", "facts", "text"),
    [
        (NOW + 4 * MINUTE, SERVED, 'It is due in 4 min, and enters queue "mail" then.'),
        (NOW + 4 * MINUTE, SERVED | {"paused": True}, 'then. | ! Queue "mail" is paused'),
        (NOW + 4 * MINUTE, {}, 'then. | ! No worker serves queue "mail".'),
        (
            NOW - timedelta(seconds=1),
            SERVED,
            "It was due 1 s ago and enters its queue in a moment.",
        ),
        (NOW - MINUTE, SERVED, "! It was due 1 min ago and enters its queue in a moment."),
        (NOW - MINUTE, {"upkeep": False}, "! It was due 1 min ago, and no worker or wire server"),
    ],
)
def test_a_scheduled_job_says_when_it_is_due_and_what_will_keep_it(
    due_at: datetime, facts: dict[str, Any], text: str
) -> None:
    assert text in said(why.scheduled(mail(**facts), due_at, NOW))


@pytest.mark.parametrize(
    ("due_at", "attempts", "text"),
    [
        (NOW + MINUTE, 1, 'It failed once. | Its next attempt is due in 1 min, in queue "mail".'),
        (NOW + MINUTE, 3, "It failed 3 times. | Its next"),
        (NOW + MINUTE, 0, 'Its next attempt is due in 1 min, in queue "mail".'),
        (NOW - MINUTE, 3, "It failed 3 times. | ! It was due 1 min ago"),
    ],
)
def test_a_retry_says_how_often_it_failed_and_when_it_is_tried_again(
    due_at: datetime, attempts: int, text: str
) -> None:
    assert said(why.retrying(mail(**SERVED), due_at, NOW, attempts)).startswith(text)


@pytest.mark.parametrize(
    ("attempts", "retry", "text"),
    [
        (0, 25, "! Somebody killed it before it had failed."),
        (1, -1, "! It is dead after its first failure, as its option retry (-1) says."),
        (1, 0, "! It is dead after 1 attempt: no more was allowed."),
        (26, 25, "! It is dead after 26 attempts: no more were allowed."),
        (3, 25, "! It is dead after 3 attempts, though 25 retries were allowed: somebody"),
        (1, 25, "! It is dead after 1 attempt, though 25 retries were allowed: somebody"),
    ],
)
def test_a_dead_job_says_what_it_died_of(attempts: int, retry: int, text: str) -> None:
    found = said(why.dead(attempts, retry, 180))

    assert found.startswith(text)
    assert found.endswith("It is kept for 180 days after its death.")


def held(**facts: Any) -> Hold:
    given: dict[str, Any] = {"wid": "w", "process": "box:4711", "claimed_at": NOW - 2 * MINUTE}
    given |= {"expires_at": None, "started_at": NOW - MINUTE, "beat_at": NOW, "state": "running"}
    return Hold(**given | facts)


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "It has been running on box:4711 for 1 min. | It may run for 30 min."),
        ({"started_at": None}, "box:4711 claimed it 2 min ago and has not started it yet."),
        ({"started_at": NOW - 31 * MINUTE}, "for 31 min. | ! It may run for 30 min."),
        ({"state": "quiet"}, "Its process takes no new jobs; it finishes this one."),
        ({"beat_at": NOW - MINUTE}, "! Its process has been silent for 1 min: the job goes back"),
        ({"beat_at": None}, "! Its process is not known any more"),
        (
            {"expires_at": NOW + 9 * MINUTE, "started_at": None, "beat_at": None},
            "It has been running on box:4711 for 2 min. | Its reservation ends in 9 min; it fails",
        ),
        ({"expires_at": NOW - MINUTE}, "! Its reservation has run out: it fails in a moment."),
        ({"process": ""}, "It has been running on a client without a name for 1 min."),
    ],
)
def test_a_job_in_work_says_who_runs_it_and_for_how_long(facts: dict[str, Any], text: str) -> None:
    found = why.working(held(**facts), NOW, reserve_for=1_800, silent_seconds=30)

    assert text in said(found)


def worker(kind: str = "python", **facts: Any) -> Worker:
    given = {"queues": ["mail"], "state": "running", "slots": 10, "busy": 4, "silent": False}
    return Worker(kind, **{**given, **facts})


def test_who_serves_a_queue_is_added_up() -> None:
    workers = [
        worker(),
        worker(busy=10),
        worker(state="quiet"),
        worker(silent=True),
        worker(queues=["other"]),
        worker("wire", queues=[]),
        worker("wire", state="quiet"),
        worker("wire", silent=True),
        worker("server"),
    ]

    found = service("mail", workers, False, True)

    assert found == Service(
        "mail", running=2, quiet=1, silent=1, slots=20, busy=14, wire=1, asking=True
    )
    assert not found.full
    assert service("mail", [worker(busy=10)], False, False).full


@pytest.mark.parametrize(
    ("kinds", "silent", "upkeep"),
    [
        ([], False, False),
        (["wire"], False, False),
        (["server"], False, True),
        (["python"], True, False),
    ],
)
def test_upkeep_is_done_by_workers_and_servers_of_ours(
    kinds: list[str], silent: bool, upkeep: bool
) -> None:
    workers = [worker(kind, silent=silent) for kind in kinds]

    assert service("mail", workers, False, False).upkeep is upkeep


@pytest.mark.parametrize(
    ("others", "text"),
    [
        (None, ""),
        (Count(0), ""),
        (Count(1), "Jobs with a fairness key take turns: 1 job of another key comes before it."),
        (Count(12), "Jobs with a fairness key take turns: 12 jobs of other keys come before it."),
        (Count(10_000, roughly=True), "more than 10,000 jobs of other keys come before it."),
    ],
)
def test_a_job_that_waits_for_its_turn_says_how_many_of_other_keys_come_first(
    others: Count | None, text: str
) -> None:
    found = said(why.waiting(mail(**SERVED), Count(20), 1, others))

    assert text in found
    assert ("take turns" in found) is bool(text)
