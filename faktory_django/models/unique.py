"""UniqueLock: of jobs that are the same, one at a time; the key of its row sees to that."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class UniqueLock(models.Model):
    """What keeps a second job out. Written by lifecycle.unique alone."""

    key = name_field(_("a hash of what makes the job the same"), primary_key=True)
    jid = name_field(_("the jid of the job that holds it"))
    queue = name_field(_("the queue of that job"))
    jobtype = name_field(_("the jobtype of that job"))
    until = name_field(_("what frees it: success, or start"), db_default="success")
    taken_at = models.DateTimeField(help_text=_("when the job was pushed"))
    expires_at = models.DateTimeField(help_text=_("when it ends, whatever became of the job"))

    class Meta:
        verbose_name = _("unique lock")
        verbose_name_plural = _("unique locks")
        ordering = ["expires_at", "key"]
        indexes = [models.Index(fields=["expires_at", "key"], name="faktory_unique_expiry")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.jobtype} {self.jid}"
