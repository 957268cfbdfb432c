"""Track: how far a job is, for those that say so or whose push asked for it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Track(models.Model):
    """What was last said of the progress of the jobs of a jid. It outlives them for a while."""

    jid = name_field(_("the jid of the job, or jobs"), primary_key=True)
    percent = models.SmallIntegerField(null=True, help_text=_("0 to 100; empty until it is said"))
    description = models.TextField(null=True, help_text=_("what it is doing, in its own words"))
    updated_at = models.DateTimeField(help_text=_("when it was last said"))
    end = name_field(
        _("how the job ended when that was not success: failed, discarded or expired"),
        db_default="",
    )
    ended_at = models.DateTimeField(
        null=True, help_text=_("when it was seen that the job had ended; empty until then")
    )

    class Meta:
        verbose_name = _("progress")
        verbose_name_plural = _("progress")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.jid)
