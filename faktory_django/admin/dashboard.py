"""Dashboard: one entry in the admin's index that leads to the pages of the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponseRedirect
from django.urls import NoReverseMatch, path, reverse

from .operator import ReadOnlyAdmin

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern


class DashboardAdmin(ReadOnlyAdmin):
    """Seen by those who may look at jobs, in projects that have the dashboard's URLs."""

    def get_urls(self) -> list[URLPattern]:
        """Return the one address that the index links to."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.enter), name=name)]

    def enter(self, request: HttpRequest) -> HttpResponse:
        """Go to the dashboard; to the index where there is none."""
        del request
        return HttpResponseRedirect(_url() or reverse(f"{self.admin_site.name}:index"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether this person may look at jobs, and there are pages to look at."""
        del obj
        return request.user.has_perm("faktory_django.view_job") and _url() is not None

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the entry is listed."""
        return self.has_view_permission(request)


def _url() -> str | None:
    try:
        return reverse("faktory:overview")
    except NoReverseMatch:
        return None
