"""The Django app: installs what migrations cannot hold, finds jobs when a worker asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


class FaktoryDjangoConfig(AppConfig):
    """faktory_django in INSTALLED_APPS."""

    name = "faktory_django"
    verbose_name = _("Jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and the installer."""
        from faktory_django import checks  # noqa: F401, PLC0415 - registers on import
        from faktory_django.api import cron_check  # noqa: F401, PLC0415 - as well

        post_migrate.connect(_install_after_migrate, sender=self)

    def install(self, connection: BaseDatabaseWrapper) -> None:
        """Make functions and storage options in this database."""
        from faktory_django.lifecycle.install import install  # noqa: PLC0415 - needs models

        install(connection)

    def discover_jobs(self) -> None:
        """Import jobs.py of every installed app, and read the cron entries of the settings.

        Raises what such a module raises, DuplicateJobType, and InvalidOption for an entry.
        """
        from faktory_django.api.cron import declare_settings  # noqa: PLC0415 - as in ready()

        autodiscover_modules("jobs")
        declare_settings()


def _install_after_migrate(sender: FaktoryDjangoConfig, using: str, **_kwargs: Any) -> None:
    from django.db import connections, router  # noqa: PLC0415 - needs settings

    from faktory_django.models import Job  # noqa: PLC0415 - needs the app registry

    connection = connections[using]
    if connection.vendor == "postgresql" and router.allow_migrate_model(using, Job):
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
        if Job._meta.db_table in tables:
            sender.install(connection)
