"""A page that pushes a job."""

from __future__ import annotations

from django.db import connection
from django.http import HttpRequest, HttpResponse

from tests.jobapp.jobs import record


def push(request: HttpRequest) -> HttpResponse:
    """Push a job and say whether a transaction is open around it."""
    record.perform_async(request.POST["path"], request.POST["text"])
    return HttpResponse("in a transaction" if connection.in_atomic_block else "in autocommit")
