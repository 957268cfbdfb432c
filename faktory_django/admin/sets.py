"""Sets: scheduled jobs, retries and dead jobs, in the order of their time."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy, pgettext_lazy

from faktory_django.lifecycle import mutate
from faktory_django.lifecycle.cancel import cancel_in

from .acts import Act, action, on
from .contents import ContentsAdmin
from .filters import WindowJobtypeFilter, WindowQueueFilter

KILLED = ngettext_lazy("%(count)d job is dead now.", "%(count)d jobs are dead now.", "count")
DISCARDED = ngettext_lazy(
    "%(count)d job was thrown away.", "%(count)d jobs were thrown away.", "count"
)
ENQUEUED = ngettext_lazy(
    "%(count)d job is in its queue now.", "%(count)d jobs are in their queues now.", "count"
)
CANCELLED = ngettext_lazy("%(count)d job was cancelled.", "%(count)d jobs were cancelled.", "count")
CANCEL_QUESTION = ngettext_lazy(
    "%(count)d job will be cancelled.", "%(count)d jobs will be cancelled.", "count"
)
DISCARD_QUESTION = ngettext_lazy(
    "%(count)d job will be thrown away.", "%(count)d jobs will be thrown away.", "count"
)


def _requeue(target: str, name: str, label: Any) -> Any:
    return action(Act(name, label, on(mutate.requeue, target), ENQUEUED))


def _kill(target: str) -> Any:
    return action(Act("kill", _("Kill"), on(mutate.kill, target), KILLED))


def _discard(target: str) -> Any:
    verb = on(mutate.discard, target)
    return action(Act("discard", _("Discard"), verb, DISCARDED, question=DISCARD_QUESTION))


def _cancel(target: str) -> Any:
    label = pgettext_lazy("call a job off", "Cancel")
    verb = on(cancel_in, target)
    return action(Act("cancel", label, verb, CANCELLED, question=CANCEL_QUESTION))


class SetAdmin(ContentsAdmin):
    """What the sets have in common."""

    list_filter = (WindowQueueFilter, WindowJobtypeFilter)
    deferred_in_list: ClassVar[tuple[str, ...]] = ("body",)


class ScheduledJobAdmin(SetAdmin):
    """Scheduled jobs, the next one first."""

    list_display = ("short_jid", "jobtype", "queue", "priority", "due_at")
    deferred_in_list = ("body", "failure")
    facts = (
        *("jid", "jobtype", "queue", "priority", "due_at"),
        *("pushed_at", "enqueued_at", "reserve_for", "retry"),
    )
    actions = (
        _requeue("scheduled", "add_to_queue", _("Add to queue")),
        _kill("scheduled"),
        _cancel("scheduled"),
        _discard("scheduled"),
    )


class RetryJobAdmin(SetAdmin):
    """Retries, the next one first."""

    list_display = ("short_jid", "jobtype", "queue", "due_at", "attempts", "error_line")
    facts = (
        *("jid", "jobtype", "queue", "priority", "due_at"),
        *("pushed_at", "enqueued_at", "reserve_for", "retry"),
    )
    actions = (
        _requeue("retries", "retry_now", _("Retry now")),
        _kill("retries"),
        _cancel("retries"),
        _discard("retries"),
    )


class DeadJobAdmin(SetAdmin):
    """Dead jobs, the latest one first."""

    list_display = ("short_jid", "jobtype", "queue", "died_at", "attempts", "error_line")
    facts = (
        *("jid", "jobtype", "queue", "priority", "died_at"),
        *("pushed_at", "enqueued_at", "reserve_for", "retry"),
    )
    actions = (_requeue("dead", "retry_now", _("Retry now")), _discard("dead"))
