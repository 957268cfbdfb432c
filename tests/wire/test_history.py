"""Jobs of the wire leave rows in the history and among the failures, as those of Python do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from faktory_django.lifecycle import attempts
from faktory_django.models import FinishedJob, Job

from .talking import job

if TYPE_CHECKING:
    from collections.abc import Callable

    from .running import Server


def test_a_job_that_asks_is_kept_and_a_plain_one_is_not(server: Server) -> None:
    with server.connect() as wire:
        wire.greet(wid="history-0001", hostname="h", pid=1, labels=[])
        wire.push("kept-by-wire-1", custom={"history_days": 3})
        wire.push("plain-by-wire", custom={"locale": "ja"})
        for _ in range(2):
            wire.call(f'ACK {{"jid":"{wire.fetch("default")["jid"]}"}}')

    row = FinishedJob.objects.get()
    assert (row.jid, row.outcome, row.wid) == ("kept-by-wire-1", "done", "history-0001")
    assert row.run_seconds is not None
    assert row.result is None


@pytest.mark.parametrize(("retry", "fate"), [(25, "retry"), (-1, "dead"), (0, "failed")])
def test_each_failure_is_kept(server: Server, retry: int, fate: str) -> None:
    with server.connect() as wire:
        wire.greet(wid="history-0002", hostname="h", pid=1, labels=[])
        wire.push("fails-by-wire", retry=retry)
        wire.fetch("default")
        said = {"jid": "fails-by-wire", "errtype": "E", "message": "m", "backtrace": ["a", "b"]}
        wire.call(f"FAIL {json.dumps(said)}")

    [row] = attempts.of("fails-by-wire", limit=10)
    assert (row.fate, row.errtype, row.message, row.backtrace) == (fate, "E", "m", "a\nb")
    assert row.wid == "history-0002"


@pytest.mark.parametrize("days", [367, -1, "3", True])
def test_a_wrong_number_of_days_is_refused(server: Server, days: object) -> None:
    with server.connect() as wire:
        wire.greet()
        said = wire.call(f"PUSH {job('wrong-by-wire', custom={'history_days': days})}")

    assert "custom.history_days must be an int from 0 to 366" in said.text
    assert not Job.objects.exists()


def test_a_setting_keeps_jobs_of_both_doors(serve: Callable[..., Server]) -> None:
    server = serve(faktory={"HISTORY_DAYS": 2, "HISTORY_OFF_QUEUES": ["hot"]})
    with server.connect() as wire:
        wire.greet(wid="history-0003", hostname="h", pid=1, labels=[])
        wire.push("default-days-1")
        wire.push("default-days-2", queue="hot")
        for queue in ("default", "hot"):
            wire.call(f'ACK {{"jid":"{wire.fetch(queue)["jid"]}"}}')

    assert [row.jid for row in FinishedJob.objects.all()] == ["default-days-1"]
