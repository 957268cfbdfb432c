"""Process: a running process of ours or of a wire client; Waiter: one that is idle."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import TextArrayField, name_field


class Process(models.Model):
    """A worker process or a wire server, by a random id of its life: never by host or pid."""

    class Kind(models.TextChoices):
        """What it is: that decides how long it may be silent."""

        PYTHON = "python", _("Python worker")
        WIRE = "wire", _("worker on the wire")
        SERVER = "server", _("wire server")

    class State(models.TextChoices):
        """What an operator, or the process itself, has asked for; it only goes forward."""

        RUNNING = "running", _("running")
        QUIET = "quiet", _("quiet")
        TERMINATE = "terminate", _("terminate")

    wid = name_field(_("a random id for this life of the process"), primary_key=True)
    kind = models.TextField(
        choices=Kind.choices,
        db_default="python",
        help_text=_("a Python worker, a worker on the wire, or a wire server"),
    )
    hostname = models.TextField(help_text=_("the host it runs on"))
    pid = models.IntegerField(help_text=_("its process id on that host"))
    labels = TextArrayField(help_text=_("what it says of itself"))
    queues = TextArrayField(help_text=_("the queues it works on, in order"))
    version = models.TextField(help_text=_("of this package, or of a wire client"))
    concurrency = models.IntegerField(help_text=_("how many jobs it runs at a time"))
    state = models.TextField(choices=State.choices, help_text=_("running, quiet or terminate"))
    started_at = models.DateTimeField(help_text=_("when it started"))
    beat_at = models.DateTimeField(help_text=_("when it was last heard of"))
    connections = models.IntegerField(
        db_default=0, help_text=_("open connections, of a worker on the wire or of a server")
    )
    rss_kb = models.BigIntegerField(db_default=0, help_text=_("resident memory in KiB"))
    running = models.TextField(
        db_default="[]", help_text=_("JSON: [job id, start in Unix seconds] of each busy slot")
    )

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        ordering = ["started_at", "wid"]

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"


class Waiter(models.Model):
    """A process that has room and found nothing: a push into its queues wakes it."""

    wid = name_field(_("the process"), primary_key=True)
    queues = TextArrayField(help_text=_("the queues it would take jobs from"))

    class Meta:
        verbose_name = _("waiter")
        verbose_name_plural = _("waiters")

    def __str__(self) -> str:
        return str(self.wid)
