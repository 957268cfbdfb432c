"""A form that pushes a job, and what the jobs have fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.shortcuts import redirect, render

from faktory_django.models import DeadJob, Job, RetryJob, ScheduledJob

from .jobs import fetch_url
from .models import Page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class FetchForm(forms.Form):
    """What to fetch, and when."""

    url = forms.URLField(label="URL", assume_scheme="https")
    delay = forms.IntegerField(label="Delay in seconds", min_value=0, max_value=86_400, initial=0)


def index(request: HttpRequest) -> HttpResponse:
    """Show the form and the latest pages; push a job when the form is sent."""
    form = FetchForm(request.POST or None)
    if form.is_valid():
        fetch_url.perform_in(form.cleaned_data["delay"], form.cleaned_data["url"])
        return redirect("index")
    sets = {
        "in a queue or running": Job.objects.count(),
        "scheduled": ScheduledJob.objects.count(),
        "retries": RetryJob.objects.count(),
        "dead": DeadJob.objects.count(),
    }
    context = {"form": form, "pages": Page.objects.all()[:20], "sets": sets}
    return render(request, "pages/index.html", context)


def hello(request: HttpRequest) -> HttpResponse:
    """Show a page to fetch: the demo needs no internet."""
    return render(request, "pages/hello.html")
