"""Cron entries: people make and edit their own here; those of code are looked at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from faktory_django import arguments, payload, redaction, registry, settings
from faktory_django.api import cron as entries
from faktory_django.api import options as checks
from faktory_django.contents import pretty
from faktory_django.errors import FaktoryError
from faktory_django.lifecycle import cron_entries
from faktory_django.models import CronEntry
from faktory_django.schedule import read

from .acts import pausing
from .operator import OperatorAdmin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.db.models import QuerySet
    from django.http import HttpRequest

    EntryModelForm = forms.ModelForm[CronEntry]
else:
    EntryModelForm = forms.ModelForm

ARGUMENTS: Final = ("args", "custom")
SAID: Final = (
    *("name", "jobtype", "schedule", "zone", "args", "custom", "queue", "priority", "retry"),
    *("reserve_for", "missed", "within_seconds", "paused"),
)
FACTS: Final = ("source", "next_at", "gone_at", "problem", "changed_at")


class EntryForm(EntryModelForm):
    """An entry of a person, checked as one of code is; args and custom are JSON."""

    class Meta:
        model = CronEntry
        fields = SAID
        widgets = {
            **dict.fromkeys(
                ("name", "jobtype", "schedule", "zone", "queue"),
                AdminTextInputWidget(attrs={"class": "vTextField"}),
            ),
            "args": AdminTextareaWidget(attrs={"rows": 4}),
            "custom": AdminTextareaWidget(attrs={"rows": 3}),
        }

    def clean_name(self) -> str:
        """Let nobody else have the name."""
        name = str(self.cleaned_data["name"])
        _checked(entries.check_name, name)
        others = CronEntry.objects.using(settings.get().database).exclude(pk=self.instance.pk)
        if others.filter(name=name, source=CronEntry.Source.PERSON).exists():
            raise ValidationError(_("There is an entry of this name already."))
        return name

    def clean_args(self) -> str:
        """Read the list, and write it as it is kept."""
        found = _json(self.cleaned_data["args"])
        if not isinstance(found, list):
            raise ValidationError(_('Arguments are a JSON list, such as [1, "a"].'))
        depth = settings.get().max_argument_depth
        text, _kinds = _checked(arguments.encode, found, {}, max_depth=depth)
        return str(text)

    def clean_custom(self) -> str:
        """Read the object, and write it as it is kept."""
        if not self.cleaned_data["custom"].strip():
            return ""
        found = _json(self.cleaned_data["custom"])
        mark = found.pop(payload.MARK, None) if isinstance(found, dict) else None
        _checked(checks.check_options, {"custom": found}, checks.JOB_OPTIONS)
        if mark is not None:
            found[payload.MARK] = mark
        return json.dumps(found, ensure_ascii=False)

    def clean(self) -> dict[str, Any]:
        """Check each field as @periodic and @job check what stands there."""
        said: dict[str, Any] = super().clean() or {}
        for name in ("queue", "priority", "retry", "reserve_for"):
            if said.get(name) not in {None, ""}:
                self._check(name, checks.check_options, {name: said[name]}, checks.JOB_OPTIONS)
        if "jobtype" in said:
            self._check(
                "jobtype", checks.check_options, {"name": said["jobtype"]}, checks.JOB_OPTIONS
            )
        if {"jobtype", "args"} <= said.keys() and not self._marked(said):
            registry.discovered(said["jobtype"])  # a web process may not know it yet
            self._check("args", entries.check_fit, said["jobtype"], json.loads(said["args"]), {})
        self._check(
            "within_seconds", entries.check_missed, said.get("missed"), said.get("within_seconds")
        )
        if "zone" in said:
            self._check("zone", read, "@daily", said["zone"])
        if "schedule" in said:
            self._check("schedule", read, said["schedule"], "UTC")
        return said

    def _check(self, field: str, check: Callable[..., Any], *args: Any) -> None:
        try:
            _checked(check, *args)
        except ValidationError as wrong:
            self.add_error(field, wrong)

    def _marked(self, said: dict[str, Any]) -> bool:
        return payload.MARK in (said.get("custom") or "")


def _checked(check: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return check(*args, **kwargs)
    except FaktoryError as wrong:
        raise ValidationError(str(wrong)) from wrong


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as wrong:
        raise ValidationError(_("It is nested too deeply.")) from wrong
    except ValueError as wrong:
        raise ValidationError(_("It is not JSON: %(error)s") % {"error": wrong}) from wrong


class CronEntryAdmin(OperatorAdmin):
    """All entries; what they push is shown to those who may see what jobs carry."""

    form = EntryForm
    list_display = ("name", "source", "jobtype", "schedule", "zone", "next_at", "working")
    list_filter = ("source", "paused")
    search_fields = ("name",)
    search_help_text = _("how the name begins")
    actions = (
        *pausing(
            lambda keys, using: cron_entries.pause(keys, using=using),
            lambda keys, using: cron_entries.resume(keys, using=using),
            paused=ngettext_lazy(
                "%(count)d entry is paused now.", "%(count)d entries are paused now.", "count"
            ),
            resumed=ngettext_lazy(
                "%(count)d entry goes on now.", "%(count)d entries go on now.", "count"
            ),
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find entries by how their name begins."""
        del request
        return queryset.filter(name__startswith=search_term.strip()), False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what can be said, and what is so; hidden arguments have no place in a form."""
        if obj is None:
            return SAID
        if self.has_change_permission(request, obj):
            return (*SAID, *FACTS)
        shown = {"args": "shown_args", "custom": "shown_custom"}
        if not self.has_args_permission(request):
            shown = dict.fromkeys(ARGUMENTS, "hidden")
        return tuple(dict.fromkeys(shown.get(name, name) for name in (*SAID, *FACTS)))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what nobody writes."""
        del request, obj
        return (*FACTS, "shown_args", "shown_custom", "hidden")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the project's zone."""
        return {
            "zone": settings.project("TIME_ZONE"),
            **super().get_changeform_initial_data(request),
        }

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who makes an entry pushes any job at any time."""
        return self._may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Entries of code are changed in the code; the form shows arguments."""
        ours = obj is None or obj.source == CronEntry.Source.PERSON
        return ours and self._may(request, "change") and self.has_args_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What code declares would come back."""
        ours = obj is None or obj.source == CronEntry.Source.PERSON or obj.gone_at is not None
        return ours and self._may(request, "delete")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's signature
        """Write it by the verb, which sets its next tick."""
        del request, form, change
        cron_entries.save(obj, using=settings.get().database)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete it by the verb."""
        del request
        cron_entries.remove([obj.pk], using=settings.get().database)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete them by the verb, which leaves alone what code declares."""
        del request
        keys = list(queryset.values_list("pk", flat=True))
        cron_entries.remove(keys, using=settings.get().database)

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Any:
        """Name the entries alone: their ticks go with them."""
        del request
        names = [str(entry) for entry in objs]
        return names, {self.opts.verbose_name_plural: len(names)}, set(), []

    @admin.display(description=_("not paused"), boolean=True)
    def working(self, entry: CronEntry) -> bool:
        """Whether it ticks."""
        return not entry.paused

    @admin.display(description=_("arguments"))
    def shown_args(self, entry: CronEntry) -> str:
        """The arguments, without what is secret."""
        return pretty(redaction.redact_args(entry.jobtype, json.loads(entry.args)).value)

    @admin.display(description=_("custom attributes"))
    def shown_custom(self, entry: CronEntry) -> str:
        """The custom attributes, without what is secret."""
        if not entry.custom:
            return "-"
        rules = redaction.rules_of(entry.jobtype)
        return pretty(redaction.redact(json.loads(entry.custom), rules).value)

    @admin.display(description=_("arguments"))
    def hidden(self, entry: CronEntry) -> str:
        """What stands in the place of the arguments."""
        del entry
        return str(_("hidden: the permission to see the arguments of jobs is needed"))

    def _may(self, request: HttpRequest, what: str) -> bool:
        user = request.user
        return user.has_perms([f"faktory_django.{what}_cronentry", "faktory_django.act_on_job"])
