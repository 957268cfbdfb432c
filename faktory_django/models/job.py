"""Job: a job that waits in a queue or runs. The row is written once and deleted when it ends."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.utils.translation import gettext_lazy as _

from .fields import name_field


def batch_index(name: str) -> models.Index:
    """Return the index of the jobs that are in batches; plain jobs are not in it."""
    return models.Index(
        KeyTextTransform("bid", "traits"), "id", name=name, condition=Q(traits__has_key="bid")
    )


class Payload(models.Model):
    """What a job carries from place to place."""

    id = models.BigAutoField(primary_key=True)
    queue = name_field(_("the queue it belongs to"))
    priority = models.SmallIntegerField(
        db_default=0, help_text=_("-100 to 100, higher first inside its queue")
    )
    jid = name_field(_("the id its producer gave it; not unique"))
    jobtype = name_field(_("the name workers find its function by"))
    reserve_for = models.IntegerField(help_text=_("seconds that one run may take"))
    body = models.TextField(help_text=_("the job as canonical JSON, written once at push"))
    failure = models.TextField(
        null=True, help_text=_("the latest failure as JSON (protocol section 5.2)")
    )
    traits = models.JSONField(
        null=True, help_text=_("what features have to know of it; empty for a plain job")
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.jobtype} {self.jid}"

    @property
    def failure_hash(self) -> dict[str, Any]:
        """The latest failure as a dict (protocol section 5.2); empty when there is none."""
        found: dict[str, Any] = json.loads(self.failure) if self.failure else {}
        return found


class Job(Payload):
    """A job in a queue (a Ready row names it) or in work (a Lease names it)."""

    enqueued_at = models.DateTimeField(help_text=_("when it entered its queue"))
    crashes = models.SmallIntegerField(
        db_default=0, help_text=_("how often the process that ran it died")
    )

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ["id"]
        # Only pages need it. Not a hash index: an insert into that costs twice as much.
        indexes = [
            models.Index(fields=["jid"], name="faktory_job_jid"),
            batch_index("faktory_job_bid"),
        ]
        permissions = [
            ("act_on_job", "Can retry, kill, discard and requeue jobs, pause and resume queues"),
            ("view_job_args", "Can see the arguments of jobs"),
        ]
