"""Job edit: a copy of a job, changed by a person, pushed as a job of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from faktory_django import payload, settings
from faktory_django.api.named import push_named
from faktory_django.api.options import MAX_JOBTYPE, MAX_PRIORITY, MAX_RESERVE_FOR, MAX_RETRY
from faktory_django.contents import line
from faktory_django.errors import FaktoryError
from faktory_django.lifecycle.connection import database

from . import access, job_rows
from .copying import Original, read_args, read_custom
from .page import page, render
from .record import record

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from faktory_django.api.storing import JobHandle

    from .job_rows import Row


class CopyForm(forms.Form):
    """What the copy shall be; args and custom are JSON."""

    jobtype = forms.CharField(label=gettext_lazy("Type"), max_length=MAX_JOBTYPE)
    args = forms.CharField(
        label=gettext_lazy("Arguments"), strip=False, widget=forms.Textarea({"rows": 10})
    )
    custom = forms.CharField(
        label=gettext_lazy("Custom attributes"),
        required=False,
        strip=False,
        widget=forms.Textarea({"rows": 3}),
    )
    queue = forms.CharField(label=gettext_lazy("Queue"), max_length=100)
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"), min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY
    )
    retry = forms.IntegerField(
        label=gettext_lazy("Retries allowed"), min_value=-1, max_value=MAX_RETRY
    )
    reserve_for = forms.IntegerField(
        label=gettext_lazy("Time limit of a run (s)"),
        min_value=60,
        max_value=MAX_RESERVE_FOR,
    )
    delay_seconds = forms.FloatField(
        label=gettext_lazy("Delay until its run (s)"), min_value=0, required=False
    )

    def __init__(self, *args: Any, original: Original, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.original = original

    def clean(self) -> dict[str, Any]:
        """Read the JSON of arguments and custom attributes."""
        found: dict[str, Any] = super().clean() or {}
        jobtype = found.get("jobtype", "")
        for name, read in (("args", read_args), ("custom", read_custom)):
            if name in found:
                try:
                    found[name] = read(self.original, jobtype, found[name])
                except ValidationError as wrong:
                    self.add_error(name, wrong)
        return found

    def push(self) -> JobHandle:
        """Push what the form says. Raises FaktoryError."""
        said = self.cleaned_data
        options = {name: said[name] for name in ("queue", "priority", "retry", "reserve_for")}
        backtrace = self.original.body.get("backtrace")
        if isinstance(backtrace, int) and 0 < backtrace <= 50:
            options["backtrace"] = backtrace
        return push_named(
            said["jobtype"],
            said["args"].args,
            said["args"].kwargs,
            options={**options, "custom": said["custom"]},
            delay_seconds=said["delay_seconds"] or 0.0,
            using=settings.get().database,
        )


@page("copy", methods=("GET", "HEAD", "POST"))
def job_edit(request: HttpRequest, jid: str) -> HttpResponse:
    """Show the form with what the job is; push what comes back, or say what is wrong with it."""
    row = _row(request, jid)
    for action in ("act", "args"):
        access.check(request, action, row.job.queue)
    try:
        original = Original.read(row.job.jobtype, row.job.body)
        initial = _initial(row, original)
    except ValidationError as wrong:
        return _show(request, row, None, problem=wrong.messages[0])
    if request.method != "POST":
        return _show(request, row, CopyForm(initial=initial, original=original))
    form = CopyForm(request.POST, original=original)
    handle = _pushed(request, form) if form.is_valid() else None
    if handle is None:
        return _show(request, row, form)
    messages.success(request, _("The copy was pushed. This is its page."))
    return HttpResponseRedirect(reverse("faktory:job", args=[handle.jid]))


def _row(request: HttpRequest, jid: str) -> Row:
    """Return the job that is meant of those with this jid, wherever it is."""
    rows = job_rows.rows(request, jid)
    if not rows:
        raise Http404(_("The job is not there any more. What you wrote is one page back."))
    meant = request.GET.get("place", ""), request.GET.get("key", "")
    # it may have moved on while somebody wrote
    return next((row for row in rows if (row.place, row.key) == meant), rows[0])


def _initial(row: Row, original: Original) -> dict[str, Any]:
    return {
        "jobtype": row.job.jobtype,
        "queue": row.job.queue,
        "args": original.shown_args(),
        "custom": original.shown_custom(),
        "priority": row.job.priority,
        "retry": payload.retry_of(row.job.body),
        "reserve_for": row.job.reserve_for,
        "delay_seconds": 0,
    }


def _pushed(request: HttpRequest, form: CopyForm) -> JobHandle | None:
    """Push, on the record; None when it was refused, which the form says then."""
    queue = form.cleaned_data["queue"]
    if not access.opens(request, queue, "act"):
        form.add_error("queue", _("You may not push into this queue."))
        return None
    try:
        with transaction.atomic(using=database(None).alias):
            handle = form.push()
            if handle:
                target = "scheduled" if form.cleaned_data["delay_seconds"] else "waiting"
                record(request, "push", target, what=handle.jid)
    except FaktoryError as wrong:
        form.add_error(None, str(wrong))
        return None
    if handle.outcome == "refused":
        text = _("Another job holds the unique lock, %(jid)s: nothing was stored.")
        form.add_error(None, text % {"jid": handle.existing or "-"})
        return None
    if not handle:
        form.add_error(None, _("A middleware stopped the push: nothing was stored."))
        return None
    return handle


def _show(
    request: HttpRequest, row: Row, form: CopyForm | None, *, problem: str = ""
) -> HttpResponse:
    context = {
        "title": _("Edit a copy"),
        "jid": row.job.jid,
        "jobtype": line(row.job.jobtype),
        "form": form,
        "problem": problem,
        "rules": row.contents.rules,
    }
    wrong = form is not None and form.is_bound
    return render(request, "job_edit.html", context, status=400 if wrong else 200)
