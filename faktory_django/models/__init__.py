"""The tables, one file an idea. QuerySets answer questions; none changes a state."""

from .audit import AuditEntry, Operation
from .batch import Batch, BatchDelta, BatchFailure, BatchResult
from .cancel import Cancel
from .counter import BUCKET_SECONDS, BUCKETS, Counter, CounterDelta
from .cron import CronDeclaration, CronEntry, CronTick
from .cursor import Cursor
from .dashboard import Dashboard
from .held import DeadJob, RetryJob, ScheduledJob
from .history import Attempt, FinishedJob, LogLine
from .job import Job
from .lease import Lease
from .limit import LimitedJob, LimitSlot, RateUse
from .process import Process, Waiter
from .queue import Queue
from .ready import Level, Ready
from .throttle import Throttle
from .track import Track
from .unique import UniqueLock

__all__ = [
    "BUCKETS",
    "BUCKET_SECONDS",
    "Attempt",
    "AuditEntry",
    "Batch",
    "BatchDelta",
    "BatchFailure",
    "BatchResult",
    "Cancel",
    "Counter",
    "CounterDelta",
    "CronDeclaration",
    "CronEntry",
    "CronTick",
    "Cursor",
    "Dashboard",
    "DeadJob",
    "FinishedJob",
    "Job",
    "Lease",
    "Level",
    "LimitSlot",
    "LimitedJob",
    "LogLine",
    "Operation",
    "Process",
    "Queue",
    "RateUse",
    "Ready",
    "RetryJob",
    "ScheduledJob",
    "Throttle",
    "Track",
    "UniqueLock",
    "Waiter",
]
