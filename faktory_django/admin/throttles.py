"""Throttles: people make, change and remove them; what they say stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from faktory_django import settings
from faktory_django.errors import InvalidOption
from faktory_django.lifecycle import throttles
from faktory_django.models import Throttle
from faktory_django.settings import check_queue_name
from faktory_django.throttling import check

from .operator import OperatorAdmin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest

    ThrottleModelForm = forms.ModelForm[Throttle]
else:
    ThrottleModelForm = forms.ModelForm

SAID: Final = ("queue", "concurrency", "per_worker", "timeout_seconds")
FACTS: Final = ("source", "updated_at")


class ThrottleForm(ThrottleModelForm):
    """A throttle, checked as one of the settings is."""

    class Meta:
        model = Throttle
        fields = SAID
        widgets = {"queue": AdminTextInputWidget(attrs={"class": "vTextField"})}

    def clean_queue(self) -> str:
        """Check the name."""
        name = str(self.cleaned_data["queue"])
        if wrong := check_queue_name(name):
            raise ValidationError(wrong)
        return name

    def clean(self) -> dict[str, Any]:
        """Check what is said together."""
        said: dict[str, Any] = super().clean() or {}
        keys = {
            "concurrency": "concurrency",
            "worker": "per_worker",
            "timeout": "timeout_seconds",
        }
        if not self.errors:
            try:
                check(str(_("the throttle")), {key: said.get(name) for key, name in keys.items()})
            except InvalidOption as wrong:
                raise ValidationError(str(wrong)) from wrong
        return said


class ThrottleAdmin(OperatorAdmin):
    """All throttles, and how many of their permits are taken."""

    form = ThrottleForm
    list_display = ("queue", "taken", "concurrency", "per_worker", "timeout_seconds", "source")
    list_filter = ("source",)

    def prepare(self, entries: Sequence[Any]) -> None:
        """Read how many permits are taken, in one query."""
        found = throttles.listed(using=settings.get().database) if entries else []
        taken = {one.queue: one.taken for one in found}
        for throttle in entries:
            vars(throttle)["permits_taken"] = taken.get(throttle.queue, 0)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what can be said, and what is so."""
        del request
        return SAID if obj is None else (*SAID, *FACTS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what nobody writes; another queue is another throttle."""
        del request
        return () if obj is None else ("queue", *FACTS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who throttles a queue decides how fast its jobs run."""
        return self._may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Also one of the settings: it is a person's from then on."""
        del obj
        return self._may(request, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One of the settings comes back with the next worker that starts."""
        del obj
        return self._may(request, "delete")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Write it by the verb, which wakes those who wait."""
        del request, form, change
        throttles.throttle(
            obj.queue,
            concurrency=obj.concurrency,
            worker=obj.per_worker,
            timeout=obj.timeout_seconds,
            using=settings.get().database,
        )

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove it by the verb."""
        del request
        throttles.unthrottle(obj.queue, using=settings.get().database)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Remove them by the verb."""
        del request
        for queue in queryset.values_list("queue", flat=True):
            throttles.unthrottle(queue, using=settings.get().database)

    @admin.display(description=_("taken"))
    def taken(self, throttle: Throttle) -> str:
        """How many permits are taken."""
        return str(localize(vars(throttle).get("permits_taken", 0)))

    def _may(self, request: HttpRequest, what: str) -> bool:
        user = request.user
        return user.has_perms([f"faktory_django.{what}_throttle", "faktory_django.act_on_job"])
