"""Batches for the tests of the life cycle: with callbacks in a queue of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import connection

from faktory_django import payload
from faktory_django.features import batches
from faktory_django.lifecycle import batch
from faktory_django.lifecycle.ack import LeaseAck
from faktory_django.lifecycle.batch_fold import fold
from faktory_django.lifecycle.fetch import Claimed, Consumer
from faktory_django.lifecycle.push import Push, push

from .stock import claim, column, jid_of

if TYPE_CHECKING:
    from faktory_django.lifecycle.push_traits import Refusal

CALLBACKS = "callbacks"


def a_callback(bid: str, name: str) -> dict[str, Any]:
    """Return a callback whose jid tells whose it is."""
    jid, custom = f"{name}-{bid}", {batches.OWN: bid}
    body = payload.canonical(name, jid, "[]", queue=CALLBACKS, retry=25)
    return {
        "queue": CALLBACKS,
        "priority": 0,
        "jid": jid,
        "jobtype": name,
        "reserve_for": 1_800,
        "body": body,
        "traits": batches.traits(custom),
    }


def make(
    *names: str, bid: str = "b-1", parent: str = "", commit: bool = False, **facts: Any
) -> str:
    """Make a batch with callbacks of these names: complete, success, dead."""
    callbacks = {name: a_callback(bid, name) for name in names}
    batch.make(connection, bid, parent=parent, callbacks=callbacks, **facts)
    if commit:
        batch.commit(connection, bid)
    return bid


def a_member(jid: str, bid: str = "b-1", **options: Any) -> Push:
    """Return a push of a job in a batch."""
    custom = {batches.MEMBER: bid} | options.pop("custom", {})
    retry = options.pop("retry", payload.RETRY)
    queue = options.setdefault("queue", "default")
    body = payload.canonical("noop", jid, "[]", queue=queue, retry=retry)
    traits = json.dumps(batches.traits(custom))
    return Push(jid=jid, jobtype="noop", body=body, traits=traits, **options)


def join(*jids: str, bid: str = "b-1", **options: Any) -> list[Refusal]:
    """Push jobs into a batch; return those that were not let in."""
    return push([a_member(jid, bid, **options) for jid in jids])


def ack(*jobs: Claimed, notes: dict[int, str] | None = None) -> None:
    """End jobs that are in work, each as if it was the only one of its lease."""
    for job in jobs:
        done = LeaseAck(job.lease, False, [job.id], traited=True, notes=notes or {})
        assert Consumer("w").turn(connection, [], 0, [done]).lost == []


def run(*bids: str, queue: str = "default", wanted: int = 100) -> list[str]:
    """Run what waits in a queue, with success, and fold; return the jids."""
    jobs = claim(wanted, queue)
    ack(*jobs)
    settle(*bids)
    return [jid_of(job) for job in jobs]


def settle(*bids: str) -> None:
    """Fold batches, or all that there are."""
    assert fold(connection, bids or column("batch", "bid")) == []


def followed() -> list[str]:
    """Return the jids of the callbacks that wait, in order."""
    rows = column("job", "jid", "id")
    return [jid for jid in rows if jid.partition("-")[0] in {"complete", "success", "dead"}]


def status(bid: str = "b-1") -> batch.Status:
    """Return how far a batch is."""
    return batch.statuses(connection, [bid])[bid]
