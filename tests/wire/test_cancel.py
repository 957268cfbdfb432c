"""Jobs that clients of the wire hold are cancelled: they are not told, but nothing comes after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faktory_django import Job
from faktory_django.lifecycle import stats
from faktory_django.models import Cancel, Lease, RetryJob
from faktory_django.models import Job as JobRow
from tests.waiting import until

if TYPE_CHECKING:
    from .running import Server


def counted() -> tuple[int, int, int]:
    totals = stats.totals()
    return totals["done"], totals["failed"], totals["discarded"]


def test_what_is_failed_after_a_cancel_is_not_retried(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("cancelled-0001")
        wire.fetch("default")

        assert Job.cancel("cancelled-0001") == "asked"
        wire.call('FAIL {"jid":"cancelled-0001","errtype":"E","message":"no"}')

    assert not RetryJob.objects.exists()
    assert not JobRow.objects.exists()
    assert counted() == (0, 1, 0)
    until(lambda: not Cancel.objects.exists(), "the wish is forgotten")


def test_what_is_acked_after_a_cancel_has_succeeded(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("cancelled-0002")
        wire.fetch("default")
        Job.cancel("cancelled-0002")

        wire.call('ACK {"jid":"cancelled-0002"}')

    assert counted() == (1, 0, 0)


def test_a_reservation_is_ended_by_force_and_the_client_comes_too_late(server: Server) -> None:
    with server.connect() as wire:
        wire.greet()
        wire.push("cancelled-0003")
        wire.fetch("default")
        Job.cancel("cancelled-0003", kill_after=0)

        until(lambda: not JobRow.objects.exists(), "its reservation is ended")
        wire.call('ACK {"jid":"cancelled-0003"}')

    assert not Lease.objects.exists()
    assert counted() == (0, 0, 1)
