"""Ready: "this job may be fetched", the narrow table that claims work on; Level: its ranks."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Ready(models.Model):
    """One entry of a lane (queue, rank), in order of pos."""

    pk = models.CompositePrimaryKey("queue", "rank", "pos")
    queue = name_field(_("the queue"))
    rank = models.SmallIntegerField(
        help_text=_("twice the priority, plus one for a job that has waited its turn already")
    )
    pos = models.BigIntegerField(
        help_text=_(
            "the job's id at push, a fresh number of its sequence at every return; a virtual time "
            "in the lane of jobs that have a fairness key"
        )
    )
    job_id = models.BigIntegerField(help_text=_("the job"))
    fair_key = name_field(_("whose turn it is, of a job that has a fairness key"), null=True)

    class Meta:
        verbose_name = _("ready entry")
        verbose_name_plural = _("ready entries")
        indexes = [
            models.Index(
                fields=["queue", "fair_key", "pos"],
                name="faktory_ready_fair",
                condition=~Q(fair_key=None),
            ),
            models.Index(
                fields=["queue", "job_id"],
                name="faktory_ready_fair_job",
                condition=~Q(fair_key=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.rank} {self.pos}"


class Level(models.Model):
    """A rank other than 0 that a queue has ever used.

    Without a unique constraint on purpose: a push must not wait for another's open
    transaction. Duplicates are harmless; maintenance merges them. Rows are never dropped:
    a push in an open transaction may rely on one.
    """

    id = models.BigAutoField(primary_key=True)
    queue = name_field(_("the queue"))
    rank = models.SmallIntegerField(help_text=_("as in a ready entry"))

    class Meta:
        verbose_name = _("level")
        verbose_name_plural = _("levels")
        indexes = [models.Index(fields=["queue", "rank"], name="faktory_level_lane")]

    def __str__(self) -> str:
        return f"{self.queue} {self.rank}"
