"""Queue: the list of known queues and their flags. A push does not need a row here."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Queue(models.Model):
    """A known queue; its name is the key in every other table."""

    name = name_field(_("what jobs and workers call it"), primary_key=True)
    paused = models.BooleanField(
        db_default=False, help_text=_("workers take no jobs from a paused queue; pushes go on")
    )
    created_at = models.DateTimeField(db_default=Now(), help_text=_("when it became known"))

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        ordering = ["name"]

    def __str__(self) -> str:
        return str(self.name)
