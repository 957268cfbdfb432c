"""Hooks of a project: who may do what to which queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest


def only_mail(request: HttpRequest, queue: str, action: str) -> bool:
    """Everything is allowed in mail, nothing elsewhere."""
    del request, action
    return queue == "mail"


def look_only(request: HttpRequest, queue: str, action: str) -> bool:
    """Nothing may be done to mail; all may be seen."""
    del request
    return action == "view" or queue != "mail"
