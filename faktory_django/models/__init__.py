"""The tables, one file an idea. QuerySets answer questions; none changes a state."""

from .audit import AuditEntry, Operation
from .batch import Batch, BatchDelta, BatchFailure, BatchResult
from .counter import BUCKET_SECONDS, BUCKETS, Counter, CounterDelta
from .cron import CronDeclaration, CronEntry, CronTick
from .dashboard import Dashboard
from .held import DeadJob, RetryJob, ScheduledJob
from .job import Job
from .lease import Lease
from .process import Process, Waiter
from .queue import Queue
from .ready import Level, Ready
from .track import Track

__all__ = [
    "BUCKETS",
    "BUCKET_SECONDS",
    "AuditEntry",
    "Batch",
    "BatchDelta",
    "BatchFailure",
    "BatchResult",
    "Counter",
    "CounterDelta",
    "CronDeclaration",
    "CronEntry",
    "CronTick",
    "Dashboard",
    "DeadJob",
    "Job",
    "Lease",
    "Level",
    "Operation",
    "Process",
    "Queue",
    "Ready",
    "RetryJob",
    "ScheduledJob",
    "Track",
    "Waiter",
]
