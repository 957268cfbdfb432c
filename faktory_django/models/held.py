"""ScheduledJob, RetryJob, DeadJob: the sets, in which a job waits for a time or for a person.

A change of state is a move: DELETE ... RETURNING into INSERT, in one statement.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .job import Payload, batch_index


class ScheduledJob(Payload):
    """A job that enters its queue at due_at."""

    due_at = models.DateTimeField(help_text=_("when it enters its queue"))
    enqueued_at = models.DateTimeField(null=True, help_text=_("when it last entered its queue"))

    class Meta:
        verbose_name = _("scheduled job")
        verbose_name_plural = _("scheduled jobs")
        ordering = ["due_at", "id"]
        indexes = [
            models.Index(fields=["due_at", "id"], name="faktory_scheduled_due"),
            models.Index(fields=["jid"], name="faktory_scheduled_jid"),
            batch_index("faktory_scheduled_bid"),
        ]


class RetryJob(Payload):
    """A job that failed and enters its queue again at due_at."""

    due_at = models.DateTimeField(help_text=_("when its next attempt is due"))
    enqueued_at = models.DateTimeField(null=True, help_text=_("when it last entered its queue"))

    class Meta:
        verbose_name = _("retry")
        verbose_name_plural = _("retries")
        ordering = ["due_at", "id"]
        indexes = [
            models.Index(fields=["due_at", "id"], name="faktory_retry_due"),
            models.Index(fields=["jid"], name="faktory_retry_jid"),
            batch_index("faktory_retry_bid"),
        ]


class DeadJob(Payload):
    """A job that used up its retries; it is kept for a person to look at."""

    died_at = models.DateTimeField(help_text=_("when it died"))
    enqueued_at = models.DateTimeField(null=True, help_text=_("when it last entered its queue"))

    class Meta:
        verbose_name = _("dead job")
        verbose_name_plural = _("dead jobs")
        ordering = ["-died_at", "-id"]
        indexes = [
            models.Index(fields=["died_at", "id"], name="faktory_dead_died"),
            models.Index(fields=["jid"], name="faktory_dead_jid"),
            batch_index("faktory_dead_bid"),
        ]
