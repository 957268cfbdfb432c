"""Viewer: what a person has chosen: language, time zone, and how often a page is renewed."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django.utils import timezone, translation

from faktory_django import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from django.http import HttpRequest, HttpResponse

ZONE: Final = "faktory_zone"
EVERY: Final = "faktory_every"
YEAR_SECONDS: Final = 365 * 86_400
# Seconds between two renewals that can be chosen; 0 is paused.
INTERVALS: Final = (2, 5, 10, 30, 0)
DEFAULT_INTERVAL: Final = 5
LOCALE: Final = Path(__file__).parent.parent / "locale"


@contextmanager
def preferences(request: HttpRequest) -> Iterator[None]:
    """Speak the viewer's language and tell times in the viewer's zone."""
    zone = _zone(request.COOKIES.get(ZONE, ""))
    with _speaking(request), timezone.override(zone) if zone else nullcontext():
        yield


def context(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of a page shows of the choices."""
    return {
        "every": interval(request),
        # Without JavaScript a page is renewed as a whole, but only for those who have asked.
        "reload": interval(request) if _chosen(request) else 0,
        "intervals": INTERVALS,
        "kept": [(k, v) for k, vs in request.GET.lists() for v in vs if k != "every"],
        "languages": languages(),
        "language": translation.get_language() or "en",
        "htmx": "django_htmx" in settings.project("INSTALLED_APPS"),
        "zone_cookie": ZONE,
    }


def interval(request: HttpRequest) -> int:
    """Return the seconds between two renewals; 0 is paused."""
    chosen = _chosen(request)
    return int(chosen) if chosen else DEFAULT_INTERVAL


def _chosen(request: HttpRequest) -> str:
    said = (request.GET.get("every", ""), request.COOKIES.get(EVERY, ""))
    return next((text for text in said if text in map(str, INTERVALS)), "")


def remember(request: HttpRequest, response: HttpResponse) -> None:
    """Keep the interval that was chosen on this page."""
    if request.GET.get("every", "") in map(str, INTERVALS):
        keep(request, response, EVERY, str(interval(request)))


def keep(request: HttpRequest, response: HttpResponse, name: str, value: str) -> None:
    """Keep a choice for a year."""
    response.set_cookie(
        name, value, max_age=YEAR_SECONDS, samesite="Lax", secure=request.is_secure()
    )


def languages() -> dict[str, str]:
    """Return the project's languages that there is a catalogue for, each by its own name."""
    theirs = {code for code, _name in settings.project("LANGUAGES")}
    return {code: name for code, name in _catalogues().items() if code in theirs}


def _speaking(request: HttpRequest) -> AbstractContextManager[None]:
    # LocaleMiddleware has looked at the same cookie, and at more.
    language = request.COOKIES.get(settings.project("LANGUAGE_COOKIE_NAME"), "")
    if hasattr(request, "LANGUAGE_CODE") or language not in languages():
        return nullcontext()
    return translation.override(language)


@cache
def _catalogues() -> dict[str, str]:
    codes = {"en", *(path.name.replace("_", "-").lower() for path in LOCALE.glob("*/"))}
    return {code: _own_name(code) for code in sorted(codes)}


def _own_name(code: str) -> str:
    try:
        info = translation.get_language_info(code)
    except KeyError:
        return code
    return str(info["name_local"]).capitalize()


@cache
def _zone(name: str) -> ZoneInfo | None:
    if not name or len(name) > 64:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
