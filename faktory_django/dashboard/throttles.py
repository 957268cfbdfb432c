"""Throttles: how many jobs of a queue, or with one key, may be in work; change and release them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from faktory_django.errors import InvalidOption, InvalidQueueName
from faktory_django.lifecycle import limits, throttles

from . import access, figures
from .limit_keys import shown_key
from .page import back, page, render
from .record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from faktory_django.lifecycle.limits import Busy
    from faktory_django.lifecycle.throttles import Throttled

MAX_THROTTLES: Final = 200
MAX_KEYS: Final = 50


@dataclass(frozen=True, slots=True)
class Row:
    """The throttle of one queue, and whether this person may change it."""

    throttle: Throttled
    may_act: bool

    @property
    def full(self) -> bool:
        """Whether all permits are taken."""
        permits = self.throttle.concurrency
        return permits is not None and self.throttle.taken >= permits

    @property
    def in_code(self) -> bool:
        """Whether the settings have the say over it."""
        return self.throttle.source == "code"

    @property
    def timeout(self) -> str:
        """After how many seconds a job no longer counts, as it stands in a form."""
        seconds = self.throttle.timeout_seconds
        return "" if seconds is None else f"{seconds:g}"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that jobs hold or wait for."""

    busy: Busy
    name: str
    may_act: bool

    @property
    def waiting(self) -> str:
        """How many jobs wait for it."""
        most = limits.COUNTED - 1
        if self.busy.waiting > most:
            return f"> {figures.exact(most)}"
        return figures.exact(self.busy.waiting)


@page(methods=("GET", "HEAD", "POST"))
def throttle_list(request: HttpRequest) -> HttpResponse:
    """Show the throttled queues and the busiest keys; do to one what its button says."""
    if request.method == "POST":
        return _act(request)
    may = access.may(request, "act")
    context = {
        "title": _("Throttles"),
        "live": True,
        "rows": _rows(request, may=may),
        "keys": _keys(request, may=may),
        "max_keys": MAX_KEYS,
        "may_add": may,
    }
    return render(request, "throttles.html", context)


def _rows(request: HttpRequest, *, may: bool) -> list[Row]:
    return [
        Row(one, may and access.opens(request, one.queue, "act"))
        for one in throttles.listed(limit=MAX_THROTTLES)
        if access.opens(request, one.queue, "view")
    ]


def _keys(request: HttpRequest, *, may: bool) -> Sequence[Key]:
    # a key is of jobs of any queue, so where queues have a hook nobody knows whose it is
    if access.queue_names(request, "view") is not None:
        return ()
    args = access.may(request, "args")
    found = limits.busiest(limit=MAX_KEYS)
    return [Key(one, shown_key(one.key, args=args), may and args) for one in found]


def _act(request: HttpRequest) -> HttpResponse:
    access.check(request, "act")
    acts = {"set": _set, "remove": _remove, "release": _release, "free": _free}
    wanted = next((name for name in acts if name in request.POST), "")
    if not wanted:
        raise BadRequest("say set, remove, release or free")
    acts[wanted](request, request.POST[wanted])
    return HttpResponseRedirect(back(request, "throttles"))


def _set(request: HttpRequest, queue: str) -> None:
    queue = queue or request.POST.get("queue", "").strip()
    access.check(request, "act", queue)
    try:
        said = {name: _number(request, name) for name in ("concurrency", "worker", "timeout")}
        throttles.throttle(queue, **said)
    except (InvalidOption, InvalidQueueName) as wrong:
        messages.error(request, str(wrong))
        return
    told = ", ".join(f"{name}={value:g}" for name, value in said.items() if value is not None)
    record(request, "throttle", "throttle", what=f"{queue}: {told}")
    messages.success(request, _('Queue "%(queue)s" is throttled.') % {"queue": queue})


def _number(request: HttpRequest, name: str) -> Any:
    text = request.POST.get(name, "").strip()
    if not text:
        return None
    try:
        return float(text) if name == "timeout" else int(text)
    except ValueError:
        raise InvalidOption(f"{name} must be a number, got {text!r:.100}") from None


def _remove(request: HttpRequest, queue: str) -> None:
    access.check(request, "act", queue)
    if not throttles.unthrottle(queue):
        messages.warning(request, _('Queue "%(queue)s" was not throttled.') % {"queue": queue})
        return
    record(request, "unthrottle", "throttle", what=queue)
    messages.success(request, _('Queue "%(queue)s" is not throttled any more.') % {"queue": queue})


def _release(request: HttpRequest, queue: str) -> None:
    access.check(request, "act", queue)
    freed = throttles.release_permits(queue)
    record(request, "release", "throttle", what=queue, count=freed)
    text = ngettext("%(count)s permit is free.", "%(count)s permits are free.", freed)
    messages.success(request, text % {"count": figures.exact(freed)})


def _free(request: HttpRequest, key: str) -> None:
    access.check(request, "args")
    if access.queue_names(request, "act") is not None:
        raise BadRequest("keys cannot be released where queues have a hook")
    freed = limits.release_key(key.replace("\0", ""))
    record(request, "release", "limit", what=key.partition(" ")[0], count=freed)
    text = ngettext("%(count)s slot is free.", "%(count)s slots are free.", freed)
    messages.success(request, text % {"count": figures.exact(freed)})
