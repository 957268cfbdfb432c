"""FinishedJob, Attempt, LogLine: what is kept of jobs that have ended, failed or said something.

Rows are written once. Each is in the partition of the day, or month, at which its time is over,
and is dropped with it; the installer makes partitions of what Django has made tables.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Past(models.Model):
    """What the three have in common."""

    id = models.BigAutoField(primary_key=True)
    bucket = models.IntegerField(
        help_text=_("the day (20270131) or month (202701) with which it is dropped")
    )
    jid = name_field(_("the jid of the job"))
    jobtype = name_field(_("the name workers find its function by"))
    queue = name_field(_("the queue it belonged to"))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.jobtype} {self.jid}"


class FinishedJob(Past):
    """A job that has ended, and how."""

    outcome = name_field(_("done, failed, dead, discarded, expired or cancelled"))
    pushed = models.TextField(null=True, help_text=_("when it was pushed, as its producer says"))
    enqueued_at = models.DateTimeField(null=True, help_text=_("when it last entered its queue"))
    started_at = models.DateTimeField(null=True, help_text=_("when its last run began"))
    finished_at = models.DateTimeField(help_text=_("when it ended"))
    run_seconds = models.FloatField(null=True, help_text=_("how long its last run took"))
    attempts = models.IntegerField(help_text=_("how many runs it had"))
    wid = name_field(_("the worker that ran it last"), db_default="")
    body = models.TextField(null=True, help_text=_("the job as it was pushed, if that is kept"))
    failure = models.TextField(null=True, help_text=_("the error that ended it, as JSON"))
    result = models.TextField(null=True, help_text=_("what it returned, as JSON, if that is kept"))
    mark = models.TextField(null=True, help_text=_("kinds of the result, or that it is encrypted"))
    remark = models.TextField(db_default="", help_text=_("why there is no result"))

    class Meta:
        verbose_name = _("finished job")
        verbose_name_plural = _("finished jobs")
        ordering = ["-finished_at", "-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["finished_at", "id"], name="faktory_finished_at"),
            models.Index(fields=["jid"], name="faktory_finished_jid"),
        ]


class Attempt(Past):
    """A run that failed, or whose process died."""

    at = models.DateTimeField(help_text=_("when it failed"))
    number = models.IntegerField(help_text=_("which run of the job it was, from 1"))
    fate = name_field(_("what became of the job, crash: it went back"))
    errtype = models.TextField(help_text=_("the class of the error"))
    message = models.TextField(help_text=_("its message"))
    backtrace = models.TextField(db_default="", help_text=_("its traceback"))
    started_at = models.DateTimeField(null=True, help_text=_("when the run began"))
    run_seconds = models.FloatField(null=True, help_text=_("how long it took"))
    wid = name_field(_("the worker that ran it"), db_default="")

    class Meta:
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")
        default_permissions = ()
        indexes = [models.Index(fields=["jid"], name="faktory_attempt_jid")]


class LogLine(Past):
    """A line that a job has logged."""

    at = models.DateTimeField(help_text=_("when it was said"))
    number = models.IntegerField(help_text=_("which run of the job said it, from 1"))
    text = models.TextField(help_text=_("the line"))

    class Meta:
        verbose_name = _("log line of a job")
        verbose_name_plural = _("log lines of jobs")
        default_permissions = ()
        indexes = [models.Index(fields=["jid"], name="faktory_logline_jid")]
