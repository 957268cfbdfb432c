"""Access: who may see and do what: Django's permissions, and the project's hook for each queue."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from faktory_django import settings
from faktory_django.lifecycle import queues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest, HttpResponse

    QueueAccess = Callable[[HttpRequest, str, str], bool]

# What a person can do here, and the permissions that it takes: all of them.
NEEDS: Final = {
    "view": ("view_job",),
    "args": ("view_job", "view_job_args"),
    "act": ("view_job", "act_on_job"),
    "copy": ("view_job", "view_job_args", "act_on_job"),
    "flush": ("view_job", "act_on_job", "delete_job"),
    "steer": ("view_job", "change_process"),
}


def may(request: HttpRequest, action: str) -> bool:
    """Return whether this person may "view", see "args", "act", "copy", "flush" or "steer"."""
    user = request.user
    if not (user.is_active and user.is_staff):
        return False
    return user.has_perms([f"faktory_django.{name}" for name in NEEDS[action]])


def rights(request: HttpRequest) -> dict[str, bool]:
    """Return each action and whether this person may do it, for templates."""
    return {action: may(request, action) for action in NEEDS}


def check(request: HttpRequest, action: str, queue: str | None = None) -> None:
    """Raise PermissionDenied unless this person may do it, to this queue when one is named."""
    if not may(request, action) or (queue is not None and not opens(request, queue, action)):
        raise PermissionDenied


def opens(request: HttpRequest, queue: str, action: str) -> bool:
    """Return whether the project's hook lets this person do it to this queue."""
    hook = _hook(settings.get().dashboard_queue_access)
    return hook is None or bool(hook(request, queue, action))


def opened(request: HttpRequest, names: Iterable[str], action: str) -> list[str]:
    """Return those of these queues to which this person may do it."""
    return [name for name in names if opens(request, name, action)]


def queue_names(request: HttpRequest, action: str) -> list[str] | None:
    """Return the known queues to which this person may do it; None is all, known or not.

    One query when there is a hook, none when there is not.
    """
    if not settings.get().dashboard_queue_access:
        return None
    return opened(request, queues.known(), action)


def to_login(request: HttpRequest) -> HttpResponse:
    """Send somebody who has not signed in to the admin's page for it, or to LOGIN_URL."""
    try:
        url = reverse("admin:login")
    except NoReverseMatch:
        url = resolve_url(settings.project("LOGIN_URL"))
    return redirect_to_login(request.get_full_path(), url)


@cache
def _hook(path: str) -> QueueAccess | None:
    found: QueueAccess | None = import_string(path) if path else None
    return found
