"""Acts: what an operator does to selected rows, by verbs of the life cycle, on the record.

A verb changes only what is still in the state it expects; the message says how many had moved on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from faktory_django import settings

from .window import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from django.db.models import Model, QuerySet
    from django.http import HttpRequest, HttpResponse

    from .operator import OperatorAdmin

    Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]

AT_A_TIME: Final = 500
MAX_LOGGED: Final = 100
MAX_LISTED: Final = 20

MOVED_ON: Final = ngettext_lazy(
    "%(count)d had moved on and is untouched.",
    "%(count)d had moved on and are untouched.",
    "count",
)
AS_IT_WAS: Final = ngettext_lazy("%(count)d was so already.", "%(count)d were so already.", "count")


def on(verb: Callable[..., int], target: str) -> Callable[[Sequence[Any], str], int]:
    """Return a verb for the rows of one place, as an Act wants it."""
    return lambda ids, using: verb(target, ids, using=using)


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do to selected rows.

    verb takes their keys and the alias; changeable are those that it can change; ends says
    that a row is gone from its list afterwards. With a question, a person confirms first.
    """

    name: str
    label: Any
    verb: Callable[[Sequence[Any], str], object]
    done: Any
    untouched: Any = MOVED_ON
    permission: str = "act"
    question: Any = None
    ends: bool = True
    changeable: Callable[[QuerySet[Any]], QuerySet[Any]] = lambda rows: rows


def action(act: Act) -> Action:
    """Return the admin's action of an act."""

    def run(
        model_admin: OperatorAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        check(model_admin, request, act.permission)
        if act.question is not None and not confirmed(request):
            return confirm(model_admin, request, queryset, act.label, act.question)
        keys = selected(queryset)
        asked = len(keys) if _across(request) else len(_posted(request))
        changed = _perform(act, model_admin, request, keys)
        tell(model_admin, request, act.done, changed, messages.SUCCESS)
        tell(model_admin, request, act.untouched, asked - changed, messages.WARNING)
        return None

    run.__name__ = act.name
    return admin.action(run, permissions=[act.permission], description=act.label)


def pausing(
    pause: Callable[[Sequence[Any], str], object],
    resume: Callable[[Sequence[Any], str], object],
    *,
    paused: Any,
    resumed: Any,
) -> tuple[Action, Action]:
    """Return the two actions on rows that have a column paused, with what is said afterwards."""
    going = Act(
        "pause",
        _("Pause"),
        pause,
        paused,
        untouched=AS_IT_WAS,
        ends=False,
        changeable=lambda rows: rows.filter(paused=False),
    )
    resting = Act(
        "resume",
        _("Resume"),
        resume,
        resumed,
        untouched=AS_IT_WAS,
        ends=False,
        changeable=lambda rows: rows.filter(paused=True),
    )
    return action(going), action(resting)


def confirmed(request: HttpRequest) -> bool:
    """Return whether a person has said yes to the question."""
    return "confirmed" in request.POST


def selected(queryset: QuerySet[Any]) -> list[Any]:
    """Return the keys of the selected rows; "all" ends where the list does."""
    return list(queryset.values_list("pk", flat=True)[:WINDOW])


def confirm(
    model_admin: OperatorAdmin,
    request: HttpRequest,
    queryset: QuerySet[Any],
    label: Any,
    question: Any,
) -> TemplateResponse:
    """Return the page that says what will be done; it sends the same form again."""
    count = queryset[: WINDOW + 1].count()
    fields = [(k, v) for k, values in request.POST.lists() for v in values]
    request.current_app = model_admin.admin_site.name
    context = {
        **model_admin.admin_site.each_context(request),
        "title": label,
        "opts": model_admin.opts,
        "question": question % {"count": min(count, WINDOW)},
        "objects": [str(row) for row in queryset[:MAX_LISTED]],
        "more": count > MAX_LISTED,
        "fields": [(k, v) for k, v in fields if k != "csrfmiddlewaretoken"],
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "admin/faktory_django/confirm.html", context)


def tell(
    model_admin: OperatorAdmin, request: HttpRequest, text: Any, count: int, level: int
) -> None:
    """Show a sentence with a count, unless it is 0."""
    if count > 0:
        model_admin.message_user(request, text % {"count": count}, level)


def record(request: HttpRequest, rows: Iterable[Any], message: object, *, ended: bool) -> None:
    """Write one entry into the admin's log for each row.

    Rows that are gone are logged as deleted, so that the log does not link to them.
    """
    LogEntry.objects.log_actions(
        user_id=_user(request),
        queryset=rows,
        action_flag=DELETION if ended else CHANGE,
        change_message=str(message),
    )


def check(model_admin: OperatorAdmin, request: HttpRequest, permission: str) -> None:
    """Look again whether this person may do it. Raises PermissionDenied."""
    if not getattr(model_admin, f"has_{permission}_permission")(request):
        raise PermissionDenied


def _user(request: HttpRequest) -> int | str:
    # only who has signed in has permissions
    key: int | str = request.user.pk  # type: ignore[assignment]
    return key


def _posted(request: HttpRequest) -> set[str]:
    return set(request.POST.getlist(ACTION_CHECKBOX_NAME))


def _across(request: HttpRequest) -> bool:
    return request.POST.get("select_across") == "1"


def _perform(
    act: Act, model_admin: OperatorAdmin, request: HttpRequest, keys: Sequence[Any]
) -> int:
    changed = 0
    try:
        for some in _batches(keys):
            with transaction.atomic(using=settings.get().database):
                rows = _changed(act, model_admin.model, some)
                if len(keys) <= MAX_LOGGED:
                    record(request, rows, act.label, ended=act.ends)
            changed += len(rows)
    finally:
        # what was done before an error is on the record too
        if len(keys) > MAX_LOGGED:
            _summarise(act, model_admin, request, changed, len(keys))
    return changed


def _batches(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(keys), AT_A_TIME):
        yield keys[start : start + AT_A_TIME]


def _changed(act: Act, model: type[Model], keys: Sequence[Any]) -> list[Any]:
    # Locked for as long as the verb takes, so that exactly these rows can be recorded. What
    # somebody else is changing is skipped, as what has moved on.
    using = settings.get().database
    rows = model._default_manager.using(using).filter(pk__in=keys).order_by("pk")
    brief = [f.name for f in model._meta.fields if f.name not in {"body", "failure"}]
    locked = list(act.changeable(rows.select_for_update(skip_locked=True)).only(*brief))
    act.verb([row.pk for row in locked], using)
    if not act.ends:
        return locked
    left = set(rows.filter(pk__in=[row.pk for row in locked]).values_list("pk", flat=True))
    return [row for row in locked if row.pk not in left]


def _summarise(
    act: Act, model_admin: OperatorAdmin, request: HttpRequest, changed: int, asked: int
) -> None:
    meta = model_admin.opts
    message = _("%(act)s: %(changed)d of %(asked)d; filter: %(filter)s") % {
        "act": act.label,
        "changed": changed,
        "asked": asked,
        "filter": request.GET.urlencode() or "-",
    }
    LogEntry.objects.create(
        user_id=_user(request),
        content_type_id=ContentType.objects.get_for_model(model_admin.model).pk,
        object_repr=f"{changed} {meta.verbose_name_plural}"[:200],
        action_flag=DELETION if act.ends else CHANGE,
        change_message=message,
    )
