"""The admin: an operator looks at jobs, queues and processes here, and acts on them.

Imported by the admin's autodiscovery only: a project without it works too.
"""

from django.contrib import admin

from faktory_django.models import (
    Batch,
    Counter,
    CronEntry,
    Dashboard,
    DeadJob,
    FinishedJob,
    Job,
    Process,
    Queue,
    RetryJob,
    ScheduledJob,
    Throttle,
)

from .batches import BatchAdmin
from .counters import CounterAdmin
from .cron import CronEntryAdmin
from .dashboard import DashboardAdmin
from .finished import FinishedJobAdmin
from .jobs import JobAdmin
from .processes import ProcessAdmin
from .queues import QueueAdmin
from .sets import DeadJobAdmin, RetryJobAdmin, ScheduledJobAdmin
from .throttles import ThrottleAdmin

__all__ = [
    "BatchAdmin",
    "CounterAdmin",
    "CronEntryAdmin",
    "DashboardAdmin",
    "DeadJobAdmin",
    "FinishedJobAdmin",
    "JobAdmin",
    "ProcessAdmin",
    "QueueAdmin",
    "RetryJobAdmin",
    "ScheduledJobAdmin",
    "ThrottleAdmin",
]

admin.site.register(Dashboard, DashboardAdmin)
admin.site.register(Job, JobAdmin)
admin.site.register(ScheduledJob, ScheduledJobAdmin)
admin.site.register(RetryJob, RetryJobAdmin)
admin.site.register(DeadJob, DeadJobAdmin)
admin.site.register(FinishedJob, FinishedJobAdmin)
admin.site.register(Queue, QueueAdmin)
admin.site.register(Throttle, ThrottleAdmin)
admin.site.register(Batch, BatchAdmin)
admin.site.register(CronEntry, CronEntryAdmin)
admin.site.register(Process, ProcessAdmin)
admin.site.register(Counter, CounterAdmin)
