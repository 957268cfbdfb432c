"""Limits per key: the jobs that wait for one, slots of concurrency limits, uses of rates."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class LimitedJob(models.Model):
    """A job that waits for a limit: it has a job row and no ready entry.

    The row is the proof that nobody has claimed the job, as a ready entry is for others. Who
    deletes it takes the job on: to its next limit, or into its queue.
    """

    job_id = models.BigIntegerField(primary_key=True, help_text=_("the job"))
    key = name_field(_("what it waits for: the key of a limit"))
    queue = name_field(_("the queue it will enter"))
    rank = models.SmallIntegerField(help_text=_("as in a ready entry: the higher, the sooner"))
    allowed = models.IntegerField(
        help_text=_("how many jobs of the key may be in work at a time, or start in the period")
    )
    per_seconds = models.FloatField(
        null=True, help_text=_("the period of a rate limit; empty for a concurrency limit")
    )
    rest = models.JSONField(null=True, help_text=_("the limits that come after this one"))
    since = models.DateTimeField(help_text=_("when it began to wait for its limits"))

    class Meta:
        verbose_name = _("limited job")
        verbose_name_plural = _("limited jobs")
        default_permissions = ()
        indexes = [
            models.Index("key", models.F("rank").desc(), "job_id", name="faktory_limited_key"),
            models.Index(fields=["queue", "job_id"], name="faktory_limited_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.job_id}"


class LimitSlot(models.Model):
    """A slot of a concurrency limit: a job holds it from its admission to its end, or its retry.

    One at a time makes rows of a key, so there are never too many; who ends the holder passes the
    slot on.
    """

    pk = models.CompositePrimaryKey("key", "job_id")
    key = name_field(_("the key of the limit"))
    job_id = models.BigIntegerField(help_text=_("the job that holds it"))
    taken_at = models.DateTimeField(help_text=_("when the job took it"))

    class Meta:
        verbose_name = _("slot of a limit")
        verbose_name_plural = _("slots of limits")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key} {self.job_id}"


class RateUse(models.Model):
    """Jobs of a key that a rate limit let go at one moment; it counts until the period is over."""

    id = models.BigAutoField(primary_key=True)
    key = name_field(_("the key of the limit"))
    jobs = models.IntegerField(help_text=_("how many"))
    until = models.DateTimeField(help_text=_("when they no longer count"))

    class Meta:
        verbose_name = _("use of a rate limit")
        verbose_name_plural = _("uses of rate limits")
        default_permissions = ()
        indexes = [models.Index(fields=["key", "until"], name="faktory_rateuse_key")]

    def __str__(self) -> str:
        return f"{self.key} {self.jobs}"
