"""Listing: a list of jobs page by page, searched, with what can be done to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.core.exceptions import BadRequest, PermissionDenied
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from faktory_django.lifecycle import matching
from faktory_django.lifecycle.connection import database
from faktory_django.lifecycle.matching import Found, Place, Source
from faktory_django.search import MAX_CHARACTERS, MAX_TERMS, BadSearch, Query, parse

from . import access
from .lists import ALL
from .rows import Row, row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

PER_PAGE: Final = 50
WRONG: Final[dict[str, Any]] = {
    BadSearch.UNKNOWN: gettext_lazy(
        "“%(word)s” is nothing that can be searched. What can: type:, queue:, error:, args., tag:,"
        " label:, custom., outcome: and jid:"
    ),
    BadSearch.EMPTY: gettext_lazy("“%(word)s” does not say what to look for."),
    BadSearch.QUOTE: gettext_lazy("A quotation mark is missing at “%(word)s”."),
    BadSearch.PATH: gettext_lazy("“%(word)s”: only args and custom have parts after a dot."),
    BadSearch.LONG: gettext_lazy(
        "A search has at most %(characters)s characters; this one begins with “%(word)s”."
    ),
    BadSearch.MANY: gettext_lazy(
        "A search has at most %(terms)s parts; “%(word)s” is one too many."
    ),
    BadSearch.NUL: gettext_lazy("“%(word)s” has a character that no job can hold."),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of a list asks for; wrong says what cannot be understood of it."""

    search: str = ""
    query: Query = field(default_factory=Query)
    after: Place | None = None
    before: Place | None = None
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """Addresses of other pages, empty where there is none; further is for a look that goes on."""

    first: str = ""
    previous: str = ""
    next: str = ""
    further: str = ""


def asked(request: HttpRequest) -> Asked:
    """Read the address of a list. Raises BadRequest for a place that is none."""
    search = request.GET.get("q", "").strip()
    try:
        after, before = (_place(request.GET.get(name, "")) for name in ("after", "before"))
    except ValueError as wrong:
        raise BadRequest(_("There is no such page.")) from wrong
    try:
        query = understood(request, search)
    except BadSearch as wrong:
        return Asked(search, after=after, before=before, wrong=explained(wrong))
    return Asked(search, query, after, before)


def understood(request: HttpRequest, search: str) -> Query:
    """Return what a search asks for. Raises BadSearch, or PermissionDenied for hidden contents."""
    query = parse(search)
    if query.reads_contents and not access.may(request, "args"):
        raise PermissionDenied
    return query


def explained(wrong: BadSearch) -> str:
    """Return in words what is wrong with a search."""
    said = {"word": wrong.word, "characters": MAX_CHARACTERS, "terms": MAX_TERMS}
    return str(WRONG[wrong.why] % said)


def listing(request: HttpRequest, target: str, queue: str = "") -> dict[str, Any]:
    """Return the context of a list; three queries at most."""
    found_list, wanted = ALL[target], asked(request)
    source = Source(target, queue, None if queue else _visible(request))
    found = _found(source, wanted)
    may_see = access.may(request, "args") and (not queue or access.opens(request, queue, "args"))
    return {
        "list": found_list,
        "acts": _acts(request, target, queue, searched=bool(wanted.search)),
        "search": wanted.search,
        "wrong": wanted.wrong,
        "rows": _rows(request, found, wanted.search, may_see=may_see),
        "args": may_see,
        "looked": None if found.whole or not wanted.search else found.looked,
        "pages": _pages(wanted, found),
        "queue": queue,
        "here": request.get_full_path(),
    }


def _place(text: str) -> Place | None:
    return Place.read(text) if text else None


def _visible(request: HttpRequest) -> tuple[str, ...] | None:
    names = access.queue_names(request, "view")
    return None if names is None else tuple(names)


def _found(source: Source, wanted: Asked) -> Found:
    if wanted.wrong:
        return Found([], 0, whole=True, end=None)
    connection = database(None)
    query = matching.settled(connection, source, wanted.query)
    backwards = wanted.before is not None
    place = wanted.before if backwards else wanted.after
    try:
        found = matching.find(
            connection,
            source,
            query,
            after=place,
            backwards=backwards,
            limit=PER_PAGE,
            window=matching.WINDOW_OF_QUEUE if source.queue else matching.WINDOW,
        )
    except ValueError as wrong:
        raise BadRequest(_("There is no such page.")) from wrong
    return replace(found, entries=found.entries[::-1]) if backwards else found


def _rows(request: HttpRequest, found: Found, search: str, *, may_see: bool) -> list[Row]:
    return [
        row(entry, search, args=may_see and access.opens(request, entry.queue, "args"))
        for entry in found.entries
    ]


def _pages(wanted: Asked, found: Found) -> Pages:
    entries, start = found.entries, wanted.after or wanted.before
    first = _page(wanted) if start else ""
    if wanted.before is not None:
        before = None if found.whole else found.end
        after = entries[-1].place if entries else wanted.before
        return Pages(first, _page(wanted, before=before), _page(wanted, after=after))
    # what comes before an empty page comes before its place
    previous = _page(wanted, before=entries[0].place if entries else start) if start else ""
    more = "" if found.whole else _page(wanted, after=found.end)
    full = len(entries) == PER_PAGE
    return Pages(first, previous, more if full else "", "" if full else more)


def _page(wanted: Asked, **place: Place | None) -> str:
    if place and None in place.values():
        return ""
    said: Mapping[str, object] = {"q": wanted.search} if wanted.search else {}
    return f"?{urlencode({**said, **place})}"


def _acts(
    request: HttpRequest, target: str, queue: str, *, searched: bool
) -> list[tuple[Any, bool]]:
    """Return what this person may do here, and whether to everything that matches."""
    act, flush = (_may(request, action, queue) for action in ("act", "flush"))
    if not act:
        return []
    # all of a queue in front of itself is where it was
    pointless = "run_next" if queue and not searched else ""
    return [
        (each, (flush or not each.flush) and each.name != pointless)
        for each in ALL[target].acts.values()
    ]


def _may(request: HttpRequest, action: str, queue: str) -> bool:
    return access.may(request, action) and (not queue or access.opens(request, queue, action))
