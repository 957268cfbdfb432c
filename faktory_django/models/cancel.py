"""Cancel: a wish that a job in work may end, before it would by itself."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Cancel(models.Model):
    """Somebody has asked a job that is held to stop. It stands until the job has left its holder.

    A job that waits, is scheduled or will be retried is cancelled at once and has no row here.
    """

    job_id = models.BigIntegerField(primary_key=True, help_text=_("the job"))
    jid = name_field(_("its jid"))
    wid = name_field(_("the process that holds it; empty for a client without one"))
    enqueued_at = models.DateTimeField(help_text=_("when the job entered its queue"))
    asked_at = models.DateTimeField(help_text=_("when it was first asked to stop"))
    asked_by = models.TextField(help_text=_("who asked first; empty for code that does not say"))
    kill_at = models.DateTimeField(
        null=True, help_text=_("when it is ended by force; empty: it ends by itself")
    )

    class Meta:
        verbose_name = _("request to cancel")
        verbose_name_plural = _("requests to cancel")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.jid)
