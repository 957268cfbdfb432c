"""Operator: what all lists have in common: read-only, bounded, from the jobs' database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.utils import quote
from django.core.exceptions import BadRequest, ValidationError
from django.urls import reverse
from django.utils.html import format_html

from faktory_django import settings

from .window import WindowChangeList, WindowPaginator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import Model, QuerySet
    from django.http import HttpRequest, HttpResponseBase

    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = admin.ModelAdmin


class ReadOnlyAdmin(AnyAdmin):
    """Nobody adds, changes or deletes anything by the admin's own forms."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are pushed, not added."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are written by the life cycle alone."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are deleted by the life cycle alone."""
        del request, obj
        return False


class OperatorAdmin(ReadOnlyAdmin):
    """A list that can be looked at, and acted on by verbs of the life cycle only."""

    paginator = WindowPaginator
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by = ()
    deferred_in_list: ClassVar[tuple[str, ...]] = ()

    class Media:
        css = {"all": ["faktory_django/admin.css"]}

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read what a page shows beside the rows, in a fixed number of queries."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows of the database that the jobs live in."""
        return super().get_queryset(request).using(settings.get().database)

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """Return the order of the list, which an index has."""
        return list(super().get_ordering(request) or self.opts.ordering or ())

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        """Return one row with what is shown beside it."""
        if "\0" in object_id:
            return None
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            self.prepare([found])
        return found

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WindowChangeList]:
        """Return the list that ends with the window."""
        del request, kwargs
        return WindowChangeList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow the list's own filters only: others scan tables and ask for hidden arguments."""
        del request
        names = {getattr(f, "parameter_name", f"{f}__exact") for f in self.list_filter or ()}
        return lookup in names and "\0" not in value

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Refuse keys that cannot be one, which Django would fail on."""
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                if "\0" in key:
                    raise BadRequest("a key holds a NUL")
                self.opts.pk.to_python(key)
        except ValidationError as wrong:
            raise BadRequest(f"a key is not one: {wrong}") from wrong
        response: HttpResponseBase | None = super().response_action(
            request, queryset, *args, **kwargs
        )
        return response

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may act on jobs, and pause and resume queues."""
        return _may(request, "act_on_job")

    def has_clear_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may throw away all jobs of a queue."""
        return _may(request, "act_on_job") and _may(request, "delete_job")

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may quiet and stop processes."""
        return _may(request, "change_process")

    def has_args_permission(self, request: HttpRequest) -> bool:
        """Return whether this person may see what jobs carry."""
        return _may(request, "view_job_args")

    def link(self, model: type[Model], key: int | str, text: object) -> str:
        """Return a link to the page of a row."""
        return format_html('<a href="{}">{}</a>', self._url(model, "change", quote(key)), text)

    def link_to_list(self, model: type[Model], query: str, text: object) -> str:
        """Return a link to a list; query is url-encoded."""
        return format_html('<a href="{}?{}">{}</a>', self._url(model, "changelist"), query, text)

    def _url(self, model: type[Model], view: str, *args: str) -> str:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}"
        return reverse(name, args=args, current_app=self.admin_site.name)


def _may(request: HttpRequest, permission: str) -> bool:
    return bool(request.user.has_perm(f"faktory_django.{permission}"))
