"""The tables, one file an idea. QuerySets answer questions; none changes a state."""

from .audit import AuditEntry, Operation
from .counter import BUCKET_SECONDS, BUCKETS, Counter, CounterDelta
from .cron import CronDeclaration, CronEntry, CronTick
from .dashboard import Dashboard
from .held import DeadJob, RetryJob, ScheduledJob
from .job import Job
from .lease import Lease
from .limit import LimitedJob, LimitSlot, RateUse
from .process import Process, Waiter
from .queue import Queue
from .ready import Level, Ready
from .throttle import Throttle
from .track import Track

__all__ = [
    "BUCKETS",
    "BUCKET_SECONDS",
    "AuditEntry",
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
    "LimitSlot",
    "LimitedJob",
    "Operation",
    "Process",
    "Queue",
    "RateUse",
    "Ready",
    "RetryJob",
    "ScheduledJob",
    "Throttle",
    "Track",
    "Waiter",
]
