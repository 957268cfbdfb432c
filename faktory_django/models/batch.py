"""Batch: jobs that belong together, and what is to follow them; its counters come as deltas."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .fields import name_field


class Counts(models.Model):
    """What is counted of a batch: its jobs by how far they are, and its children."""

    total = models.IntegerField(db_default=0, help_text=_("jobs that were pushed"))
    executed = models.IntegerField(db_default=0, help_text=_("jobs that were run once, or ended"))
    done = models.IntegerField(db_default=0, help_text=_("jobs that succeeded"))
    failed = models.IntegerField(db_default=0, help_text=_("jobs that were run and are failing"))
    discarded = models.IntegerField(
        db_default=0, help_text=_("jobs that were discarded, cancelled or had expired")
    )
    lost = models.IntegerField(db_default=0, help_text=_("jobs that are gone without success"))
    deaths = models.IntegerField(db_default=0, help_text=_("how often one of its jobs has died"))
    killed = models.IntegerField(db_default=0, help_text=_("jobs that were killed unrun"))
    children = models.IntegerField(db_default=0, help_text=_("batches that are children of it"))
    children_complete = models.IntegerField(
        db_default=0, help_text=_("children whose jobs were all run, and their callback too")
    )
    children_success = models.IntegerField(
        db_default=0, help_text=_("children whose jobs all succeeded, and their callback too")
    )

    class Meta:
        abstract = True


class Batch(Counts):
    """A batch. Whoever ends a job writes a delta; a fold adds them up here, and decides."""

    class State(models.TextChoices):
        """What became of a callback (protocol section 9.3)."""

        NOT_YET = "", _("not yet")
        ENQUEUED = "1", _("pushed")
        DONE = "2", _("done")

    id = models.BigAutoField(primary_key=True)
    bid = name_field(_("its id, as jobs name it"), unique=True, verbose_name=_("batch"))
    parent_bid = name_field(_("the batch that waits for this one"), db_default="")
    description = models.TextField(
        _("description"), db_default="", help_text=_("what it is, in words for people")
    )
    created_at = models.DateTimeField(
        _("created"), db_default=Now(), help_text=_("when it was made")
    )
    opened_at = models.DateTimeField(db_default=Now(), help_text=_("when it was last opened"))
    opens = models.IntegerField(
        db_default=1, help_text=_("how many have it open: then jobs may be added")
    )
    committed_at = models.DateTimeField(
        null=True, help_text=_("since when its callbacks may follow; empty: not yet")
    )
    changed_at = models.DateTimeField(db_default=Now(), help_text=_("when it was last counted"))
    ended_at = models.DateTimeField(null=True, help_text=_("when nothing more was to follow"))
    cancelled_at = models.DateTimeField(null=True, help_text=_("when it was cancelled"))
    complete = models.JSONField(
        null=True, help_text=_("the job that follows when all jobs were run once")
    )
    success = models.JSONField(
        null=True, help_text=_("the job that follows when all jobs succeeded")
    )
    dead = models.JSONField(null=True, help_text=_("the job that follows the first death"))
    complete_st = name_field(_("what became of the callback"), db_default="", choices=State.choices)
    success_st = name_field(_("what became of the callback"), db_default="", choices=State.choices)
    dead_st = name_field(_("what became of the callback"), db_default="", choices=State.choices)
    steps = models.JSONField(null=True, help_text=_("what is pushed when these jobs succeeded"))
    step = models.IntegerField(db_default=0, help_text=_("which step its jobs are"))

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["parent_bid", "id"],
                name="faktory_batch_parent",
                condition=~Q(parent_bid=""),
            ),
            models.Index(
                fields=["opened_at", "id"], name="faktory_batch_open", condition=Q(opens__gt=0)
            ),
            models.Index(
                fields=["cancelled_at", "id"],
                name="faktory_batch_cancelled",
                condition=Q(cancelled_at__isnull=False),
            ),
            # not changed_at, which each fold writes
            models.Index(fields=["created_at", "id"], name="faktory_batch_created"),
        ]

    def __str__(self) -> str:
        return str(self.bid)


class BatchDelta(Counts):
    """What one statement has counted of a batch, not yet folded."""

    id = models.BigAutoField(primary_key=True)
    bid = name_field(_("the batch"))
    callback = name_field(_("the jid of a callback of it that has ended"), db_default="")

    class Meta:
        verbose_name = _("batch delta")
        verbose_name_plural = _("batch deltas")
        default_permissions = ()
        indexes = [models.Index(fields=["bid", "id"], name="faktory_batchdelta_bid")]

    def __str__(self) -> str:
        return str(self.bid)


class BatchFailure(models.Model):
    """A job of a batch that was run and did not succeed, so far: such a run counts once."""

    id = models.BigAutoField(primary_key=True)
    bid = name_field(_("the batch"))
    jid = name_field(_("the job"))

    class Meta:
        verbose_name = _("failing job of a batch")
        verbose_name_plural = _("failing jobs of batches")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["bid", "jid"], name="faktory_batchfailure_jid")
        ]

    def __str__(self) -> str:
        return f"{self.bid} {self.jid}"


class BatchResult(models.Model):
    """What a job of a chain returned, for the step that follows."""

    id = models.BigAutoField(primary_key=True)
    bid = name_field(_("the batch"))
    step = models.IntegerField(help_text=_("the step of the job"))
    nr = models.IntegerField(help_text=_("its place in the step"))
    result = models.TextField(help_text=_("what it returned, as JSON"))

    class Meta:
        verbose_name = _("result of a step")
        verbose_name_plural = _("results of steps")
        default_permissions = ()
        indexes = [models.Index(fields=["bid", "step", "nr", "id"], name="faktory_batchresult_bid")]

    def __str__(self) -> str:
        return f"{self.bid} {self.step}.{self.nr}"
