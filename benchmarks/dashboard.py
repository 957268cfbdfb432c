"""Every page of the dashboard on a full database: queries, and the time until the answer is there.

Run: python benchmarks/dashboard.py [--scale 0.1] (needs the extras binary, embedded and dashboard;
with DATABASE_URL it uses that server, whose tables are emptied). 1 M scheduled jobs, 1 M in 19
queues, 100 k dead, 20 k retries, 200 in work, half a year of counters of 40 jobtypes. The pages are
asked for by Django's test client in this process, as a superuser: middleware, SQL and templates are
in the time, the network is not. Prints one JSON line a page, then a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path.cwd()))

from benchmarks.database import on_a_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

VISITS: Final = 20
SCHEDULED: Final = 1_000_000
ENQUEUED: Final = 1_000_000
DEAD: Final = 100_000
RETRIES: Final = 20_000
RUNNING: Final = 200
TABLES: Final = "job, ready, lease, level, counter, counterdelta, scheduledjob, retryjob, deadjob"
# The counters that are kept, by the settings' defaults, but for days: half a year is shown.
SPANS: Final = ((60, "minute", 3 * 1_440), (3_600, "hour", 35 * 24), (86_400, "day", 180))
RESULTS: list[dict[str, Any]] = []
# In the texts # is the job's number, ~ that number modulo 40.
_BODY: Final = json.dumps(
    {
        "created_at": "2026-11-25T01:02:03.000000Z",
        "jid": "PLACE-#",
        "jobtype": "app.jobs.type_~",
        "args": [{"user_id": "~", "url": "https://example.org/some/path/#"}, "x" * 60],
    },
    separators=(",", ":"),
)
_FAILURE: Final = json.dumps(
    {
        "failed_at": "2026-11-25T01:02:03.000000Z",
        "retry_count": 3,
        "message": "cannot reach host ~",
        "errtype": "app.errors.Unreachable",
        "backtrace": ['File "/srv/app/jobs.py", line 41, in run'] * 20,
    }
)
_INSERT: Final = """
INSERT INTO faktory_django_{table} (queue, jid, jobtype, reserve_for, body, failure, {at})
SELECT 'queue' || i %% 19, %(place)s || '-' || i, 'app.jobs.type_' || i %% 40, 1800,
    replace(replace(%(body)s, '#', i::text), '~', (i %% 40)::text),
    replace(replace(%(failure)s, '#', i::text), '~', (i %% 40)::text),
    clock_timestamp() + (i - %(offset)s) * interval '1 second'
FROM generate_series(1, %(n)s::bigint) AS i
"""
# The column of the time, the word of the jids, and how much of the time is past.
_SETS: Final = {
    "job": ("enqueued_at", "waiting", 1),
    "scheduledjob": ("due_at", "scheduled", 0),
    "retryjob": ("due_at", "retry", 0),
    "deadjob": ("died_at", "dead", 1),
}
_READY: Final = """
INSERT INTO faktory_django_ready (queue, rank, pos, job_id)
SELECT queue, 0, id, id FROM faktory_django_job WHERE id > %(n)s
"""
_LEASES: Final = """
INSERT INTO faktory_django_lease (wid, claimed_at, ids)
SELECT 'worker' || id %% 20, clock_timestamp() - interval '10 s', array_agg(id)
FROM faktory_django_job WHERE id <= %(n)s GROUP BY id %% 20
"""
_PROCESSES: Final = """
INSERT INTO faktory_django_process (wid, kind, hostname, pid, labels, queues, version, concurrency,
    state, started_at, beat_at, running)
SELECT 'worker' || i, 'python', 'host' || i, 4000 + i, ARRAY['eu'], ARRAY['queue0', 'queue1'],
    '1.0', 10, 'running', clock_timestamp() - interval '3 hours', clock_timestamp(), (
        SELECT json_agg(json_build_array(j.id, extract(epoch FROM clock_timestamp()) - 10))::text
        FROM faktory_django_job j WHERE j.id <= %(n)s AND j.id %% 20 = i
    )
FROM generate_series(0, 19) AS i
"""
_COUNTERS: Final = """
INSERT INTO faktory_django_counter (resolution, starts_at, queue, jobtype, pushed, done, failed,
    waits, runs)
SELECT %(seconds)s, date_trunc(%(unit)s, statement_timestamp(), 'UTC') - i * %(step)s::interval,
    'queue' || t %% 19, 'app.jobs.type_' || t, 100, 98, 2,
    ARRAY[9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 0, 0, 0, 0],
    ARRAY[9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 0, 0, 0, 0]
FROM generate_series(0, %(last)s) AS i, generate_series(0, 39) AS t
"""
# Lists as people look for things in them, besides every page as it is.
SEARCHES: Final = (
    "type:app.jobs.type_1",
    "queue:queue1",
    "args.user_id=42",
    "error:Unreachable",
    "jid:none",
    "nothing-has-this",
)


def fill(scale: float) -> None:
    """Fill the tables by statements alone."""
    from django.db import connection

    sizes = {"job": ENQUEUED, "scheduledjob": SCHEDULED, "retryjob": RETRIES, "deadjob": DEAD}
    with connection.cursor() as cursor:
        names = ", ".join(f"faktory_django_{name}" for name in TABLES.split(", "))
        cursor.execute(f"TRUNCATE {names}, faktory_django_process, faktory_django_queue")
        cursor.execute("ALTER SEQUENCE faktory_django_job_id_seq RESTART")
        for table, (at, place, past) in _SETS.items():
            n = int(sizes[table] * scale) + (RUNNING if table == "job" else 0)
            failure = _FAILURE if table in {"retryjob", "deadjob"} else None
            params: dict[str, Any] = {
                "n": n,
                "place": place,
                "failure": failure,
                "offset": past * n,
            }
            body = _BODY.replace("PLACE", place)
            cursor.execute(_INSERT.format(table=table, at=at), {**params, "body": body})
        for sql in (_READY, _LEASES, _PROCESSES):
            cursor.execute(sql, {"n": RUNNING})
        for seconds, unit, last in SPANS:
            cursor.execute(
                _COUNTERS,
                {"seconds": seconds, "unit": unit, "step": f"1 {unit}", "last": last},
            )
        cursor.execute("INSERT INTO faktory_django_queue SELECT 'queue' || generate_series(0, 18)")
        cursor.execute("VACUUM ANALYZE")


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the address of each page, and of lists that are searched."""
    from tests.dashboard.addresses import address, names, readable

    parts = {"name": "queue1", "jobtype": "app.jobs.type_1", "jid": "dead-9", "key": 0}
    for name in filter(readable, names()):
        if name != "operation":  # the page of one row
            yield name, address(name, parts)
    for name in ("scheduled", "retries", "dead"):
        for query in SEARCHES:
            yield f"{name} {query}", f"{address(name, {})}?q={query}"
    for period in ("day", "week", "month", "quarter"):
        for name in ("types", "type"):
            yield f"{name} {period}", f"{address(name, parts)}?period={period}"
    for place in ("waiting-9", "waiting-900000", "scheduled-9", "retry-9", "none"):
        yield f"job {place}", address("job", {"jid": place})


def visit(client: Client, name: str, url: str) -> None:
    """Print what a page takes."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        status = client.get(url).status_code
    asked = [q["sql"] for q in queries if "faktory_django_" in q["sql"] or "pg_" in q["sql"]]
    taken = []
    for _ in range(VISITS):
        started = time.perf_counter()
        client.get(url)
        taken.append((time.perf_counter() - started) * 1_000)
    figure = {
        "what": name,
        "status": status,
        "queries": len(asked),
        "p50_ms": round(statistics.median(taken), 1),
        "p95_ms": round(statistics.quantiles(taken, n=20)[-1], 1),
        "most_ms": round(max(taken), 1),
    }
    RESULTS.append(figure)
    sys.stdout.write(json.dumps(figure) + "\n")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the jobs")
    options = parser.parse_args()
    with on_a_database():
        from django.contrib.auth import get_user_model
        from django.test import Client

        started = time.perf_counter()
        fill(options.scale)
        sys.stderr.write(f"filled in {time.perf_counter() - started:.0f} s\n")
        users = get_user_model().objects
        user = users.filter(username="benchmark").first() or users.create_superuser("benchmark")
        client = Client(headers={"host": "localhost"})
        client.force_login(user)
        for name, url in pages():
            visit(client, name, url)
    width = max(len(str(r["what"])) for r in RESULTS)
    for r in RESULTS:
        rest = "  ".join(f"{k} {v:>7,}" for k, v in r.items() if k != "what")
        sys.stdout.write(f"{r['what']:{width}}  {rest}\n")


if __name__ == "__main__":
    main()
