"""Announce: tell an application's receivers that a job was retried or is dead."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction

from faktory_django import payload, signals

from .retry import Fate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.dispatch import Signal

    from .dead import Died
    from .fail import Moved


def announce(connection: BaseDatabaseWrapper, signal: Signal, jobs: Sequence[Died]) -> None:
    """Send a signal for each job once the transaction has committed; receivers cannot fail it."""
    if jobs and signal.receivers:
        transaction.on_commit(partial(_send, signal, jobs), using=connection.alias, robust=True)


def announce_moved(connection: BaseDatabaseWrapper, moved: Sequence[Moved]) -> None:
    """Send retried or dead for each job that failed."""
    for fate, signal in ((Fate.RETRY, signals.retried), (Fate.DEAD, signals.dead)):
        announce(connection, signal, [job for job in moved if job.fate == fate])


def _send(signal: Signal, jobs: Sequence[Died]) -> None:
    for job in jobs:
        jid = payload.jid_of(job.body)
        signal.send_robust(job.jobtype, jid=jid, queue=job.queue)
