"""Throttle: how many jobs of a queue may be in work at a time."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Throttle(models.Model):
    """The permits of a throttled queue; those in use are the standing leases that name it."""

    class Source(models.TextChoices):
        """Who has said so: what a person says stays, whatever the settings say."""

        CODE = "code", _("settings")
        PERSON = "person", _("a person")

    queue = name_field(_("the queue"), primary_key=True)
    concurrency = models.IntegerField(
        null=True,
        blank=True,
        help_text=_("how many of its jobs may be in work at a time, everywhere; empty: any"),
    )
    per_worker = models.IntegerField(
        null=True,
        blank=True,
        help_text=_("how many of its jobs may be in work at a time in each process; empty: any"),
    )
    timeout_seconds = models.FloatField(
        null=True,
        blank=True,
        help_text=_("a job in work for longer no longer counts; empty: it counts until it ends"),
    )
    source = models.TextField(
        choices=Source.choices, db_default="person", help_text=_("settings, or a person")
    )
    updated_at = models.DateTimeField(db_default=Now(), help_text=_("when it was last changed"))

    class Meta:
        verbose_name = _("throttle")
        verbose_name_plural = _("throttles")
        ordering = ["queue"]

    def __str__(self) -> str:
        return str(self.queue)
