"""Lease: whose the claimed jobs are. Its id is the fencing token of every job it names."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .fields import BigIntegerArrayField, name_field


class Lease(models.Model):
    """One claimed batch and its holder.

    A lease of a Python process stands while that process beats. A lease of the wire names
    one job, its jid, and the moment at which it ends. One of a throttled queue names one job
    and the queue: it is the permit of that job.
    """

    id = models.BigAutoField(primary_key=True)
    wid = name_field(_("the process that holds it; empty for a client without one"))
    claimed_at = models.DateTimeField(help_text=_("when the batch was claimed"))
    expires_at = models.DateTimeField(
        null=True, help_text=_("when it ends by itself; empty while its process beats")
    )
    ids = BigIntegerArrayField(help_text=_("the jobs it names"))
    jid = name_field(_("the jid of its only job, on the wire"), null=True)
    server = name_field(_("the wire server that claimed for the client"), null=True)

    queue = name_field(_("the throttled queue whose permit it is"), null=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        indexes = [
            models.Index(fields=["jid", "id"], name="faktory_lease_jid", condition=~Q(jid=None)),
            models.Index(
                fields=["expires_at", "id"],
                name="faktory_lease_expiry",
                condition=~Q(expires_at=None),
            ),
            models.Index(
                fields=["queue", "wid"], name="faktory_lease_permit", condition=~Q(queue=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.wid}"
