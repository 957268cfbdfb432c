"""Window: a list shows the first 10,000 entries of its order, so a page costs the same at any size.

Counting, deep pages, filters without an index and acting on "all" end there, and say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import F, Func, TextField, Value
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual
from django.utils.functional import cached_property

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest

    QueryPaginator = Paginator[Any]
else:
    QueryPaginator = Paginator

WINDOW: Final = 10_000


class WindowPaginator(QueryPaginator):
    """Pages up to the end of the window."""

    @cached_property
    def _found(self) -> int:
        entries: Any = self.object_list
        # in the order of the list: the planner then walks its index, and stops
        return int(entries[: WINDOW + 1].count())

    @cached_property
    def count(self) -> int:
        """How many entries are listed."""
        return min(self._found, WINDOW)

    @property
    def more(self) -> bool:
        """Whether there are entries that are not listed."""
        return self._found > WINDOW


class WindowChangeList(ChangeList):
    """A page in the order of an index; no other order can be asked for."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the list's own order, whatever the address says."""
        del queryset
        return list(self.model_admin.get_ordering(request))

    def get_ordering_field_columns(self) -> dict[int, Any]:
        """Return no column: none can be clicked to sort."""
        return {}

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, never more, without what only the page of one entry shows."""
        super().get_results(request)
        admin: Any = self.model_admin
        page: Any = self.result_list
        if not page.query.is_sliced:
            # Django counted less than a page; more may have been pushed since.
            page = page[: self.list_per_page]
        entries = list(page.defer(*admin.deferred_in_list))
        admin.prepare(entries)
        self.result_list = entries


def within_window(
    entries: QuerySet[Any], everything: QuerySet[Any], ordering: Sequence[str]
) -> QuerySet[Any]:
    """Return those of the entries that are among the first 10,000 of everything in this order.

    All columns go the same way, and an index has them: the bound is one probe.
    """
    names = [name.removeprefix("-") for name in ordering]
    last = everything.order_by(*ordering).values_list(*names)[WINDOW - 1 : WINDOW].first()
    if last is None:
        return entries
    fields = [everything.model._meta.get_field(name) for name in names]
    bound = _row(*(Value(v, output_field=f) for v, f in zip(last, fields, strict=True)))
    compare = GreaterThanOrEqual if ordering[0].startswith("-") else LessThanOrEqual
    return entries.filter(compare(_row(*map(F, names)), bound))


def _row(*parts: Any) -> Any:
    if len(parts) == 1:
        return parts[0]
    return Func(*parts, function="ROW", output_field=TextField())
