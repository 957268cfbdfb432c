"""Cursor: how far an iterable job has come, for the run that goes on after this one."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Cursor(models.Model):
    """The latest checkpoint of the job of a jid. It is deleted when the job is nowhere any more."""

    jid = name_field(_("the jid of the job"), primary_key=True)
    jobtype = name_field(_("its jobtype; with created it tells jobs of one jid apart"))
    created = name_field(_("when it was pushed, as its payload says"))
    cursor = models.TextField(
        help_text=_("JSON: a list of the value that the job yielded last, or of one token")
    )
    kinds = models.TextField(
        null=True, help_text=_("JSON: which values are no plain JSON; empty for none")
    )
    sealed = models.BooleanField(help_text=_("whether the value is encrypted"))
    items = models.BigIntegerField(help_text=_("how often it has yielded, in all its runs"))
    saved_at = models.DateTimeField(help_text=_("when it was written"))

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.jid)
