"""Background jobs for Django on PostgreSQL, in the manner of Faktory.

Public names are loaded on first use: Django imports this package before its models exist.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faktory_django.api.batch import Batch, BatchStatus
    from faktory_django.api.chains import chain, group
    from faktory_django.api.context import CurrentJob, current_job
    from faktory_django.api.cron import periodic
    from faktory_django.api.inspection import JobStatus
    from faktory_django.api.jobs import Job, job
    from faktory_django.api.limits import Limit, Rate
    from faktory_django.api.signatures import Signature
    from faktory_django.api.storing import JobHandle
    from faktory_django.errors import (
        BatchClosed,
        Discard,
        FaktoryError,
        InvalidArguments,
        InvalidCursor,
        InvalidOption,
        InvalidPayload,
        InvalidQueueName,
        InvalidTime,
        JobCancelled,
        JobInterrupted,
        JobTimeout,
        Kill,
        NoResult,
        NotUnique,
        PayloadTooLarge,
        ReservationLost,
        Retry,
        Snooze,
        UniqueLockBusy,
        UnknownBatch,
    )

__all__ = [
    "Batch",
    "BatchClosed",
    "BatchStatus",
    "CurrentJob",
    "Discard",
    "FaktoryError",
    "InvalidArguments",
    "InvalidCursor",
    "InvalidOption",
    "InvalidPayload",
    "InvalidQueueName",
    "InvalidTime",
    "Job",
    "JobCancelled",
    "JobHandle",
    "JobInterrupted",
    "JobStatus",
    "JobTimeout",
    "Kill",
    "Limit",
    "NoResult",
    "NotUnique",
    "PayloadTooLarge",
    "Rate",
    "ReservationLost",
    "Retry",
    "Signature",
    "Snooze",
    "UniqueLockBusy",
    "UnknownBatch",
    "chain",
    "current_job",
    "group",
    "job",
    "periodic",
]

_HOMES = {
    "Batch": "api.batch",
    "BatchStatus": "api.batch",
    "CurrentJob": "api.context",
    "Job": "api.jobs",
    "JobHandle": "api.storing",
    "JobStatus": "api.inspection",
    "Limit": "api.limits",
    "Rate": "api.limits",
    "Signature": "api.signatures",
    "chain": "api.chains",
    "current_job": "api.context",
    "group": "api.chains",
    "job": "api.jobs",
    "periodic": "api.cron",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"faktory_django.{_HOMES.get(name, 'errors')}"), name)
