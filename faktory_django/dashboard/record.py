"""Record: what a person has done here, as an audit row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faktory_django.lifecycle.connection import database
from faktory_django.models import AuditEntry

if TYPE_CHECKING:
    from django.http import HttpRequest


def record(
    request: HttpRequest, act: str, target: str, *, what: str = "", search: str = "", count: int = 1
) -> None:
    """Write down who did what to what, to how many, chosen by which search."""
    AuditEntry.objects.using(database(None).alias).create(
        user=user_name(request), act=act, target=target, what=what, filter=search, count=count
    )


def user_name(request: HttpRequest) -> str:
    """Return the name by which the audit knows this person."""
    return str(request.user.get_username())
