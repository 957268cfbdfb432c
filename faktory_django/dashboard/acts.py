"""Acts: what a person does to jobs: those ticked at once, all that match after a question.

A verb changes only what is still where it was; the message says how many had moved on. Each act
leaves one audit entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpResponseRedirect
from django.utils.translation import gettext as _

from faktory_django.lifecycle import operations
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.matching_sql import QUEUES_OF

from . import access, everything
from .lists import LISTS
from .outcome import Outcome, home, say, tell
from .page import page, render
from .record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from .lists import Act

MAX_TICKED: Final = 200


@page("act", methods=("POST",))
def act(request: HttpRequest) -> HttpResponse:
    """Do what a button says: to the row it stands in, to ticked rows, or to all that match."""
    target = request.POST.get("target", "")
    if target not in LISTS:
        raise BadRequest(_("There is no such list."))
    for field in ("row", "act", "all"):
        if field in request.POST:
            name, _dot, key = request.POST[field].partition(".")
            wanted = LISTS[target].acts.get(name)
            if wanted is None:
                raise BadRequest(_("That cannot be done here."))
            if field == "all":
                return everything.act(request, target, wanted)
            keys = [key] if field == "row" else request.POST.getlist("ids")
            return _act_on(request, target, wanted, _ids(keys))
    raise BadRequest(_("Say what is to be done."))


def perform(request: HttpRequest, target: str, wanted: Act, ids: Sequence[int]) -> Outcome:
    """Do an act to jobs by the keys of their rows in a place, on the record.

    target is "scheduled", "retries", "dead" or "waiting"; wanted is one of LISTS[target].acts.
    Raises PermissionDenied when one is in a queue that this person may not act on.
    """
    access.check(request, "act")
    connection = database(None)
    with transaction.atomic(using=connection.alias):
        found = execute(connection, QUEUES_OF[target], {"ids": sorted(set(ids))})
        for queue in {queue for _id, queue, _jid in found}:
            access.check(request, "act", queue)
        here = [key for key, _queue, _jid in found]
        changed = operations.perform(wanted.name, target, here, using=connection.alias)
        what = found[0][2] if len(found) == 1 else ""
        record(request, wanted.name, target, what=what, count=changed)
    return Outcome(changed, len(set(ids)))


def _act_on(request: HttpRequest, target: str, wanted: Act, ids: Sequence[int]) -> HttpResponse:
    back_to = home(request, target)
    if not ids:
        messages.warning(request, _("Nothing was ticked, so nothing was done."))
        return HttpResponseRedirect(back_to)
    if wanted.flush and "confirmed" not in request.POST:
        return _confirm(request, target, wanted, ids)
    tell(request, wanted, perform(request, target, wanted, ids))
    return HttpResponseRedirect(back_to)


def _confirm(request: HttpRequest, target: str, wanted: Act, ids: Sequence[int]) -> HttpResponse:
    back_to = home(request, target)
    context = {
        "title": wanted.label,
        "question": say(wanted.question, len(ids)),
        "remark": wanted.remark,
        "fields": [
            ("target", target),
            ("act", wanted.name),
            *(("ids", str(key)) for key in ids),
            ("next", back_to),
        ],
        "yes": wanted.yes,
        "back": back_to,
    }
    return render(request, "confirm.html", context)


def _ids(texts: Sequence[str]) -> list[int]:
    if len(texts) > MAX_TICKED:
        raise BadRequest(_("That is more than a page holds."))
    found = {int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 19}
    if len(found) < len(set(texts)):
        raise BadRequest(_("There is no such job."))
    return sorted(found)
