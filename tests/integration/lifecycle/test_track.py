"""Tracking: what is written down, what a job's end makes of it, and what those who ask hear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.features import tracking
from faktory_django.lifecycle import dead, mutate, queues, track
from faktory_django.lifecycle.by_jid import Holding, ack_jids, fail_jids
from faktory_django.lifecycle.fail import Failing, fail
from faktory_django.lifecycle.flush import flush
from faktory_django.lifecycle.holders import holds, limits, running
from faktory_django.lifecycle.push import push
from faktory_django.lifecycle.retry import Error, Fate, Verdict
from faktory_django.lifecycle.track import Report, Setting
from faktory_django.maintenance import Maintenance

from .stock import a_push, ack_of, claim, column, counts, end, failing, move_back, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")

ERROR = Error.cut("RuntimeError", "no", ["line"])
DISCARD = Verdict(Fate.GONE)


def state(jid: str) -> str:
    return track.statuses([jid])[0].state


def said(jid: str) -> tuple[int | None, str | None]:
    [found] = track.statuses([jid])
    return found.percent, found.text


def tracked(jid: str | None = None, **options: object) -> str:
    pushed = push_one(jid, **options)
    track.follow([pushed])
    return pushed


def scheduled_one() -> str:
    one = a_push(delay_seconds=600)
    push([one])
    track.follow([one.jid])
    return one.jid


def trim(keep_minutes: int = 30) -> None:
    assert track.trim(connection, keep_minutes=keep_minutes) == ""


def test_each_place_of_a_job_has_its_state() -> None:
    jid = tracked()
    assert state(jid) == "waiting"
    [job] = claim()
    assert state(jid) == "working"
    fail(connection, [failing(job)])
    assert state(jid) == "retries"
    mutate.kill("retries", column("retryjob", "id"))
    assert state(jid) == "dead"
    mutate.requeue("dead", column("deadjob", "id"))
    [job] = claim()
    end(ack_of(job, ends=True))
    assert state(jid) == "done"
    assert state(scheduled_one()) == "scheduled"
    assert state("never-pushed") == "unknown"


def test_a_job_that_nobody_tracks_is_unknown_when_it_is_gone() -> None:
    jid = push_one()
    assert state(jid) == "waiting"

    end(ack_of(*claim(), ends=True))

    assert state(jid) == "unknown"
    assert counts("track") == (0,)


def test_of_twins_the_one_that_is_furthest_on_counts() -> None:
    push_one("twin")
    push_one("twin")
    assert state("twin") == "waiting"
    claim(1)
    assert state("twin") == "working"


def test_many_are_asked_for_in_one_query_and_in_their_order(
    django_assert_num_queries: Callable[..., object],
) -> None:
    jids = [tracked(), "nobody", tracked()]
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        found = track.statuses(jids)

    assert [(s.jid, s.state) for s in found] == list(
        zip(jids, ["waiting", "unknown", "waiting"], strict=True)
    )


def test_a_report_leaves_what_it_does_not_say_as_it_was() -> None:
    jid = push_one()
    track.report(connection, [Report(jid, 10, "ten")])
    track.report(connection, [Report(jid, 20)])
    assert said(jid) == (20, "ten")
    track.report(connection, [Report(jid, None, "more")])
    assert said(jid) == (20, "more")


@pytest.mark.parametrize(
    ("before", "report", "after"),
    [
        (None, Report("j", 1), Report("j", 1)),
        (Report("j", 1, "a"), Report("j", 2), Report("j", 2, "a")),
        (Report("j", 1, "a"), Report("j", None, "b"), Report("j", 1, "b")),
        (Report("j", 1, "a"), Report("j", end="failed"), Report("j", 1, "a", "failed")),
    ],
)
def test_of_two_notes_the_later_says_what_it_says(
    before: Report | None, report: Report, after: Report
) -> None:
    assert track.later(before, report) == after


def test_a_jid_that_is_used_again_begins_anew() -> None:
    jid = tracked()
    track.report(connection, [Report(jid, 90, "nearly")])
    end(ack_of(*claim(), ends=True))
    trim()

    tracked(jid)

    assert said(jid) == (None, None)
    assert column("track", "ended_at", "jid") == [None]


def test_a_worker_that_was_faster_than_the_note_of_the_push_keeps_what_it_said() -> None:
    jid = push_one()
    track.report(connection, [Report(jid, 5)])

    track.follow([jid])

    assert said(jid) == (5, None)


def test_a_job_that_fails_and_is_thrown_away_has_failed() -> None:
    jid = tracked(retry=0)
    [job] = claim()

    fail(connection, [failing(job)])

    assert state(jid) == "failed"


def test_a_job_that_discards_itself_is_unknown() -> None:
    jid = tracked()
    [job] = claim()

    fail(connection, [Failing(job.id, job.lease, DISCARD, counts=False)])

    assert state(jid) == "unknown"


def test_a_job_of_the_wire_that_fails_for_good_has_failed() -> None:
    jid = tracked(retry=0)
    claim(each=True)

    assert fail_jids(connection, [Holding(jid)], [ERROR]) == [True]

    assert state(jid) == "failed"


def test_a_job_of_the_wire_that_is_acked_is_done() -> None:
    jid = tracked()
    claim(each=True)

    ack_jids([Holding(jid)])

    assert state(jid) == "done"


@pytest.mark.parametrize("target", ["waiting", "scheduled", "retries", "dead"])
def test_a_job_that_a_person_discards_is_unknown(target: str) -> None:
    jid = scheduled_one() if target == "scheduled" else tracked()
    if target == "retries":
        fail(connection, [failing(claim()[0])])
    if target == "dead":
        mutate.kill("waiting", column("job", "id"))
    table = {"waiting": "job", "retries": "retryjob"}.get(target, f"{target}job")

    assert mutate.discard(target, column(table, "id")) == 1

    assert state(jid) == "unknown"
    assert counts("track") == (0,)


def test_what_is_cleared_purged_or_flushed_is_unknown() -> None:
    cleared = tracked()
    queues.clear("default")
    purged = tracked()
    mutate.kill("waiting", column("job", "id"))
    dead.purge(connection, max_days=1, max_jobs=0)
    flushed = tracked()
    flush(connection)

    assert [state(jid) for jid in (cleared, purged, flushed)] == ["unknown"] * 3


def test_a_client_of_the_wire_says_something_of_jobs_that_there_are_only() -> None:
    waiting, scheduled = push_one(), scheduled_one()
    told = [Setting("nobody-there", percent=3), Setting(waiting, percent=3, text="three")]

    track.set_tracks(connection, [*told, Setting(scheduled, text="soon")])

    assert said(waiting) == (3, "three")
    assert said(scheduled) == (None, "soon")
    assert state("nobody-there") == "unknown"


def test_what_a_client_leaves_out_stays() -> None:
    jid = push_one()
    track.set_tracks(connection, [Setting(jid, percent=3, text="three")])
    track.set_tracks(connection, [Setting(jid, percent=4)])
    track.set_tracks(connection, [Setting(jid)])

    assert said(jid) == (4, "three")


def ends_in() -> float:
    [(seconds,)] = sql(
        "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8"
        " FROM faktory_django_lease"
    )
    return float(seconds)


def until(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("wanted", "got"), [(7_200, 7_200), (60, 1_800), (1_000_000, 86_400), (-60, 1_800)]
)
def test_a_reservation_is_extended_never_shortened_at_most_a_day_ahead(
    wanted: float, got: float
) -> None:
    jid = push_one()
    claim(each=True)

    track.set_tracks(connection, [Setting(jid, "w", until=until(wanted))])

    assert ends_in() == pytest.approx(got, abs=10)


@pytest.mark.parametrize(("wid", "extends"), [("w", True), (None, True), ("other", False)])
def test_only_who_may_ack_a_job_extends_it(wid: str | None, extends: bool) -> None:
    jid = push_one()
    claim(each=True)

    track.set_tracks(connection, [Setting(jid, wid, until=until(7_200))])

    assert (ends_in() > 7_000) is extends


def test_a_reservation_that_has_run_out_is_not_extended() -> None:
    jid = push_one()
    claim(each=True)
    move_back("lease", "expires_at", 1_900)

    track.set_tracks(connection, [Setting(jid, until=until(7_200))])

    assert ends_in() < 0


def test_rows_of_jobs_that_live_stay_whatever_their_age() -> None:
    jids = [tracked(), scheduled_one(), tracked(queue="other")]
    fail(connection, [failing(claim(1, "other")[0])])
    move_back("track", "updated_at", 1_000_000)

    trim()
    move_back("track", "ended_at", 1_000_000)
    trim()

    assert sorted(column("track", "jid", "jid")) == sorted(jids)


def test_a_row_is_kept_for_its_time_after_the_end_and_then_deleted() -> None:
    jid = tracked()
    end(ack_of(*claim(), ends=True))

    trim(30)
    move_back("track", "ended_at", 29 * 60)
    trim(30)
    assert state(jid) == "done"
    move_back("track", "ended_at", 2 * 60)
    trim(30)

    assert state(jid) == "unknown"


def test_a_job_that_comes_back_from_the_dead_is_tracked_again() -> None:
    jid = tracked()
    mutate.kill("waiting", column("job", "id"))
    trim()
    mutate.requeue("dead", column("deadjob", "id"))
    move_back("track", "ended_at", 1_000_000)

    trim()

    assert column("track", "ended_at", "jid") == [None]
    assert state(jid) == "waiting"


def test_the_look_at_the_rows_goes_on_page_by_page() -> None:
    for name in ("jid-aaaa", "jid-bbbb", "jid-cccc"):
        tracked(name)

    first = track.trim(connection, keep_minutes=30, limit=2)
    second = track.trim(connection, keep_minutes=30, after=first, limit=2)

    assert (first, second) == ("jid-bbbb", "")


def test_a_look_does_not_wait_for_one_that_writes(actor: Callable[[], Actor]) -> None:
    jid = push_one()
    writer = actor()
    writer.sql("SELECT 1")
    writer.begin()
    writer.sql(
        "INSERT INTO faktory_django_track (jid, updated_at) VALUES (%s, clock_timestamp())", [jid]
    )
    writer.commit()
    writer.begin()
    writer.sql("UPDATE faktory_django_track SET percent = 1")

    trim()

    writer.rollback()


def test_a_run_that_has_asked_for_more_time_says_so_in_its_process() -> None:
    push_one()
    [job] = claim()
    sql(
        "INSERT INTO faktory_django_process (wid, kind, hostname, pid, labels, queues, version,"
        " concurrency, state, started_at, beat_at, running) VALUES ('w', 'python', 'h', 1, '{}',"
        " '{}', '', 1, 'running', now(), now(), %(running)s)",
        running=f"[[{job.id},1000,7200.5]]",
    )

    [hold] = holds([job.id]).values()

    assert hold.limit_seconds == 7_200.5
    assert hold.started_at == datetime.fromtimestamp(1_000, UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[[1,1000,7200]]", {1: 7_200.0}),
        ("[[1,1000],[2,1000,60]]", {2: 60.0}),
        ('[[1,1000,"x"]]', {}),
        ("nonsense", {}),
        (None, {}),
    ],
)
def test_what_runs_asked_for_is_read(text: str | None, found: dict[int, float]) -> None:
    assert limits(text) == found


def test_slots_with_and_without_a_limit_are_running() -> None:
    assert set(running("[[1,1000],[2,1000,60]]")) == {1, 2}


def test_the_words_of_the_states_are_known() -> None:
    places = {place for place in track.PLACES.values() if place}
    assert places | {"done", "failed", "expired", "cancelled", "unknown"} == set(
        tracking.WIRE_STATES
    )


def test_upkeep_looks_at_the_rows_page_by_page_and_begins_again() -> None:
    jid = tracked()
    end(ack_of(*claim(), ends=True))
    upkeep = Maintenance()

    assert upkeep.track(connection) is None
    assert upkeep.tracked == ""
    move_back("track", "ended_at", 31 * 60)
    upkeep.track(connection)

    assert state(jid) == "unknown"
    assert counts("track") == (0,)
