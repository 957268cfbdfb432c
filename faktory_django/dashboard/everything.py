"""Everything: acts on all that matches a search, or on all of a list: counted first, in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.db import connections, transaction
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from faktory_django.lifecycle import matching, operations
from faktory_django.lifecycle.connection import database, execute
from faktory_django.lifecycle.matching import Source, Tally
from faktory_django.search import BadSearch, Query, quoted
from faktory_django.settings import check_queue_name

from . import access, counts, figures, listing, queue_table
from .outcome import Outcome, home, say, tell, tell_nothing
from .page import BEGIN, TIMEOUT_MS, render
from .record import user_name

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from .lists import Act

# More than this takes a typed number.
TYPED_ABOVE: Final = 1_000
# How long a request goes on before it shows how far it is.
SECONDS: Final = 1.0
# How many jobs are looked at to count those that match.
COUNTED: Final = 100_000


def act(request: HttpRequest, target: str, wanted: Act) -> HttpResponse:
    """Count what matches and ask; once a person has said yes, begin.

    What ends jobs for good takes the permission to flush.
    """
    action = "flush" if wanted.flush else "act"
    source, query, search = _asked(request, target, action)
    tally = _counted(source, query)
    number, roughly = _number(request, source, query, tally)
    if not number and not roughly:
        tell_nothing(request)
        return HttpResponseRedirect(home(request, target))
    typed = number > TYPED_ABOVE or roughly
    confirmed = "confirmed" in request.POST
    wrong = confirmed and typed and _digits(request.POST.get("typed", "")) != _said(request)
    if not confirmed or wrong:
        question = _question(wanted, query, number, tally, roughly=roughly)
        fields = _fields(request, target, wanted, number)
        return _ask(request, target, wanted, question, fields, typed=typed, wrong=wrong)
    total = tally.looked if tally.whole else max(tally.looked, _size(request, source))
    return _begin(request, source, wanted, search, total)


def _asked(request: HttpRequest, target: str, action: str) -> tuple[Source, Query, str]:
    """Return where, what, and the search as it is kept."""
    queue = request.POST.get("queue", "")
    if (target == "waiting") is not bool(queue) or (queue and check_queue_name(queue)):
        raise BadRequest(_("There is no such list."))
    access.check(request, action, queue or None)
    search = request.POST.get("q", "").strip()
    try:
        query = listing.understood(request, search)
    except BadSearch as wrong:
        raise BadRequest(listing.explained(wrong)) from wrong
    names = None if queue else access.queue_names(request, action)
    source = Source(target, queue, None if names is None else tuple(names))
    known = matching.settled(database(None), source, query)
    if known is not query:
        search = f"jid:{quoted(known.jid or '')}"
    return source, known, search


def _counted(source: Source, query: Query) -> Tally:
    connection = database(None)
    with transaction.atomic(using=connection.alias):
        execute(connection, BEGIN, {"timeout": str(TIMEOUT_MS)})
        tally = matching.count(connection, source, query, window=COUNTED)
        connections[connection.alias].set_rollback(True)
    return tally


def _number(request: HttpRequest, source: Source, query: Query, tally: Tally) -> tuple[int, bool]:
    """Return how many jobs are meant, and whether there may be more."""
    if tally.whole or query.terms or source.queues is not None:
        return tally.number, not tally.whole
    estimate = max(tally.number, _size(request, source))
    return round(estimate, 2 - len(str(estimate))), True


def _size(request: HttpRequest, source: Source) -> int:
    if source.queue:
        return queue_table.size(source.queue).number
    return counts.counts(request)[source.target].number


def _question(
    wanted: Act, query: Query, number: int, tally: Tally, *, roughly: bool
) -> tuple[str, str]:
    """Return the question, and what there is to say beside it."""
    if not roughly:
        return say(wanted.question, number), str(wanted.remark)
    least = _("%(looked)s jobs were looked at to count them. It will be done to all that match.")
    said = {"looked": figures.exact(tally.looked)}
    # without a search the planner has estimated them all
    mark = "≥" if query.terms else "≈"
    question = say(wanted.question, number, count=f"{mark} {figures.exact(number)}")
    return question, f"{least % said} {wanted.remark}".strip()


def _fields(
    request: HttpRequest, target: str, wanted: Act, number: int
) -> list[tuple[str, object]]:
    kept = [(name, request.POST.get(name, "")) for name in ("queue", "q")]
    said = [("target", target), ("all", wanted.name), ("said", number)]
    return [*said, *kept, ("next", home(request, target))]


def _ask(
    request: HttpRequest,
    target: str,
    wanted: Act,
    question: tuple[str, str],
    fields: list[tuple[str, Any]],
    *,
    typed: bool,
    wrong: bool,
) -> HttpResponse:
    context = {
        "title": wanted.label_all,
        "question": question[0],
        "remark": question[1],
        "search": request.POST.get("q", "").strip(),
        "fields": fields,
        "typed": figures.exact(int(dict(fields)["said"])) if typed else "",
        "wrong": wrong,
        "yes": wanted.yes,
        "back": home(request, target),
    }
    return render(request, "confirm.html", context, status=400 if wrong else 200)


def _begin(
    request: HttpRequest, source: Source, wanted: Act, search: str, total: int
) -> HttpResponse:
    connection = database(None)
    begun = operations.begin(
        connection, source, search, act=wanted.name, user=user_name(request), total=total
    )
    if operations.advance(connection, begun.pk, seconds=SECONDS):
        where = reverse("faktory:operation", args=[begun.pk])
        return HttpResponseRedirect(f"{where}?{urlencode({'next': home(request, source.target)})}")
    begun.audit.refresh_from_db(using=connection.alias)
    tell(request, wanted, Outcome(begun.audit.count, begun.audit.count))
    return HttpResponseRedirect(home(request, source.target))


def _said(request: HttpRequest) -> int:
    return _digits(request.POST.get("said", ""))


def _digits(text: str) -> int:
    """Return the number that a person has typed, however its digits are grouped; -1 for none."""
    digits = "".join(c for c in text[:40] if c.isdecimal())
    return int(digits) if digits else -1
