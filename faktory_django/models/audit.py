"""AuditEntry: who did what to jobs on the dashboard, and to how many; Operation: a long act."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .fields import SomeTextsArrayField, name_field


class AuditEntry(models.Model):
    """One act of a person. No key of a user: people are deleted, and live in another database."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now(), help_text=_("when it was done, or began"))
    user = models.TextField(help_text=_("who did it"))
    act = name_field(_("what was done, such as discard"))
    target = name_field(_("to what: scheduled, retries, dead, waiting, queue or process"))
    what = models.TextField(
        db_default="", help_text=_("the queue, the jid or the process, when it was one")
    )
    filter = models.TextField(db_default="", help_text=_("the search that chose the jobs"))
    count = models.BigIntegerField(db_default=0, help_text=_("how many it changed"))

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.user} {self.act} {self.target} {self.what}"


class Operation(models.Model):
    """An act on everything that matches, done in parts: each is one transaction."""

    class State(models.TextChoices):
        """How far it is."""

        RUNNING = "running", _("running")
        DONE = "done", _("done")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    id = models.BigAutoField(primary_key=True)
    audit = models.OneToOneField(
        AuditEntry, models.CASCADE, help_text=_("who began it, and what it has changed")
    )
    queue = name_field(_("the queue whose jobs are meant; empty for a set"), db_default="")
    queues = SomeTextsArrayField(
        help_text=_("the queues that the person may act on; empty when all are"), null=True
    )
    last = models.BigIntegerField(help_text=_("entries above this key came later, and stay"))
    after = models.TextField(db_default="", help_text=_("the place in the list it has come to"))
    looked = models.BigIntegerField(db_default=0, help_text=_("entries it has passed"))
    total = models.BigIntegerField(help_text=_("entries there were when it began, as estimated"))
    state = name_field(_("running, done, stopped or failed"), choices=State.choices)
    ended_at = models.DateTimeField(null=True, help_text=_("when it came to its end"))
    problem = models.TextField(db_default="", help_text=_("what it failed of"))

    class Meta:
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        default_permissions = ()
        indexes = [
            models.Index(
                fields=["id"], name="faktory_operation_running", condition=Q(state="running")
            )
        ]

    def __str__(self) -> str:
        return f"{self.audit_id} {self.state}"
