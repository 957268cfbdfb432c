"""Reservation: hand back, extend, release, and what a process holds without knowing it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.errors import ReservationLost
from faktory_django.lifecycle.reap import expire, reap
from faktory_django.lifecycle.reservation import (
    extend,
    hand_back,
    release,
    return_claims,
    return_strays,
    return_unanswered_claims,
)

from .actors import wait_until
from .stock import (
    ack_of,
    claim,
    claimed_jids,
    column,
    count,
    counts,
    end,
    jid_of,
    move_back,
    push_many,
    push_one,
    sql,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actors import Actor

pytestmark = pytest.mark.usefixtures("store")


def left_seconds() -> float:
    return float(
        sql("SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM faktory_django_lease")[
            0
        ][0]
    )


def test_what_is_handed_back_waits_again_and_the_rest_stays() -> None:
    push_many(3)
    jobs = claim()

    returned = hand_back(connection, jobs[0].lease, [jobs[2].id, jobs[0].id])

    assert (returned, column("lease", "ids")) == (2, [[jobs[1].id]])
    assert claimed_jids() == [jid_of(jobs[0]), jid_of(jobs[2])]


def test_handing_back_twice_returns_once() -> None:
    push_many(2)
    jobs = claim()

    returned = [hand_back(connection, jobs[0].lease, [jobs[0].id]) for _ in range(2)]

    assert (returned, count("ready")) == ([1, 0], 1)


def test_a_lease_hands_back_only_what_it_names() -> None:
    push_many(2)
    one, two = claim(1), claim(1)

    assert hand_back(connection, one[0].lease, [two[0].id, one[0].id]) == 1
    assert claimed_jids() == [jid_of(one[0])]


def test_a_hand_back_after_a_reap_returns_nothing() -> None:
    push_one()
    (job,) = claim()
    reap(connection, [job.lease], max_crashes=3)

    assert hand_back(connection, job.lease, [job.id]) == 0
    assert count("ready") == 1


def test_a_reap_returns_what_was_handed_back_only_once() -> None:
    push_many(2)
    jobs = claim()
    hand_back(connection, jobs[0].lease, [jobs[0].id])

    assert reap(connection, [jobs[0].lease], max_crashes=3) == 1
    assert count("ready") == 2


def test_a_reap_passes_by_a_hand_back_under_way(actor: Callable[[], Actor]) -> None:
    push_many(2)
    jobs, other = claim(), actor()
    other.begin()
    other.do(lambda: hand_back(connection, jobs[0].lease, [jobs[0].id]))

    assert reap(connection, [jobs[0].lease], max_crashes=3) == 0

    other.commit()
    assert (reap(connection, [jobs[0].lease], max_crashes=3), count("ready")) == (1, 2)


def test_a_hand_back_waits_for_a_reap_and_returns_nothing(actor: Callable[[], Actor]) -> None:
    push_many(2)
    jobs, reaper, late = claim(), actor(), actor()
    reaper.begin()
    assert reaper.do(lambda: reap(connection, [jobs[0].lease], max_crashes=3)) == 2

    handing = late.start_blocked(lambda: hand_back(connection, jobs[0].lease, [jobs[0].id]))
    reaper.commit()

    assert (handing.result(10), count("ready")) == (0, 2)


def test_two_hand_backs_of_one_lease_at_once_lose_nothing(actor: Callable[[], Actor]) -> None:
    push_many(3)
    jobs, one, two = claim(), actor(), actor()
    one.begin()
    one.do(lambda: hand_back(connection, jobs[0].lease, [jobs[0].id, jobs[1].id]))

    handing = two.start_blocked(
        lambda: hand_back(connection, jobs[0].lease, [jobs[1].id, jobs[2].id])
    )
    one.commit()

    assert (handing.result(10), column("lease", "ids")) == (1, [[]])
    assert claimed_jids() == [jid_of(job) for job in jobs]


def test_what_comes_back_uses_no_attempt_and_counts_nothing() -> None:
    push_one(priority=3)
    (job,) = claim()

    hand_back(connection, job.lease, [job.id])

    (again,) = claim()
    assert (again.rank, again.crashes, again.failure) == (7, 0, None)
    assert sql("SELECT sum(reaped + failed) FROM faktory_django_counterdelta") == [(0,)]


def test_a_level_of_what_comes_back_is_listed_once() -> None:
    push_many(2, priority=3)
    jobs = claim()

    for job in jobs:
        hand_back(connection, job.lease, [job.id])

    assert column("level", "rank", "rank") == [6, 7]


def test_extending_gives_more_time() -> None:
    push_one(reserve_for=60)
    (job,) = claim(each=True)

    extend(job.lease, by=timedelta(minutes=10))

    assert 590 < left_seconds() <= 600


@pytest.mark.parametrize("by", [timedelta(seconds=1), timedelta(0), timedelta(days=-1)])
def test_extending_never_shortens(by: timedelta) -> None:
    push_one(reserve_for=600)
    (job,) = claim(each=True)

    extend(job.lease, by=by)

    assert 590 < left_seconds() <= 600


def test_extending_never_goes_beyond_a_day() -> None:
    push_one()
    (job,) = claim(each=True)

    extend(job.lease, by=timedelta(days=3))

    assert 86_300 < left_seconds() <= 86_400


def test_a_reservation_that_has_run_out_is_not_extended() -> None:
    push_one()
    (job,) = claim(each=True)
    move_back("lease", "expires_at", 10_000)

    with pytest.raises(ReservationLost, match=f"lease {job.lease} does not stand any more"):
        extend(job.lease, by=timedelta(minutes=1))


def test_the_lease_of_a_process_is_not_extended() -> None:
    push_one()
    (job,) = claim()

    with pytest.raises(ReservationLost):
        extend(job.lease, by=timedelta(minutes=1))


def test_extending_waits_for_who_takes_the_lease_and_is_refused(
    actor: Callable[[], Actor],
) -> None:
    push_one()
    (job,) = claim(each=True)
    reaper, late = actor(), actor()
    reaper.begin()
    assert reaper.do(lambda: reap(connection, [job.lease], max_crashes=3)) == 1

    extending = late.start_blocked(extend, job.lease, by=timedelta(minutes=1))
    reaper.commit()

    with pytest.raises(ReservationLost):
        extending.result(10)


def test_an_expiry_passes_by_an_extension_under_way(actor: Callable[[], Actor]) -> None:
    push_one()
    (job,) = claim(each=True)
    sql("UPDATE faktory_django_lease SET expires_at = clock_timestamp() + interval '0.2 s'")
    other = actor()
    other.begin()
    other.do(extend, job.lease, by=timedelta(minutes=5))

    wait_until(lambda: left_seconds() < 0)
    while_open = expire(connection)
    other.commit()

    assert (while_open, expire(connection)) == (0, 0)


def test_a_process_that_ends_gives_back_all_that_it_holds() -> None:
    jids = push_many(4)
    claim(1, wid="gone")
    claim(2, wid="gone")
    claim(1, wid="stays")

    assert release(connection, "gone") == 3
    assert (claimed_jids(), column("lease", "wid")) == (jids[:3], ["stays", "w"])


def test_releasing_leaves_reservations_of_the_wire_alone() -> None:
    push_one()
    claim(wid="remote", each=True)

    assert release(connection, "remote") == 0
    assert count("lease") == 1


def test_releasing_a_process_without_jobs_returns_nothing() -> None:
    assert release(connection, "nobody") == 0


def test_claims_whose_answer_was_lost_are_put_back() -> None:
    push_many(4)
    known = claim(1, wid="me")
    lost = claim(2, wid="me")
    other = claim(1, wid="other")

    returned = return_strays(connection, "me", [known[0].lease])

    assert returned == 2
    assert column("lease", "id") == [known[0].lease, other[0].lease]
    assert claimed_jids() == [jid_of(job) for job in lost]


def test_there_are_no_strays_when_all_leases_are_known() -> None:
    push_one()
    (job,) = claim(wid="me")

    assert return_strays(connection, "me", [job.lease]) == 0
    assert end(ack_of(job, ends=True)) == []
    assert counts("job", "lease") == (0, 0)


def test_claims_whose_client_went_away_go_back_next_in_line() -> None:
    jids = push_many(3)
    claimed = claim(2, each=True)

    returned = return_claims(connection, [claimed[1].lease, 10**9])

    assert returned == 1
    assert counts("lease", "ready") == (1, 2)
    assert claimed_jids() == [jids[1], jids[2]]


def test_claims_that_a_server_never_saw_go_back() -> None:
    push_many(4)
    seen = claim(1, wid="server", each=True)
    claim(2, wid="server", each=True)
    claim(1, wid="other", each=True)

    assert return_unanswered_claims(connection, "server", seen[0].lease) == 2
    assert return_unanswered_claims(connection, "server", seen[0].lease) == 0
    assert column("lease", "server") == ["server", "other"]
