"""Lists: the places in which jobs wait, what they are called, and what a person can do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy, pgettext_lazy


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do to jobs: on its button, as a question, and when it is done.

    Texts with a count are forms for one and for many. flush says that it ends jobs for good:
    on everything that matches it takes the permission for that.
    """

    name: str
    label: Any
    label_all: Any
    question: Any
    done: Any
    yes: Any
    remark: Any = ""
    flush: bool = False


@dataclass(frozen=True, slots=True)
class List:
    """One place; target is what verbs call it, main the act that its rows offer."""

    target: str
    title: Any
    at: Any
    empty: Any
    acts: dict[str, Act]
    main: str
    failed: bool = False


_ENQUEUED: Final = ngettext_lazy(
    "%(count)s job is in its queue now.", "%(count)s jobs are in their queues now.", "number"
)
_KILL: Final = Act(
    "kill",
    _("Kill"),
    _("Kill all"),
    ngettext_lazy(
        "%(count)s job will be moved to the dead.",
        "%(count)s jobs will be moved to the dead.",
        "number",
    ),
    ngettext_lazy("%(count)s job is dead now.", "%(count)s jobs are dead now.", "number"),
    _("Yes, kill them"),
    _("They will not run, and can be retried from there."),
)
_DISCARD: Final = Act(
    "discard",
    _("Discard"),
    _("Discard all"),
    ngettext_lazy(
        "%(count)s job will be thrown away.", "%(count)s jobs will be thrown away.", "number"
    ),
    ngettext_lazy("%(count)s job was thrown away.", "%(count)s jobs were thrown away.", "number"),
    _("Yes, discard them"),
    _("What is discarded cannot be brought back."),
    flush=True,
)
_CANCEL: Final = Act(
    "cancel",
    pgettext_lazy("call a job off", "Cancel"),
    pgettext_lazy("call jobs off", "Cancel all"),
    ngettext_lazy(
        "%(count)s job will be cancelled.", "%(count)s jobs will be cancelled.", "number"
    ),
    ngettext_lazy("%(count)s job was cancelled.", "%(count)s jobs were cancelled.", "number"),
    _("Yes, cancel them"),
    _("What is cancelled cannot be brought back. What has begun meanwhile is asked to stop."),
    flush=True,
)
_RUN_NEXT: Final = Act(
    "run_next",
    pgettext_lazy("put a job in front of its queue", "Run now"),
    pgettext_lazy("put jobs in front of their queues", "Run all now"),
    ngettext_lazy(
        "%(count)s job will be put in front of its queue.",
        "%(count)s jobs will be put in front of their queues.",
        "number",
    ),
    ngettext_lazy(
        "%(count)s job is in front of its queue now.",
        "%(count)s jobs are in front of their queues now.",
        "number",
    ),
    _("Yes, run them now"),
    _("They run before all others, whatever their priority."),
)


def _requeue(label: Any, label_all: Any, yes: Any) -> Act:
    question = ngettext_lazy(
        "%(count)s job will be put at the end of its queue.",
        "%(count)s jobs will be put at the end of their queues.",
        "number",
    )
    return Act("requeue", label, label_all, question, _ENQUEUED, yes)


def _acts(*acts: Act) -> dict[str, Act]:
    return {act.name: act for act in acts}


_RETRY: Final = _requeue(_("Retry now"), _("Retry all"), _("Yes, retry them"))
_ADD: Final = _requeue(_("Add to queue"), _("Add all to queue"), _("Yes, add them"))

LISTS: Final = {
    "retries": List(
        "retries",
        _("Retries"),
        _("Next retry"),
        _("No retries. A job that fails waits here for its next attempt."),
        _acts(_RETRY, _KILL, _CANCEL, _DISCARD),
        "requeue",
        failed=True,
    ),
    "scheduled": List(
        "scheduled",
        _("Scheduled"),
        _("When"),
        _("Nothing is scheduled. A job that is pushed for a later time waits here for it."),
        _acts(_ADD, _RUN_NEXT, _KILL, _CANCEL, _DISCARD),
        "requeue",
    ),
    "dead": List(
        "dead",
        _("Dead"),
        _("Died"),
        _("No dead jobs. A job that has used up its retries is kept here until you look at it."),
        _acts(_RETRY, _DISCARD),
        "requeue",
        failed=True,
    ),
    "waiting": List(
        "waiting",
        pgettext_lazy("jobs in a queue", "Waiting"),
        _("Waits since"),
        _("Nothing waits in this queue. What is pushed into it is here until a worker takes it."),
        _acts(_RUN_NEXT, _KILL, _CANCEL, _DISCARD),
        "run_next",
    ),
}

# What nobody acts on any more.
FINISHED: Final = List(
    "finished",
    pgettext_lazy("jobs that have ended", "History"),
    pgettext_lazy("of a job", "Ended"),
    _(
        "Nothing is kept of jobs that have ended: set HISTORY_DAYS, or say @job(history=7) or "
        "@job(keep_result=True)."
    ),
    {},
    "",
)
ALL: Final = {**LISTS, "finished": FINISHED}
