"""Operations: acts of a person on everything that matches, done in parts until the end.

Each part is one transaction that acts, counts and remembers how far it came: whoever goes on
afterwards, the page or a chore of maintenance, begins there.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now

from faktory_django.models import AuditEntry, Operation
from faktory_django.search import parse

from . import cancel, matching, mutate
from .connection import execute
from .matching import Place, Source
from .mutate import LAST
from .run_next import run_next

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from faktory_django.search import Query

logger = logging.getLogger(__name__)

# A part acts on at most so many, and passes at most so many.
PART: Final = 1_000
PASSED: Final = 5_000

# The operation of an entry first: it names it.
TRIM: Final = """
WITH old AS MATERIALIZED (
    SELECT a.id
    FROM (
        SELECT a.id, a.at FROM faktory_django_auditentry a ORDER BY a.id LIMIT %(limit)s
    ) AS a
    WHERE a.at < clock_timestamp() - %(keep_days)s * interval '1 day'
), operations AS (
    DELETE FROM faktory_django_operation o
    WHERE o.audit_id = ANY(ARRAY(SELECT id FROM old))
)
DELETE FROM faktory_django_auditentry a
WHERE a.id = ANY(ARRAY(SELECT id FROM old))
"""
OLDEST: Final = """
SELECT o.id
FROM faktory_django_operation o
WHERE o.state = 'running'
ORDER BY o.id
LIMIT 1
"""


def perform(act: str, target: str, ids: Sequence[int], *, using: str) -> int:
    """Do an act of VERBS to entries of a list; return how many changed.

    What has moved on meanwhile is left alone.
    """
    return VERBS[act](target, ids, using=using)


def begin(
    connection: BaseDatabaseWrapper,
    source: Source,
    search: str,
    *,
    act: str,
    user: str,
    total: int,
) -> Operation:
    """Write an act on all that matches a search down, and on the record; nothing is done yet.

    Entries that come in from now on are left alone.
    """
    using = connection.alias
    with transaction.atomic(using=using):
        audit = AuditEntry.objects.using(using).create(
            user=user, act=act, target=source.target, what=source.queue, filter=search
        )
        last = execute(connection, LAST[source.target])[0][0]
        return Operation.objects.using(using).create(
            audit=audit,
            queue=source.queue,
            queues=None if source.queues is None else list(source.queues),
            last=last,
            total=total,
            state=Operation.State.RUNNING,
        )


def advance(connection: BaseDatabaseWrapper, key: int, *, seconds: float) -> bool:
    """Do parts of an operation for some seconds, one at least; return whether there is more.

    There is none for us when somebody else is at it, or when it was stopped.
    """
    until = time.monotonic() + seconds
    while _part(connection, key):
        if time.monotonic() >= until:
            return True
    return False


def advance_oldest(connection: BaseDatabaseWrapper, *, seconds: float) -> bool:
    """Go on with the oldest operation that is not at its end; return whether there is more."""
    found = execute(connection, OLDEST)
    return bool(found) and advance(connection, found[0][0], seconds=seconds)


def stop(connection: BaseDatabaseWrapper, key: int) -> bool:
    """Leave the rest of an operation undone; return whether there was one."""
    return _end(connection, key, Operation.State.STOPPED)


def trim(connection: BaseDatabaseWrapper, *, keep_days: int, limit: int = 1_000) -> None:
    """Delete what is on record for longer than keep_days, a bounded number at a time."""
    execute(connection, TRIM, {"keep_days": keep_days, "limit": limit})


def _part(connection: BaseDatabaseWrapper, key: int) -> bool:
    try:
        with transaction.atomic(using=connection.alias):
            running = Operation.objects.using(connection.alias).filter(pk=key, state="running")
            held = running.select_for_update(skip_locked=True, of=("self",))
            operation = held.select_related("audit").first()
            return operation is not None and _advanced(connection, operation)
    except (OperationalError, InterfaceError):
        raise  # the database will be back
    except Exception as wrong:
        # It would fail again at the same place: a person has to look.
        logger.exception("operation %d failed", key)
        _end(connection, key, Operation.State.FAILED, f"{type(wrong).__name__}: {wrong}"[:1_000])
        return False


def _advanced(connection: BaseDatabaseWrapper, operation: Operation) -> bool:
    found = _found(connection, operation, parse(operation.audit.filter))
    ids = [entry.id for entry in found.entries]
    changed = 0
    if ids:
        audit = operation.audit
        changed = perform(audit.act, audit.target, ids, using=connection.alias)
    _remember(connection, operation, found, changed)
    return not found.whole


def _found(connection: BaseDatabaseWrapper, operation: Operation, query: Query) -> matching.Found:
    allowed = None if operation.queues is None else tuple(operation.queues)
    source = Source(operation.audit.target, operation.queue, allowed, operation.last)
    after = Place.read(operation.after) if operation.after else None
    return matching.find(
        connection, source, query, after=after, limit=PART, window=PASSED, brief=True
    )


def _remember(
    connection: BaseDatabaseWrapper, operation: Operation, found: matching.Found, changed: int
) -> None:
    entries = AuditEntry.objects.using(connection.alias).filter(pk=operation.audit_id)
    entries.update(count=F("count") + changed)
    news: dict[str, Any] = {"looked": F("looked") + found.looked}
    if found.end is not None:
        news["after"] = str(found.end)
    if found.whole:
        news |= {"state": Operation.State.DONE, "ended_at": Now()}
    Operation.objects.using(connection.alias).filter(pk=operation.pk).update(**news)


def _end(connection: BaseDatabaseWrapper, key: int, state: str, problem: str = "") -> bool:
    running = Operation.objects.using(connection.alias).filter(pk=key, state="running")
    return bool(running.update(state=state, ended_at=Now(), problem=problem))


VERBS: Final[dict[str, Callable[..., int]]] = {
    "requeue": mutate.requeue,
    "run_next": run_next,
    "kill": mutate.kill,
    "cancel": cancel.cancel_in,
    "discard": mutate.discard,
}
