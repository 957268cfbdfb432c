"""A claimer that freezes with its row locks held: everybody else goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from faktory_django.lifecycle import mutate, queues
from faktory_django.lifecycle.reap import expire, reap_silent
from faktory_django.lifecycle.stats import fold

from .actors import wait_until
from .dsn import database_url
from .stock import ack_of, claim, claimed_jids, column, count, end, jid_of, push_many, push_one, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("store")

CLAIMER = """
import django
django.setup()
from django.db import connection, transaction
from faktory_django.lifecycle.fetch import Consumer
with transaction.atomic():
    turn = Consumer("frozen").turn(connection, ["default"], 3)
    print(len(turn.jobs), connection.connection.info.backend_pid, flush=True)
    input()
"""


@pytest.fixture
def frozen(store: None) -> Iterator[subprocess.Popen[str]]:  # noqa: ARG001
    """A process that was stopped in the middle of its claim of three jobs out of eight."""
    push_many(8)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        claimed, pid = process.stdout.readline().split()
        assert claimed == "3"
        process.send_signal(signal.SIGSTOP)
        yield process
        process.kill()
        process.wait()
    wait_until(lambda: not sql("SELECT FROM pg_stat_activity WHERE pid = %(pid)s", pid=int(pid)))


def test_others_go_on_beside_a_frozen_claimer(frozen: subprocess.Popen[str]) -> None:
    sql("SET statement_timeout = '5 s'")
    jids, ids = column("job"), column("job", "id")

    jobs = claim(2)
    pushed = push_one()

    assert [jid_of(job) for job in jobs] == jids[3:5]
    assert end(ack_of(*jobs, ends=True)) == []
    assert mutate.discard("waiting", [ids[0], ids[5]]) == 1
    assert claimed_jids() == [*jids[6:], pushed]
    assert (queues.clear("default"), fold(connection) > 0, expire(connection)) == (0, True, 0)
    assert reap_silent(connection, silent_seconds=30, max_crashes=3) == 0
    assert frozen.poll() is None


def test_what_a_frozen_claimer_held_is_there_again_when_it_is_gone(
    frozen: subprocess.Popen[str],
) -> None:
    jids = column("job")
    assert claimed_jids() == jids[3:]

    frozen.kill()

    wait_until(lambda: claimed_jids() == jids[:3])
    assert count("ready") == 0
