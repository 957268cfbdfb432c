"""Reencrypt: the tokens of jobs that wait in a set are made anew with the newest key.

A row is changed only while it is as it was read. Jobs in queues and in work are never rewritten:
they keep their token until they end, and are only counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from faktory_django import encryption, payload
from faktory_django.errors import EncryptionNotReady, UnreadableArguments

from .connection import database, execute
from .mutate import LAST
from .places import PLACES, SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITING: Final = "waiting"
MAX_NAMED: Final = 100

# By key, past a bounded number of rows, whatever is in them.
_PAGE: Final = """
SELECT s.id, s.jid, s.jobtype, CASE WHEN strpos(s.body, %(word)s) > 0 THEN s.body END
FROM TABLE_OF_SET s
WHERE s.id > %(after)s AND s.id <= %(last)s
ORDER BY s.id
LIMIT %(limit)s
"""
# What another holds is on its way elsewhere: it is not waited for. What has changed since it was
# read is left alone.
_REPLACE: Final = """
WITH given AS MATERIALIZED (
    SELECT *
    FROM unnest(%(ids)b::bigint[], %(olds)b::text[], %(news)b::text[]) AS g(id, old, new)
), held AS MATERIALIZED (
    SELECT s.id, g.new
    FROM TABLE_OF_SET s
    JOIN given g ON g.id = s.id AND g.old = s.body
    ORDER BY s.id
    FOR UPDATE OF s SKIP LOCKED
), changed AS (
    UPDATE TABLE_OF_SET s
    SET body = h.new
    FROM held h
    WHERE s.id = h.id
    RETURNING 1
)
SELECT count(*)
FROM changed
"""
PAGE: Final = {name: _PAGE.replace("TABLE_OF_SET", table) for name, table in PLACES.items()}
REPLACE: Final = {name: _REPLACE.replace("TABLE_OF_SET", table) for name, table in SETS.items()}


class Row(NamedTuple):
    """A job as it was read; body is None when it cannot be encrypted."""

    id: int
    jid: str
    jobtype: str
    body: str | None


@dataclass(slots=True)
class Tally:
    """What was found in one place: jobs of the newest key, of older ones, and unreadable ones.

    changed counts those of older keys that are of the newest now; named are the first unreadable.
    """

    newest: int = 0
    older: int = 0
    changed: int = 0
    unreadable: int = 0
    named: list[str] = field(default_factory=list)

    def renewed(self, row: Row) -> str | None:
        """Count a job; return its body under the newest key when that is another one."""
        try:
            found = encryption.renewed(row.body) if row.body else None
        except UnreadableArguments:
            self.unreadable += 1
            if len(self.named) < MAX_NAMED:
                self.named.append(f"{row.jobtype} {row.jid}")
            return None
        if found is None:
            return None
        self.older += found.changed
        self.newest += not found.changed
        return found.body if found.changed else None


def reencrypt(target: str, *, batch: int, dry_run: bool = False, using: str | None = None) -> Tally:
    """Change the jobs of "scheduled", "retries" or "dead", a batch a transaction; count them.

    Jobs in queues and in work ("waiting") are only counted, as all are by a dry run. What comes in
    meanwhile is left alone. Raises EncryptionNotReady without a key.
    """
    if lack := encryption.lack():
        raise EncryptionNotReady(lack)
    tally = Tally()
    for rows in _pages(target, batch, using):
        stale = [(row.id, row.body, new) for row in rows if (new := tally.renewed(row))]
        if stale and target != WAITING and not dry_run:
            ids, olds, news = (list(column) for column in zip(*stale, strict=True))
            params = {"ids": ids, "olds": olds, "news": news}
            tally.changed += execute(database(using), REPLACE[target], params)[0][0]
    return tally


def _pages(target: str, batch: int, using: str | None) -> Iterator[list[Row]]:
    connection = database(using)
    params = {
        "last": execute(connection, LAST[target])[0][0],
        "word": f'"{payload.ENCRYPTED}"',
        "limit": batch,
    }
    after = 0
    while rows := execute(connection, PAGE[target], params | {"after": after}):
        yield [Row(*row) for row in rows]
        after = rows[-1][0]
