"""Every URL of the dashboard, from the resolver: a new one is tested from its first day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.urls import URLPattern, reverse

from faktory_django.dashboard.urls import urlpatterns

from .world import BID

if TYPE_CHECKING:
    from .world import World

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# URLs that only take a POST.
WRITE_ONLY: Final = {"language", "act", "cancel"}
# What programs read.
FOR_PROGRAMS: Final = {"stats", "health"}


def names() -> list[str]:
    """Return the names of all URLs, each once."""
    return list(dict.fromkeys(pattern.name or "" for pattern in patterns()))


def patterns() -> list[URLPattern]:
    """Return all URLs; one without a name would be one that no test knows."""
    found: list[Any] = list(urlpatterns)
    assert all(isinstance(pattern, URLPattern) and pattern.name for pattern in found)
    return found


def address(name: str, values: dict[str, Any]) -> str:
    """Return an address of a URL, its parts taken from values by their names."""
    [pattern] = [pattern for pattern in patterns() if pattern.name == name]
    parts = {part: values[part] for part in pattern.pattern.converters}
    return reverse(f"faktory:{name}", kwargs=parts)


def values(busy: World) -> dict[str, Any]:
    """Return parts of addresses under which there is something."""
    return {
        "jid": busy.retry,
        "name": "default",
        "jobtype": "FetchURL",
        "key": busy.operation,
        "bid": BID,
    }


def readable(name: str) -> bool:
    """Return whether a URL is for looking at."""
    return name not in WRITE_ONLY
