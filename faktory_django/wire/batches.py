"""BATCH: batches as clients make, open, commit and look at them (protocol section 9.3)."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import DatabaseError

from faktory_django.errors import UnknownBatch
from faktory_django.lifecycle import batch
from faktory_django.lifecycle.batch_fold import fold

from . import frames
from .requests import BatchAct, BatchNew

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .jobs import WireJob


def answer_all(
    connection: BaseDatabaseWrapper, requests: Sequence[BatchNew | BatchAct]
) -> list[bytes]:
    """Do what was asked of batches, each in its own transaction; return the replies."""
    return [_answer(connection, request) for request in requests]


def _answer(connection: BaseDatabaseWrapper, request: BatchNew | BatchAct) -> bytes:
    try:
        if isinstance(request, BatchNew):
            return _new(connection, request)
        if "\0" in request.bid:
            raise UnknownBatch
        return _ACTS[request.act](connection, request.bid)
    except DatabaseError as wrong:
        if connection.connection is None or connection.connection.closed:
            raise
        return frames.error(str(wrong).strip().partition("\n")[0])
    except UnknownBatch:
        missing = request.parent_bid if isinstance(request, BatchNew) else request.bid
        return frames.error(f"No such batch {frames.echo(missing.encode(errors='replace'))}")


def _new(connection: BaseDatabaseWrapper, request: BatchNew) -> bytes:
    if "\0" in request.parent_bid:
        raise UnknownBatch
    batch.make(
        connection,
        request.bid,
        description=request.description,
        parent=request.parent_bid,
        callbacks={name: _ready(job) for name, job in request.callbacks.items()},
    )
    return frames.bulk(request.bid.encode())


def _open(connection: BaseDatabaseWrapper, bid: str) -> bytes:
    batch.reopen(connection, bid)
    return frames.bulk(bid.encode())


def _commit(connection: BaseDatabaseWrapper, bid: str) -> bytes:
    batch.commit(connection, bid)
    return frames.OK


def _status(connection: BaseDatabaseWrapper, bid: str) -> bytes:
    """Say how far a batch is; what has just been acked is folded, so that the states are right."""
    fold(connection, [bid])
    found = batch.statuses(connection, [bid]).get(bid)
    if found is None:
        raise UnknownBatch
    facts: dict[str, Any] = {"bid": bid}
    if found.parent_bid:
        facts["parent_bid"] = found.parent_bid
    facts |= {
        "description": found.description,
        "created_at": found.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "total": found.total,
        "pending": found.pending,
        "failed": found.failed,
        # of a callback that there is none nothing becomes
        "complete_st": found.complete_st if found.has_complete else "",
        "success_st": found.success_st if found.has_success else "",
    }
    return frames.bulk(msgspec.json.encode(facts))


def _ready(job: WireJob) -> dict[str, Any]:
    return {
        "queue": job.queue,
        "priority": job.priority,
        "jid": job.jid,
        "jobtype": job.jobtype,
        "reserve_for": job.reserve_for,
        "body": job.body,
        "at": job.at.isoformat() if job.at else None,
        "traits": json.loads(job.traits) if job.traits else None,
    }


_ACTS = {"OPEN": _open, "COMMIT": _commit, "STATUS": _status}
