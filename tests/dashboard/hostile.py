"""What an attacker puts into every field that a job, a worker or a queue can carry.

Whatever breaks out of its place makes an element, an attribute or an address that mentions MARK.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

from django.db import connection

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK: Final = "xss"
CORPUS: Final = (
    f"<{MARK}-a>",
    f"<script>{MARK}()</script>",
    f"</script><script src=//{MARK}.example></script>",
    f'"><img src=x onerror={MARK}()>',
    f"' onmouseover='{MARK}()' x='",
    f'" autofocus onfocus="{MARK}()',
    f"` onclick={MARK}() `",
    f"</title></textarea></style></svg><{MARK}-b>",
    f"--><{MARK}-c><!--",
    f"]]><{MARK}-d>",
    f"javascript:{MARK}()",
    f"data:text/html,<script>{MARK}()</script>",
    f"//{MARK}.example/",
    "{% load nothing %}{{ request.user.password }}{# " + MARK + " #}",
    f"\u202e<{MARK}-e>\u2066\u200b",
    f"\ud7ff\U0001f4a3\x01\x1b[31m<{MARK}-f>\r\n",
    f"&lt;{MARK}-g&gt;&#60;{MARK}-h&#62;",
    f"<svg/onload={MARK}()>",
    f'<a href="javascript:{MARK}()">x</a>',
    f"<{MARK}-i>" * 400,
)
# They lead to pages of the site, whatever the data is.
_ADDRESSES: Final = {"href", "src", "action", "formaction", "hx-get", "hx-post", "xlink:href"}
_OWN: Final = re.compile(r"/(?![/\\])|[?#]|$")

_INSERT: Final = """
INSERT INTO faktory_django_{table} (queue, jid, jobtype, reserve_for, body, failure, {at})
VALUES (%(queue)s, %(jid)s, %(jobtype)s, 60, %(body)s, %(failure)s, now())
RETURNING id
"""
_JOB: Final = _INSERT.format(table="job", at="enqueued_at")
_ROWS: Final = (
    _INSERT.format(table="scheduledjob", at="due_at"),
    _INSERT.format(table="retryjob", at="due_at"),
    _INSERT.format(table="deadjob", at="died_at"),
    "INSERT INTO faktory_django_queue (name) VALUES (%(queue)s)",
    "INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype, pushed, done,"
    " failed) SELECT s, date_trunc('day', now(), 'UTC'), %(queue)s, %(jobtype)s, 9, 5, 4"
    " FROM unnest(ARRAY[60, 86400]) AS s",
    "INSERT INTO faktory_django_process (wid, kind, hostname, pid, labels, queues, version,"
    " concurrency, state, started_at, beat_at, connections, running) SELECT %(wid)s || nr, kind,"
    " %(any)s, 1, ARRAY[%(any)s, %(any)s], ARRAY[%(queue)s], %(any)s, 1, state, now(), now(), 1,"
    " '[[' || %(job)s || ', 1]]' FROM (VALUES ('python', 'running', 1), ('wire', 'quiet', 2),"
    " ('server', 'terminate', 3)) AS p(kind, state, nr)",
    "WITH entry AS (INSERT INTO faktory_django_cronentry (name, source, jobtype, schedule, zone,"
    " queue, next_at, problem) VALUES (%(any)s, 'code', %(jobtype)s, %(any)s, %(any)s,"
    " %(queue)s, now(), %(any)s)"
    " RETURNING id) INSERT INTO faktory_django_crontick (entry_id, tick_at, jid, problem)"
    " SELECT id, now() - nr * interval '1 s', %(jid)s, p.problem FROM entry,"
    " (VALUES (1, ''), (2, %(any)s)) AS p(nr, problem)",
    "INSERT INTO faktory_django_uniquelock (key, jid, queue, jobtype, until, taken_at, expires_at)"
    " VALUES (%(any)s, %(jid)s, %(queue)s, %(jobtype)s, %(any)s, now(), now())",
    'WITH entry AS (INSERT INTO faktory_django_auditentry ("user", act, target, what, filter)'
    " VALUES (%(any)s, %(any)s, %(any)s, %(any)s, %(any)s) RETURNING id)"
    " INSERT INTO faktory_django_operation (audit_id, last, total, state, problem)"
    " SELECT id, 1, 1, 'failed', %(any)s FROM entry",
    "INSERT INTO faktory_django_finishedjob (bucket, jid, jobtype, queue, outcome, pushed,"
    " finished_at, attempts, wid, body, failure, result, mark, remark)"
    " SELECT 20991231, %(jid)s, %(jobtype)s, %(queue)s, o.outcome, %(any)s, now(), 1, %(wid)s,"
    " %(body)s, %(failure)s, o.result, o.mark, 'not JSON: ' || %(any)s"
    " FROM (VALUES ('done', %(body)s, NULL), (%(any)s, %(any)s, %(any)s),"
    " ('done', %(any)s, '{\"encrypted\":\"fernet\"}')) AS o(outcome, result, mark)",
    "INSERT INTO faktory_django_attempt (bucket, jid, jobtype, queue, at, number, fate, errtype,"
    " message, backtrace, wid) VALUES (20991231, %(jid)s, %(jobtype)s, %(queue)s, now(), 1,"
    " %(any)s, %(any)s, %(any)s, %(any)s, %(wid)s)",
    "INSERT INTO faktory_django_logline (bucket, jid, jobtype, queue, at, number, text)"
    " VALUES (20991231, %(jid)s, %(jobtype)s, %(queue)s, now(), 1, %(any)s)",
)
# Half of the jobs wait, half are in work.
_WAITS: Final = "INSERT INTO faktory_django_ready VALUES (%(queue)s, 0, %(job)s, %(job)s)"
_WORKS: Final = """
INSERT INTO faktory_django_lease (wid, claimed_at, ids, jid, server)
VALUES (%(wid)s || 2, now(), ARRAY[%(job)s], %(jid)s, %(any)s)
"""


def fill(corpus: Sequence[str] = CORPUS) -> None:
    """Put every text of the corpus into every field."""
    with connection.cursor() as cursor:
        for number, text in enumerate(corpus):
            params = _params(number, text)
            cursor.execute(_JOB, params)
            params["job"] = cursor.fetchone()[0]
            for sql in (*_ROWS, _WAITS if number % 2 else _WORKS):
                cursor.execute(sql, params)


def _params(number: int, text: str) -> dict[str, Any]:
    failure = {
        "failed_at": text,
        "next_at": text,
        "retry_count": text if number % 2 else 3,
        "message": text,
        "errtype": text,
        "backtrace": [text, f"{text} File"],
    }
    body = {
        "created_at": text,
        "custom": {text: text, "tags": [text]},
        "jid": text[:200],
        "jobtype": text,
        "queue": text,
        "at": text,
        "args": [text, {text: [text]}],
    }
    return {
        "queue": text,
        "jid": text[:200],
        "jobtype": text,
        "any": text,
        "wid": f"{number}{text[:60]}",
        "body": json.dumps(body, separators=(",", ":")),
        "failure": json.dumps(failure),
    }


@dataclass
class Breakout(HTMLParser):
    """Reads a page as a browser does, and notes what data has become more than text."""

    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element of ours, a handler, a script or a style in the page, a bad address."""
        names = dict(attrs)
        if MARK in tag or tag in {"iframe", "object", "embed", "base", "style"}:
            self.found.append(f"<{tag}>")
        if tag == "script" and "src" not in names:
            self.found.append("script in the page")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or MARK in name:
                self.found.append(f"<{tag} {name}>")
            elif name in _ADDRESSES and not _OWN.match(value or ""):
                self.found.append(f"<{tag} {name}={value}>"[:200])


def breakouts(page: str) -> list[str]:
    """Return what a page holds that data has made."""
    reader = Breakout()
    reader.feed(page)
    reader.close()
    return reader.found
