"""Cancelling: a person calls off the jobs of a jid, wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from faktory_django.lifecycle import cancel as verb
from faktory_django.lifecycle.connection import database

from . import access, job_rows
from .page import back, page
from .record import record, user_name

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SAID: Final[dict[str, Any]] = {
    verb.DONE: _("The job was cancelled."),
    verb.ASKED: _("The job runs, and was asked to stop."),
    verb.NOT_FOUND: _("The job has ended, so nothing was done."),
}


@page("act", methods=("POST",))
def cancel(request: HttpRequest, jid: str) -> HttpResponse:
    """Cancel the jobs of a jid, with `force` also what does not stop by itself."""
    for queue in job_rows.queues_of(jid):
        access.check(request, "act", queue)
    force = "force" in request.POST
    connection = database(None)
    with transaction.atomic(using=connection.alias):
        became = verb.cancel(
            [jid],
            by=user_name(request),
            kill_after=0.0 if force else None,
            using=connection.alias,
        )[jid]
        if became != verb.NOT_FOUND:
            record(request, "force" if force else "cancel", "job", what=jid)
    say = messages.warning if became == verb.NOT_FOUND else messages.success
    say(request, str(SAID[became]))
    return HttpResponseRedirect(back(request, "busy"))
