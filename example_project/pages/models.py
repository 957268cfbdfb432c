"""Page: what a job has fetched."""

from django.db import models
from django.db.models.functions import Now


class Page(models.Model):
    """One page as it was fetched."""

    url = models.URLField()
    jid = models.CharField(max_length=24)
    status = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=200)
    size = models.PositiveIntegerField()
    fetched_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-fetched_at", "-id"]

    def __str__(self) -> str:
        return self.url
