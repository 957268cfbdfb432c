"""Page: what every page has in common: who may see it, how long it may take, its frame, headers.

What a page reads, it reads in one read-only transaction of two seconds, which is always rolled
back: it changes nothing, and leaves no setting behind in a transaction around it.
"""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from django.contrib import admin
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError, connections, transaction
from django.http import Http404, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render as render_template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from psycopg.errors import QueryCanceled

from faktory_django import settings
from faktory_django.errors import InvalidOption
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.connection import now as database_now
from faktory_django.processes import package_version

from . import access, viewer
from .nav import nav

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from django.http import HttpRequest

    View = Callable[..., HttpResponse]

logger = logging.getLogger(__name__)

TIMEOUT_MS: Final = 2_000
BEGIN: Final = """
SELECT set_config('transaction_read_only', 'on', true),
    set_config('statement_timeout', %(timeout)s, true), clock_timestamp()
"""
POLICY: Final = (
    "default-src 'none'; style-src {own}; script-src {own}; img-src {own}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(
    action: str = "view", *, methods: Sequence[str] = ("GET", "HEAD"), login: bool = True
) -> Callable[..., View]:
    """Make a view a page: see access.NEEDS for what action can be.

    GET and HEAD read in the page's transaction; other methods get none, and call verbs.
    Without login a stranger is refused, and not asked to sign in.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def run(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                return secured(HttpResponseNotAllowed(methods))
            if login and not request.user.is_authenticated:
                return secured(access.to_login(request))
            with viewer.preferences(request):
                response = _answer(request, view, action, kwargs)
            viewer.remember(request, response)
            return secured(response)

        # What acts in chunks commits each, whatever ATOMIC_REQUESTS says.
        alone = transaction.non_atomic_requests(_alias())(run)
        return csrf_protect(alone)

    return decorate


def _alias() -> str:
    try:
        return settings.get().database
    except InvalidOption:  # manage.py check says it, and imports this before it does
        return settings.FaktorySettings().database


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return a page of templates/faktory_django/dashboard/, in the frame that all have.

    To a request of htmx only the parts that are renewed are sent.
    """
    frame = "partial.html" if is_fragment(request) else "base.html"
    shell = {
        **admin.site.each_context(request),
        "is_nav_sidebar_enabled": False,
        "frame": f"faktory_django/dashboard/{frame}",
        "can": access.rights(request),
        "now": now(request),
        "nav": nav(request),
        "version": package_version(),
        **viewer.context(request),
    }
    name = f"faktory_django/dashboard/{template}"
    return render_template(request, name, {**shell, **context}, status=status)


def now(request: HttpRequest) -> datetime:
    """Return the database's time at the beginning of the request."""
    if "faktory_now" not in vars(request):
        vars(request)["faktory_now"] = database_now(database(None))
    found: datetime = vars(request)["faktory_now"]
    return found


def is_fragment(request: HttpRequest) -> bool:
    """Return whether htmx asks for the live part only; what stands below it is not read."""
    return request.headers.get("HX-Request") == "true"


def back(request: HttpRequest, name: str) -> str:
    """Return the page of this site that the form came from, else the one of this name."""
    asked = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(asked, request.get_host(), request.is_secure()):
        return asked
    return reverse(f"faktory:{name}")


def came_from(request: HttpRequest) -> str:
    """Return the page of the dashboard that a link was on, with its search; empty for none."""
    asked = request.GET.get("next", "")
    allowed = url_has_allowed_host_and_scheme(asked, allowed_hosts=None)
    return asked if allowed and asked.startswith(reverse("faktory:overview")) else ""


def _answer(
    request: HttpRequest, view: View, action: str, kwargs: Mapping[str, Any]
) -> HttpResponse:
    try:
        access.check(request, action)
        if request.method not in {"GET", "HEAD"}:
            return view(request, **kwargs)
        return _read(request, view, kwargs)
    except PermissionDenied:
        return _trouble(request, _("You may not see or do this."), status=403)
    except BadRequest as wrong:
        return _trouble(request, str(wrong), status=400)
    except Http404 as wrong:
        return _trouble(request, str(wrong) or _("This is not there."), status=404)
    except OperationalError as wrong:
        logger.warning("%s was not answered: %s", request.path, wrong)
        if isinstance(wrong.__cause__, QueryCanceled):
            said = _("The database took longer than two seconds, so this page was given up.")
        else:
            said = _("The database does not answer.")
        return _trouble(request, said, status=503)


def _read(request: HttpRequest, view: View, kwargs: Mapping[str, Any]) -> HttpResponse:
    connection = database(None)
    with transaction.atomic(using=connection.alias):
        row = execute(connection, BEGIN, {"timeout": str(TIMEOUT_MS)})[0]
        vars(request)["faktory_now"] = row[2]
        response = view(request, **kwargs)
        connections[connection.alias].set_rollback(True)
    return response


def _trouble(request: HttpRequest, said: str, *, status: int) -> HttpResponse:
    """Return a page that asks the database nothing."""
    context = {
        **admin.site.each_context(request),
        "is_nav_sidebar_enabled": False,
        "said": said,
        "again": status == 503,
        "title": {
            400: _("This cannot be understood"),
            403: _("Not allowed"),
            404: _("Not found"),
            503: _("Try again in a moment"),
        }[status],
    }
    name = "faktory_django/dashboard/trouble.html"
    return render_template(request, name, context, status=status)


def secured(response: HttpResponse) -> HttpResponse:
    """Let nobody keep the answer, frame it, or run anything in it that is not ours."""
    parts = urlsplit(static(""))
    own = f"'self' {parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else "'self'"
    response.headers["Cache-Control"] = "no-store, private"
    response.headers["Content-Security-Policy"] = POLICY.format(own=own)
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    return response
