"""Contents: what a job carries, made readable. All of it is hostile text, and is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.contrib.admin.utils import display_for_value
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from faktory_django.contents import Contents, attempts, cut, line, loads

from .operator import OperatorAdmin

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from django.http import HttpRequest

    from faktory_django.models.job import Payload

LONG_LINES: Final = 20
MAX_LINE: Final = 100
MAX_JID: Final = 12


class ContentsAdmin(OperatorAdmin):
    """The page of a job: facts, arguments, failure, custom."""

    search_fields = ("jid",)
    search_help_text = _("the whole jid")
    facts: tuple[str | tuple[str, ...], ...] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find jobs by their whole jid, which an index has."""
        del request
        jid = search_term.strip()
        return (queryset.filter(jid=jid) if jid else queryset), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what there is to see, long arguments folded."""
        contents = Contents.of(obj)
        fieldsets: list[Any] = [(None, {"fields": self.facts})]
        if obj.failure:
            fields = ("error_class", "error", "failed_at", "attempts", "backtrace")
            fieldsets.append((_("Failure"), {"fields": fields}))
        if not self.has_args_permission(request):
            fieldsets.append((_("Arguments"), {"fields": ("hidden",)}))
            return fieldsets
        fieldsets.append((_("Arguments"), _folded("args", contents.args)))
        if contents.custom:
            fieldsets.append((_("Custom"), _folded("custom", contents.custom)))
        return fieldsets

    @admin.display(description=_("jid"))
    def short_jid(self, job: Payload) -> str:
        """The beginning of the jid; the whole one is its title."""
        if len(job.jid) <= MAX_JID:
            return job.jid or "-"
        return format_html('<span title="{}">{}…</span>', job.jid, job.jid[:MAX_JID])

    @admin.display(description=_("pushed"))
    def pushed_at(self, job: Payload) -> str:
        """When the job was pushed."""
        return shown(Contents.of(job).pushed_at)

    @admin.display(description=_("retries allowed"))
    def retry(self, job: Payload) -> str:
        """How often it may be retried, when it says so."""
        found = Contents.of(job).facts.get("retry")
        return shown(found if isinstance(found, int) else None)

    @admin.display(description=_("arguments"))
    def args(self, job: Payload) -> str:
        """The arguments, pretty-printed."""
        return _block(Contents.of(job).args)

    @admin.display(description=_("custom"))
    def custom(self, job: Payload) -> str:
        """What producer and middleware added."""
        return _block(Contents.of(job).custom)

    @admin.display(description=_("arguments"))
    def hidden(self, job: Payload) -> str:
        """What stands in the place of the arguments."""
        del job
        return str(_("hidden: the permission to see the arguments of jobs is needed"))

    @admin.display(description=_("error"))
    def error_class(self, job: Payload) -> str:
        """The class of the latest error."""
        return cut(str(Contents.of(job).failure.get("errtype") or ""))

    @admin.display(description=_("message"))
    def error(self, job: Payload) -> str:
        """The whole message of the latest error."""
        return cut(str(Contents.of(job).failure.get("message") or ""))

    @admin.display(description=_("error"))
    def error_line(self, job: Payload) -> str:
        """The class and the message of the latest error, on one short line."""
        failure = loads(job.failure)
        parts = filter(None, (line(failure.get(k)) for k in ("errtype", "message")))
        return Truncator(": ".join(parts)).chars(MAX_LINE)

    @admin.display(description=_("failures"))
    def attempts(self, job: Payload) -> str:
        """How many runs of it have failed."""
        return shown(attempts(loads(job.failure)) or None)

    @admin.display(description=_("first failure"))
    def failed_at(self, job: Payload) -> str:
        """When it failed for the first time."""
        return shown(Contents.of(job).failed_at)

    @admin.display(description=_("backtrace"))
    def backtrace(self, job: Payload) -> str:
        """The backtrace of the latest error."""
        lines = Contents.of(job).backtrace
        return _block("\n".join(lines)) if lines else ""


def shown(value: datetime | timedelta | int | None) -> str:
    """Return a value as Django's lists show it: on the page of a row it would not format it."""
    return str(display_for_value(value, "-"))


def _folded(name: str, text: str) -> dict[str, Any]:
    long = text.count("\n") >= LONG_LINES or len(text) > LONG_LINES * 80
    return {"fields": (name,), "classes": ("collapse",) if long else ()}


def _block(text: str) -> str:
    return format_html('<pre class="faktory-text">{}</pre>', cut(text))
