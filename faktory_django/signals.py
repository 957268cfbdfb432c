"""The Django signals that this package sends. Receivers that raise are logged, never obeyed.

pushed      sender=jobtype, jid, queue                in the pushing transaction
started     sender=jobtype, job (CurrentJob)          before the job runs
succeeded   sender=jobtype, job                       after it ran, before it is acknowledged
failed      sender=jobtype, job, error                after it raised, before it is moved
retried     sender=jobtype, jid, queue                once it is in the retries
dead        sender=jobtype, jid, queue                once it is among the dead
"""

from __future__ import annotations

from django.dispatch import Signal

pushed = Signal()
started = Signal()
succeeded = Signal()
failed = Signal()
retried = Signal()
dead = Signal()
