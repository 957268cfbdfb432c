"""CronEntry: a job that is pushed again and again; CronTick: once; CronDeclaration: by whom."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .fields import name_field


class CronEntry(models.Model):
    """A periodic job, of code or of a person. Written by lifecycle.cron_entries and cron_code."""

    class Source(models.TextChoices):
        """Who has the say over it."""

        CODE = "code", pgettext_lazy("source of a cron entry", "code")
        PERSON = "person", pgettext_lazy("source of a cron entry", "person")

    class Missed(models.TextChoices):
        """What becomes of ticks at which nobody looked."""

        SKIP = "skip", _("skip them")
        LAST = "last", _("push the last one")
        ALL = "all", _("push each")

    id = models.BigAutoField(primary_key=True)
    name = name_field(_("what people know it by"), verbose_name=_("name"))
    source = name_field(
        _("code, or the person who made it"), choices=Source.choices, db_default="person"
    )
    jobtype = name_field(_("the type of job that is pushed"), verbose_name=_("job type"))
    schedule = models.TextField(
        _("schedule"), help_text=_("minute, hour, day, month, weekday; or a name such as @daily")
    )
    zone = models.TextField(
        _("time zone"), help_text=_("the zone its times are told in, such as Asia/Tokyo")
    )
    args = models.TextField(
        _("arguments"), db_default="[]", default="[]", help_text=_("a list as JSON")
    )
    custom = models.TextField(
        _("custom attributes"), db_default="", blank=True, help_text=_("an object as JSON")
    )
    queue = name_field(
        _("empty: as the job says"), verbose_name=_("queue"), db_default="", blank=True
    )
    priority = models.SmallIntegerField(
        _("priority"), null=True, blank=True, help_text=_("-100 to 100; empty: as the job says")
    )
    retry = models.IntegerField(
        _("retries allowed"), null=True, blank=True, help_text=_("empty: as the job says")
    )
    reserve_for = models.IntegerField(
        _("time limit of a run (s)"), null=True, blank=True, help_text=_("empty: as the job says")
    )
    backtrace = models.SmallIntegerField(
        db_default=0, help_text=_("lines of a failure's backtrace that are kept")
    )
    missed = name_field(
        _("what becomes of ticks while no worker and no server ran"),
        verbose_name=_("missed ticks"),
        choices=Missed.choices,
        db_default="last",
        default="last",
    )
    within_seconds = models.IntegerField(
        _("within (s)"),
        null=True,
        blank=True,
        help_text=_("a missed tick that is older is not pushed; empty: however old"),
    )
    paused = models.BooleanField(
        _("paused"), db_default=False, help_text=_("its ticks pass without a push")
    )
    next_at = models.DateTimeField(null=True, help_text=_("its next tick; empty: never"))
    gone_at = models.DateTimeField(
        null=True, help_text=_("since when no running code declares it; empty: it does")
    )
    fingerprint = models.TextField(db_default="", help_text=_("of what the code declares"))
    problem = models.TextField(db_default="", help_text=_("why it could not be looked at"))
    changed_at = models.DateTimeField(db_default=Now(), help_text=_("when it was changed"))

    class Meta:
        verbose_name = _("cron entry")
        verbose_name_plural = _("cron entries")
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["name", "source"], name="faktory_cron_name")]
        indexes = [
            models.Index(
                fields=["next_at", "id"],
                name="faktory_cron_next",
                condition=Q(paused=False, gone_at=None),
            )
        ]

    def __str__(self) -> str:
        return str(self.name)


class CronTick(models.Model):
    """One tick of an entry that was pushed: its key is what keeps a second push from happening."""

    id = models.BigAutoField(primary_key=True)
    entry = models.ForeignKey(
        CronEntry, models.CASCADE, db_index=False, help_text=_("the entry"), related_name="ticks"
    )
    tick_at = models.DateTimeField(help_text=_("when it was due, or was asked for"))
    jid = name_field(_("the job that was pushed"))
    by_hand = models.BooleanField(db_default=False, help_text=_("a person asked for it"))
    pushed_at = models.DateTimeField(db_default=Now(), help_text=_("when it was pushed"))
    problem = models.TextField(db_default="", help_text=_("why the push was refused"))

    class Meta:
        verbose_name = _("cron tick")
        verbose_name_plural = _("cron ticks")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["entry", "tick_at"], name="faktory_cron_tick")
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} {self.tick_at}"


class CronDeclaration(models.Model):
    """What running code declares of an entry. Two releases may differ: the younger one counts."""

    id = models.BigAutoField(primary_key=True)
    name = name_field(_("the name of the entry"))
    fingerprint = models.TextField(help_text=_("what differs where the definition does"))
    definition = models.TextField(help_text=_("the entry as JSON"))
    first_at = models.DateTimeField(help_text=_("when it was first declared"))
    seen_at = models.DateTimeField(help_text=_("when a running process last declared it"))

    class Meta:
        verbose_name = _("cron declaration")
        verbose_name_plural = _("cron declarations")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["name", "fingerprint"], name="faktory_cron_declared")
        ]

    def __str__(self) -> str:
        return str(self.name)
