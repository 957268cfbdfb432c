"""The statements of matching, put together from constants; values travel as parameters."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .lanes import FAIR_RANK, FIRST_RANK, LIMITED_RANK
from .partitions import FINISHED
from .places import PLACES, SETS

if TYPE_CHECKING:
    from faktory_django.search import Query, Term

# What has a time: the window is the head of an index, read in its order.
_SET = """
SELECT row_number() OVER (ORDER BY h.major {way}, h.minor {way}) AS number, h.*
FROM (
    SELECT s.{at} AS major, s.id AS minor{columns}
    FROM {table} s
    WHERE (s.{at}, s.id) {beyond} (%(major)s::timestamptz, %(minor)s::bigint){jid}
    ORDER BY s.{at} {way}, s.id {way}
    LIMIT %(window)s
) AS h
"""
_COLUMNS = """, s.id, s.{at} AS at, s.queue, s.priority, s.jid, s.jobtype, s.enqueued_at,
        s.body, s.failure, {none}"""
_COLUMNS_FINISHED = """, s.id, s.finished_at AS at, s.queue, 0::smallint AS priority, s.jid,
        s.jobtype, s.enqueued_at, s.body, s.failure, s.outcome, s.run_seconds, s.attempts"""
# What only finished jobs have.
_NONE = "''::text AS outcome, NULL::float8 AS run_seconds, 0 AS attempts"

# Where a lane stands among the others of its queue: twice its rank, for there is none between
# that of the plain jobs and the next.
_MAJOR = f"(CASE v.rank WHEN {FAIR_RANK} THEN -1 ELSE 2 * v.rank END)::smallint"
# What waits: lane by lane, the highest rank first, each from the head of the index.
# The lane of jobs that take turns comes after that of the plain ones of priority 0.
_LANES = """
SELECT row_number() OVER (ORDER BY l.major {down}, r.pos {up}) AS number,
    l.major, r.pos AS minor, r.job_id
FROM (
    SELECT 0::smallint AS rank, 0::smallint AS major
    UNION
    SELECT v.rank, {major} FROM faktory_django_level v WHERE v.queue = %(queue)s
    UNION
    SELECT {limited}::smallint, (2 * {limited})::smallint
) AS l
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.major = %(major)s::smallint THEN %(minor)s::bigint ELSE {nowhere} END AS pos
) AS edge
CROSS JOIN LATERAL (
    (
        SELECT r.pos, r.job_id
        FROM faktory_django_ready r
        WHERE r.queue = %(queue)s AND r.rank = l.rank AND r.pos {beyond} edge.pos
        ORDER BY r.pos {up}
        LIMIT %(window)s
    )
    UNION ALL
    (
        SELECT w.job_id, w.job_id
        FROM faktory_django_limitedjob w
        WHERE l.rank = {limited} AND w.queue = %(queue)s AND w.job_id {beyond} edge.pos
        ORDER BY w.job_id {up}
        LIMIT %(window)s
    )
) AS r
WHERE l.major {within} %(major)s::smallint
ORDER BY l.major {down}, r.pos {up}
LIMIT %(window)s
"""
# By jid: the places of mutate, one probe each.
_ONE_JID = """
SELECT row_number() OVER (ORDER BY l.major {down}, l.pos {up}) AS number,
    l.major, l.pos AS minor, j.id AS job_id
FROM faktory_django_job j
CROSS JOIN LATERAL (
    SELECT {major} AS major, v.pos
    FROM (
        SELECT r.rank, r.pos
        FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.rank = 2 * j.priority AND r.pos = j.id
        UNION
        SELECT r.rank, r.pos
        FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.rank IN (2 * j.priority + 1, {first}) AND r.job_id = j.id
        UNION
        SELECT r.rank, r.pos
        FROM faktory_django_ready r
        WHERE r.queue = j.queue AND r.fair_key IS NOT NULL AND r.job_id = j.id
        UNION
        SELECT {limited}::smallint, w.job_id
        FROM faktory_django_limitedjob w
        WHERE w.job_id = j.id
    ) AS v
) AS l
WHERE j.jid = %(jid)s AND j.queue = %(queue)s
AND (l.major {beyond_rank} %(major)s::smallint
    OR l.major = %(major)s::smallint AND l.pos {beyond} %(minor)s::bigint)
ORDER BY l.major {down}, l.pos {up}
LIMIT %(window)s
"""
_WAITING = f"""
SELECT e.number, e.major, e.minor, j.id, j.enqueued_at AS at, j.queue, j.priority, j.jid,
    j.jobtype, j.enqueued_at, j.body, j.failure, {_NONE}
FROM ({{places}}) AS e
CROSS JOIN LATERAL (
    -- a fence, or the planner may read all jobs there are
    SELECT * FROM faktory_django_job j WHERE j.id = e.job_id OFFSET 0
) AS j
"""
_FIND = """
SELECT w.number, w.major, w.minor, w.id, w.at, w.queue, w.priority, w.jid, w.jobtype,
    w.enqueued_at, {texts}, w.outcome, w.run_seconds, w.attempts
FROM ({window}) AS w
WHERE {conditions}
ORDER BY w.number
LIMIT %(limit)s
"""
_TEXTS = "CASE WHEN octet_length(w.body) <= %(longest)s THEN w.body END, w.failure"
_NO_TEXTS = "NULL::text, NULL::text"
_EDGE = """
SELECT w.number, w.major, w.minor
FROM ({window}) AS w
ORDER BY w.number DESC
LIMIT 1
"""
_COUNT = """
SELECT count(*) FILTER (WHERE {conditions}), count(*)
FROM ({some}) AS w
"""
_SOME = "SELECT s.id, s.queue, s.jobtype, s.jid, '' AS outcome FROM {table} s LIMIT %(window)s"
_SOME_WAITING = """
SELECT j.id, j.queue, j.jobtype, j.jid, '' AS outcome
FROM (
    (SELECT r.job_id FROM faktory_django_ready r WHERE r.queue = %(queue)s LIMIT %(window)s)
    UNION ALL
    (SELECT w.job_id FROM faktory_django_limitedjob w WHERE w.queue = %(queue)s LIMIT %(window)s)
    LIMIT %(window)s
) AS r
JOIN faktory_django_job j ON j.id = r.job_id
"""
# What stands before the backtrace: class and message do, as we write it. It is a fifth of the text.
_BEFORE = """split_part({failure}, '"backtrace":', 1)"""
HEAD: Final = (
    f"(CASE WHEN strpos({_BEFORE}, '\"message\":') > 0 THEN {_BEFORE} ELSE {{failure}} END)"
)
_ALWAYS = """(%(queues)s::text[] IS NULL OR w.queue = ANY(%(queues)s::text[]))
AND (%(last)s::bigint IS NULL OR w.id <= %(last)s::bigint)"""
QUEUES_OF: Final = {
    name: f"SELECT s.id, s.queue, s.jid FROM {table} s WHERE s.id = ANY(%(ids)b::bigint[])"
    for name, table in PLACES.items()
}
# Lists of what has been, the latest first.
_TIMES: Final = {"dead": "died_at", "finished": "finished_at"}
LONGEST_BIGINT: Final = 2**63 - 1


def find(target: str, query: Query, *, backwards: bool, brief: bool) -> str:
    """Return the statement that finds entries of a list."""
    window = _window(target, backwards, query.jid is not None, narrow=False)
    texts = _NO_TEXTS if brief else _TEXTS
    return _FIND.format(window=window, conditions=_conditions(query), texts=texts)


def edge(target: str, query: Query, *, backwards: bool) -> str:
    """Return the statement that says where the window of find ends."""
    return _EDGE.format(window=_window(target, backwards, query.jid is not None, narrow=True))


def count(target: str, query: Query) -> str:
    """Return the statement that counts matches among some entries, and these."""
    some = _SOME_WAITING if target == "waiting" else _SOME.format(table=SETS[target])
    return _COUNT.format(some=some, conditions=_conditions(query))


def params(query: Query) -> dict[str, Any]:
    """Return the values that the conditions of a search name."""
    found: dict[str, Any] = {"jid": query.jid}
    for nr, term in enumerate(query.terms):
        found[f"like_{nr}"] = _pattern(term)
        found[f"value_{nr}"] = term.value
        found[f"literal_{nr}"] = term.literal
        found[f"key_{nr}"] = _key(term)
    return found


@cache
def _window(target: str, backwards: bool, by_jid: bool, *, narrow: bool) -> str:  # noqa: FBT001
    if target != "waiting":
        at = _TIMES.get(target, "due_at")
        ascending = (target not in _TIMES) is not backwards
        columns = _COLUMNS_FINISHED if target == "finished" else _COLUMNS
        return _SET.format(
            at=at,
            table=FINISHED if target == "finished" else SETS[target],
            way="ASC" if ascending else "DESC",
            beyond=">" if ascending else "<",
            columns="" if narrow else columns.format(at=at, none=_NONE),
            jid=" AND s.jid = %(jid)s" if by_jid else "",
        )
    places = (_ONE_JID if by_jid else _LANES).format(
        down="ASC" if backwards else "DESC",
        up="DESC" if backwards else "ASC",
        beyond="<" if backwards else ">",
        beyond_rank=">" if backwards else "<",
        within=">=" if backwards else "<=",
        nowhere=LONGEST_BIGINT if backwards else 0,
        first=FIRST_RANK,
        major=_MAJOR,
        limited=LIMITED_RANK,
    )
    return places if narrow else _WAITING.format(places=places)


def _conditions(query: Query) -> str:
    found = [_ALWAYS]
    for nr, term in enumerate(query.terms):
        found.extend(f"NOT ({c})" if term.negated else f"({c})" for c in _columns(nr, term))
        if not term.negated:
            found.extend(f"({c})" for c in _texts(nr, term))
    return "\nAND ".join(found)


def _columns(nr: int, term: Term) -> list[str]:
    """What the columns of a row can answer."""
    match term.field:
        case "type" | "queue":
            column = "jobtype" if term.field == "type" else "queue"
            if "*" in term.value:
                return [f"w.{column} LIKE %(like_{nr})s"]
            return [f"w.{column} = %(value_{nr})s"]
        case "jid" | "outcome":
            return [f"w.{term.field} = %(value_{nr})s"]
        case "word":
            return [f"w.jid = %(value_{nr})s OR w.jobtype ILIKE %(like_{nr})s"]
    return []


def _texts(nr: int, term: Term) -> list[str]:
    r"""What the texts must contain, if the term holds; \u may write a letter in another way."""
    if term.field == "error":
        head = HEAD.format(failure="w.failure")
        return [f"{head} COLLATE \"C\" ILIKE %(like_{nr})s OR strpos({head}, '\\u') > 0"]
    if term.field not in {"args", "custom", "tag"}:
        return []
    needles = [name for name, given in (("literal", term.literal), ("key", _key(term))) if given]
    return [
        f"strpos(w.body, %({needle}_{nr})s) > 0 OR strpos(w.body, '\\u') > 0" for needle in needles
    ]


def _key(term: Term) -> str:
    name = term.path[-1] if term.path else ""
    return name if name.isascii() and name.replace("_", "").isalpha() else ""


def _pattern(term: Term) -> str:
    if term.field == "error":
        return f"%{term.literal}%"
    escaped = term.value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = escaped.replace("*", "%")
    return f"%{pattern}%" if term.field == "word" else pattern
