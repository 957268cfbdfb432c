"""The system check of FAKTORY["CRON"]: here, where it is known what an entry may be."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from faktory_django import settings
from faktory_django.errors import FaktoryError, InvalidOption

from .cron import of_settings


@register(Tags.compatibility)
def check_cron(**_kwargs: Any) -> list[CheckMessage]:
    """Read the entries of the settings."""
    try:
        settings.get()
    except InvalidOption:  # E001 says it
        return []
    try:
        of_settings()
    except FaktoryError as wrong:
        return [Error(str(wrong), id="faktory_django.E007")]
    return []
