"""Counters per minute, hour and day, queue and jobtype: appended as deltas, then folded."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import IntegerArrayField, name_field

# Upper bounds of the histograms of wait and run, in seconds; the last bucket is open.
BUCKET_SECONDS = (
    *(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    *(10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0),
)
BUCKETS = len(BUCKET_SECONDS) + 1


class Count(models.Model):
    """What is counted."""

    id = models.BigAutoField(primary_key=True)
    starts_at = models.DateTimeField(help_text=_("the start of the span, UTC"))
    queue = name_field(_("the queue"))
    jobtype = name_field(_("the jobtype"))
    pushed = models.BigIntegerField(db_default=0, help_text=_("jobs pushed"))
    done = models.BigIntegerField(db_default=0, help_text=_("runs that succeeded"))
    failed = models.BigIntegerField(db_default=0, help_text=_("runs that failed"))
    discarded = models.BigIntegerField(db_default=0, help_text=_("jobs thrown away unrun"))
    reaped = models.BigIntegerField(db_default=0, help_text=_("jobs taken back from the dead"))
    waits = IntegerArrayField(null=True, help_text=_("histogram of seconds from ready to start"))
    runs = IntegerArrayField(null=True, help_text=_("histogram of seconds from start to end"))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.starts_at} {self.queue} {self.jobtype}"


class CounterDelta(Count):
    """What one statement has counted, not yet folded; starts_at is a minute."""

    class Meta:
        verbose_name = _("counter delta")
        verbose_name_plural = _("counter deltas")


class Counter(Count):
    """The sum of deltas for a span; each delta is in its minute, its hour and its day."""

    class Resolution(models.IntegerChoices):
        """The length of the span in seconds."""

        MINUTE = 60, _("minute")
        HOUR = 3_600, _("hour")
        DAY = 86_400, _("day")

    resolution = models.IntegerField(choices=Resolution.choices, help_text=_("span in seconds"))

    class Meta:
        verbose_name = _("counter")
        verbose_name_plural = _("counters")
        constraints = [
            models.UniqueConstraint(
                fields=["resolution", "starts_at", "queue", "jobtype"], name="faktory_counter_span"
            )
        ]
