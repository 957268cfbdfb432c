"""Why: why a job is not running, in plain words. Pure: what is known in, sentences out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import figures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from faktory_django.lifecycle.holders import Hold
    from faktory_django.lifecycle.limits import Wait
    from faktory_django.models import UniqueLock

    from .counts import Count
    from .serving import Service

# A job that could start and has not for so long is worth a word.
STRANGE_SECONDS: Final = 60
LATE: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence; grave says that somebody has to do something."""

    text: str
    grave: bool = False


def waiting(
    service: Service,
    ahead: Count | None,
    waited_seconds: float,
    others: Count | None = None,
    limit: Wait | None = None,
    key: str = "",
) -> list[Reason]:
    """Say why a job in a queue is not running; ahead is how many come before it.

    others is how many of these have another fairness key, of a job that has one; limit is what it
    waits for outside of its queue, key what that may be called here.
    """
    if limit is not None:
        return [*_limited(limit, key), *_unserved(service)]
    if ahead is None:
        return [Reason(_("It is on its way between its queue and a worker. Look again."))]
    found = [*_unserved(service), *_throttled(service)]
    if not found and service.full:
        found.append(Reason(_all_busy(service)))
    found.append(_place(service, ahead))
    if others is not None and others.number:
        found.append(_turns(others))
    if service.running and not service.paused and not service.full and not ahead.number:
        found.append(_soon(service, waited_seconds))
    return found


def scheduled(service: Service, due_at: datetime, now: datetime) -> list[Reason]:
    """Say why a scheduled job is not running."""
    if due_at > now:
        text = _('It is due in %(duration)s, and enters queue "%(queue)s" then.')
        return [Reason(text % _ahead(service, due_at - now)), *_unserved(service)]
    return [_overdue(service, due_at, now), *_unserved(service)]


def retrying(service: Service, due_at: datetime, now: datetime, attempts: int) -> list[Reason]:
    """Say why a job that failed is not running."""
    failed = ngettext("It failed once.", "It failed %(count)s times.", attempts) % {
        "count": figures.exact(attempts)
    }
    if due_at > now:
        text = _('Its next attempt is due in %(duration)s, in queue "%(queue)s".')
        next_one = Reason(text % _ahead(service, due_at - now))
    else:
        next_one = _overdue(service, due_at, now)
    counted = [Reason(failed)] if attempts else []
    return [*counted, next_one, *_unserved(service)]


def dead(attempts: int, retry: int, keep_days: int) -> list[Reason]:
    """Say why a job is dead; retry is how often it may be retried."""
    kept = Reason(
        _("It does nothing by itself any more. It is kept for %(days)s days after its death.")
        % {"days": figures.exact(keep_days)}
    )
    return [Reason(_death(attempts, retry), grave=True), kept]


def working(hold: Hold, now: datetime, *, reserve_for: int, silent_seconds: float) -> list[Reason]:
    """Say what a job that somebody has claimed is doing."""
    wish = [_cancelling(hold)] if hold.asked_at is not None else []
    return [
        _doing(hold, now),
        *wish,
        *_holder(hold, now, silent_seconds),
        *_limit(hold, now, reserve_for),
    ]


def _cancelling(hold: Hold) -> Reason:
    """Say that somebody has called it off."""
    if hold.kill_at is not None:
        return Reason(_("It was cancelled, and is ended by force when it does not stop in time."))
    if hold.expires_at is not None:
        return Reason(
            _("It was cancelled, but workers on the wire cannot be told: it will not be retried.")
        )
    return Reason(_("It was cancelled: it stops when it next looks whether it was."))


def expiring(at: datetime | None, now: datetime) -> Iterator[Reason]:
    """Say what it means for a job that does not run that it expires."""
    if at is None:
        return
    if at <= now:
        text = _("It expired %(duration)s ago: whoever fetches it throws it away.")
        yield Reason(text % {"duration": figures.duration((now - at).total_seconds())}, grave=True)
    else:
        text = _("If it has not started in %(duration)s, it expires and is thrown away.")
        yield Reason(text % {"duration": figures.duration((at - now).total_seconds())})


def locked(lock: UniqueLock | None, jid: str, now: datetime) -> Iterator[Reason]:
    """Say who holds the unique lock of a job."""
    if lock is None or lock.expires_at <= now:
        return
    left = {"duration": figures.duration((lock.expires_at - now).total_seconds()), "jid": lock.jid}
    if lock.jid == jid:
        text = _("It holds a unique lock, for %(duration)s at most: no other push of it is let in.")
    else:
        text = _(
            "Its unique lock is held by another job, %(jid)s, for %(duration)s at most. That does "
            "not keep this one from running."
        )
    yield Reason(text % left)


def _unserved(service: Service) -> Iterator[Reason]:
    """Say why nobody takes jobs from the queue, if so."""
    names = {"queue": service.queue}
    if service.paused:
        text = _('Queue "%(queue)s" is paused: workers take nothing from it until it is resumed.')
        yield Reason(text % names, grave=True)
    if service.running:
        return
    if service.quiet:
        text = _('The workers of queue "%(queue)s" are quiet: they take no new jobs.')
        yield Reason(text % names, grave=True)
    elif service.silent:
        text = _('The workers of queue "%(queue)s" have not been heard of lately.')
        yield Reason(text % names, grave=True)
    elif service.asking:
        yield Reason(_('A worker on the wire waits for jobs of queue "%(queue)s".') % names)
    elif service.wire:
        text = ngettext(
            'No Python worker serves queue "%(queue)s"; one worker on the wire may: it names its '
            "queues only when it asks for a job.",
            'No Python worker serves queue "%(queue)s"; %(count)s workers on the wire may: they '
            "name their queues only when they ask for a job.",
            service.wire,
        )
        yield Reason(text % {**names, "count": figures.exact(service.wire)})
    else:
        text = _(
            'No worker serves queue "%(queue)s". '
            "Start one: manage.py faktory_worker --queue %(queue)s"
        )
        yield Reason(text % names, grave=True)


def _throttled(service: Service) -> Iterator[Reason]:
    if service.permits is not None and service.taken >= service.permits:
        text = _('Queue "%(queue)s" is throttled: %(taken)s of %(permits)s permits are taken.')
        counts = {
            "taken": figures.exact(service.taken),
            "permits": figures.exact(service.permits),
        }
        yield Reason(text % {"queue": service.queue, **counts})
    if service.per_worker is not None:
        text = ngettext(
            'Queue "%(queue)s" is throttled: each process runs %(count)s of its jobs at a time.',
            'Queue "%(queue)s" is throttled: each process runs %(count)s of its jobs at a time.',
            service.per_worker,
        )
        count = figures.exact(service.per_worker)
        yield Reason(text % {"queue": service.queue, "count": count})


def _limited(limit: Wait, key: str) -> Iterator[Reason]:
    said = {
        "key": key,
        "taken": figures.exact(limit.taken),
        "allowed": figures.exact(limit.allowed),
    }
    if limit.per_seconds is None:
        text = _('It waits for the limit "%(key)s": %(taken)s of %(allowed)s slots are taken.')
        yield Reason(text % said)
    else:
        text = _(
            'It waits for the limit "%(key)s": %(taken)s of %(allowed)s jobs have begun in the '
            "last %(duration)s."
        )
        yield Reason(text % {**said, "duration": figures.duration(limit.per_seconds)})
    if limit.before:
        text = ngettext(
            "%(count)s job waits for it before this one.",
            "%(count)s jobs wait for it before this one.",
            limit.before,
        )
        yield Reason(text % {"count": figures.exact(limit.before)})


def _all_busy(service: Service) -> str:
    text = ngettext(
        'The only slot of the workers that serve queue "%(queue)s" is busy.',
        'All %(slots)s slots of the workers that serve queue "%(queue)s" are busy.',
        service.slots,
    )
    return text % {"slots": figures.exact(service.slots), "queue": service.queue}


def _place(service: Service, ahead: Count) -> Reason:
    names = {"queue": service.queue, "count": figures.exact(ahead.number)}
    if ahead.roughly:
        text = _('More than %(count)s jobs are before it in queue "%(queue)s".')
        return Reason(text % names)
    if not ahead.number:
        return Reason(_('It is the next one in queue "%(queue)s".') % names)
    text = ngettext(
        '%(count)s job is before it in queue "%(queue)s".',
        '%(count)s jobs are before it in queue "%(queue)s".',
        ahead.number,
    )
    return Reason(text % names)


def _turns(others: Count) -> Reason:
    text = ngettext(
        "Jobs with a fairness key take turns: %(count)s job of another key comes before it.",
        "Jobs with a fairness key take turns: %(count)s jobs of other keys come before it.",
        others.number,
    )
    if others.roughly:
        text = _(
            "Jobs with a fairness key take turns: more than %(count)s jobs of other keys come "
            "before it."
        )
    return Reason(text % {"count": figures.exact(others.number)})


def _soon(service: Service, waited_seconds: float) -> Reason:
    del service
    if waited_seconds < STRANGE_SECONDS:
        return Reason(_("A worker has room: it starts in a moment."))
    text = _(
        "Workers have room, and yet it has waited for %(duration)s: they may serve other queues "
        "first, or be stuck."
    )
    return Reason(text % {"duration": figures.duration(waited_seconds)}, grave=True)


def _ahead(service: Service, left: timedelta) -> dict[str, str]:
    return {"duration": figures.duration(left.total_seconds()), "queue": service.queue}


def _overdue(service: Service, due_at: datetime, now: datetime) -> Reason:
    late = {"duration": figures.duration((now - due_at).total_seconds())}
    if not service.upkeep:
        text = _(
            "It was due %(duration)s ago, and no worker or wire server of ours runs that would "
            "move it to its queue."
        )
        return Reason(text % late, grave=True)
    text = _("It was due %(duration)s ago and enters its queue in a moment.")
    return Reason(text % late, grave=now - due_at > LATE)


def _death(attempts: int, retry: int) -> str:
    counts = {"attempts": figures.exact(attempts), "retry": figures.exact(retry)}
    if not attempts:
        return _("Somebody killed it before it had failed.")
    if retry < 0:
        return _("It is dead after its first failure, as its option retry (-1) says.")
    if attempts > retry:
        text = ngettext(
            "It is dead after %(attempts)s attempt: no more was allowed.",
            "It is dead after %(attempts)s attempts: no more were allowed.",
            attempts,
        )
        return text % counts
    text = ngettext(
        "It is dead after %(attempts)s attempt, though %(retry)s retries were allowed: somebody "
        "killed it, or its error is one that is not retried.",
        "It is dead after %(attempts)s attempts, though %(retry)s retries were allowed: somebody "
        "killed it, or its error is one that is not retried.",
        attempts,
    )
    return text % counts


def _doing(hold: Hold, now: datetime) -> Reason:
    since = hold.started_at or (hold.claimed_at if hold.expires_at else None)
    who = hold.process or _("a client without a name")
    if since is None:
        text = _("%(process)s claimed it %(duration)s ago and has not started it yet.")
        since = hold.claimed_at
    else:
        text = _("It has been running on %(process)s for %(duration)s.")
    duration = figures.duration((now - since).total_seconds())
    return Reason(text % {"process": who, "duration": duration})


def _holder(hold: Hold, now: datetime, silent_seconds: float) -> Iterator[Reason]:
    if hold.state in {"quiet", "terminate"}:
        yield Reason(_("Its process takes no new jobs; it finishes this one."))
    if hold.expires_at is not None:
        return
    if hold.beat_at is None:
        text = _("Its process is not known any more: the job goes back to its queue in a moment.")
        yield Reason(text, grave=True)
    elif (silent := (now - hold.beat_at).total_seconds()) > silent_seconds:
        text = _(
            "Its process has been silent for %(duration)s: the job goes back to its queue in a "
            "moment."
        )
        yield Reason(text % {"duration": figures.duration(silent)}, grave=True)


def _limit(hold: Hold, now: datetime, reserve_for: int) -> Iterator[Reason]:
    if hold.expires_at is not None:
        left = (hold.expires_at - now).total_seconds()
        if left > 0:
            text = _("Its reservation ends in %(duration)s; it fails then.")
            yield Reason(text % {"duration": figures.duration(left)})
        else:
            yield Reason(_("Its reservation has run out: it fails in a moment."), grave=True)
    elif hold.started_at is not None:
        over = (now - hold.started_at).total_seconds() > reserve_for
        text = _("It may run for %(duration)s.")
        yield Reason(text % {"duration": figures.duration(reserve_for)}, grave=over)
