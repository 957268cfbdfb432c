"""Dashboard: the entry of the dashboard in the admin's index."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from .queue import Queue


class Dashboard(Queue):
    """No table, no rows and no permissions of its own: the admin lists models, so it needs one."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboard")
