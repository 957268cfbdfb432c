"""Matching: what a search finds in a list, page by page, and how far it has looked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from faktory_django import payload
from faktory_django.lifecycle import matching
from faktory_django.lifecycle.matching import Place, Source
from faktory_django.lifecycle.reservation import release
from faktory_django.search import parse

from .stock import claim, push_many, push_one, sql

pytestmark = pytest.mark.usefixtures("store")

FILL = """
INSERT INTO faktory_django_{table} (queue, priority, jid, jobtype, reserve_for, body, failure, {at})
SELECT CASE WHEN i %% 2 = 0 THEN 'even' ELSE 'odd' END, 0, 'jid-' || i, 'type' || i %% 3, 60,
    '{{"jid":"jid-' || i || '","jobtype":"t","args":['
        || i || ',{{"user_id":' || i %% 10 || '}}]}}',
    '{{"errtype":"E' || i %% 4 || '","message":"no ' || i || '","backtrace":["user_id"]}}',
    -- two by two at one time, so that the key must decide
    '2030-01-01'::timestamptz + i / 2 * interval '1 s'
FROM generate_series(0, %(size)s - 1) AS i
"""
TABLES = {"scheduled": "scheduledjob", "retries": "retryjob", "dead": "deadjob"}


def fill(target: str, size: int) -> None:
    at = "died_at" if target == "dead" else "due_at"
    sql(FILL.format(table=TABLES[target], at=at), size=size)


def look(source: Source, search: str = "", **options: Any) -> matching.Found:
    options.setdefault("limit", 100)
    return matching.find(connection, source, parse(search), **options)


def numbers(found: matching.Found) -> list[int]:
    return [int(entry.jid.removeprefix("jid-")) for entry in found.entries]


def walk(source: Source, search: str, **options: Any) -> list[int]:
    """Follow the pages to the end."""
    found = look(source, search, **options)
    seen = numbers(found)
    while not found.whole:
        assert found.end is not None
        found = look(source, search, after=found.end, **options)
        seen += numbers(found)
    return seen


@pytest.mark.parametrize("target", TABLES)
@pytest.mark.parametrize("search", ["", "type:type*", "args.user_id=*"])
def test_pages_follow_each_other_without_a_gap(target: str, search: str) -> None:
    fill(target, 25)

    seen = walk(Source(target), search, limit=4)

    expected = list(range(25))
    assert seen == (expected[::-1] if target == "dead" else expected)


@pytest.mark.parametrize("target", TABLES)
def test_a_page_before_a_place_ends_there(target: str) -> None:
    fill(target, 25)
    first = look(Source(target), limit=10)
    second = look(Source(target), limit=10, after=first.end)

    back = look(Source(target), limit=10, after=second.entries[0].place, backwards=True)

    assert numbers(back)[::-1] == numbers(first)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("type:type1", [1, 4, 7, 10]),
        ("-type:type*", []),
        ("queue:odd type:type0", [3, 9]),
        ("-queue:odd type:type0", [0, 6]),
        ("jid:jid-7", [7]),
        ("jid:nobody", []),
        ("-jid:jid-7 queue:odd", [1, 3, 5, 9, 11]),
        ("jid-7", [7]),
        ("YPE1", [1, 4, 7, 10]),
        ("error:e3", [3, 7, 11]),
        ('error:"E3: no 1*"', [11]),
        ("args.user_id=1", [1, 11]),
        ("args.1.user_id=1", [1, 11]),
        ("-args.user_id=1 error:E3", [3, 7]),
        ("args:10", [10]),
        ("error:user_id", []),
        ("error:E3 queue:even", []),
        ("queue:even args.user_id=1", []),
        ("queue:even args.user_id=2", [2]),
        ("type:type% queue:e_en", []),
    ],
)
def test_a_search_finds_what_meets_all_its_terms(search: str, expected: list[int]) -> None:
    fill("retries", 12)

    found = look(Source("retries"), search)

    assert numbers(found) == expected
    assert found.whole


def test_a_look_ends_after_a_bounded_number_of_entries_and_goes_on_there() -> None:
    fill("retries", 30)

    found = look(Source("retries"), "jid-25", window=10)
    assert (numbers(found), found.looked, found.whole) == ([], 10, False)

    found = look(Source("retries"), "jid-25", window=10, after=found.end)
    found = look(Source("retries"), "jid-25", window=10, after=found.end)
    assert numbers(found) == [25]
    found = look(Source("retries"), "jid-25", window=10, after=found.end)
    assert (found.looked, found.whole) == (0, True)


def test_an_index_finds_a_jid_however_far_it_is() -> None:
    fill("retries", 30)

    found = look(Source("retries"), "jid:jid-25", window=10)

    assert numbers(found) == [25]
    assert found.whole


def test_a_look_reads_a_bounded_number_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CANDIDATES", 5)
    fill("retries", 30)

    found = look(Source("retries"), "-args:2")

    assert (numbers(found), found.looked, found.whole) == ([0, 1, 3, 4], 5, False)
    seen = walk(Source("retries"), "-args:2")
    assert seen == [i for i in range(30) if i % 10 != 2]


def test_a_text_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "LONGEST_BODY", 60)
    fill("retries", 3)
    sql("UPDATE faktory_django_retryjob SET body = body || repeat(' ', 60) WHERE jid = 'jid-1'")

    assert numbers(look(Source("retries"), "args.user_id=*")) == [0, 2]
    assert [entry.body is None for entry in look(Source("retries")).entries] == [False, True, False]


def test_only_the_allowed_queues_and_the_entries_of_then_are_found() -> None:
    fill("retries", 10)
    last = sql("SELECT max(id) FROM faktory_django_retryjob")[0][0]
    fill("retries", 2)

    assert numbers(look(Source("retries", queues=("odd",)))) == [1, 1, 3, 5, 7, 9]
    assert numbers(look(Source("retries", queues=()))) == []
    assert len(look(Source("retries", last=last)).entries) == 10


@pytest.mark.parametrize(
    "place", ["", "1", "a.b", "1.", ".1", "1.2.3", "9" * 19 + ".1", "1." + "9" * 60]
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="a place is two numbers"):
        Place.read(place)


@pytest.mark.parametrize("target", [*TABLES, "waiting"])
def test_a_place_outside_of_time_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="9223372036854775807"):
        look(Source(target), after=Place(2**63 - 1, 1))


def push_lanes() -> list[str]:
    """Push jobs of three priorities, let one come back; return the jids in the order of claims."""
    low = [push_one(f"low-{i}", priority=-1) for i in range(3)]
    normal = push_many(5)
    high = [push_one(f"high-{i}", priority=7) for i in range(2)]
    claim(1)
    release(connection, "w")
    return [*high, *normal, *low]


def test_the_jobs_of_a_queue_are_found_in_the_order_of_claims() -> None:
    expected = push_lanes()
    push_many(3, queue="other")
    source = Source("waiting", "default")

    found = look(source, limit=3)
    seen = [entry.jid for entry in found.entries]
    while not found.whole:
        found = look(source, limit=3, after=found.end)
        seen += [entry.jid for entry in found.entries]

    assert seen == expected
    assert [payload.parse(job.body).jid for job in claim(10)] == expected


def test_a_page_of_a_queue_before_a_place_ends_there() -> None:
    expected = push_lanes()
    source = Source("waiting", "default")
    first = look(source, limit=4)
    second = look(source, limit=4, after=first.end)

    back = look(source, limit=4, after=second.entries[0].place, backwards=True)

    assert [entry.jid for entry in back.entries][::-1] == expected[:4]


@pytest.mark.parametrize("search", ["jid:{}", "{}", "args:x", "type:*"])
def test_waiting_jobs_are_searched_too(search: str) -> None:
    jid = push_lanes()[0]
    body = '{"jid":"x","jobtype":"noop","args":["x"]}'
    special = push_one("x", body=body)

    found = look(Source("waiting", "default"), search.format(jid))

    jids = [entry.jid for entry in found.entries]
    assert jids == {"type:*": jids, "args:x": [special]}.get(search, [jid])
    assert found.whole


def test_what_is_claimed_is_not_found() -> None:
    jids = push_many(3)
    claim(2)

    assert [e.jid for e in look(Source("waiting", "default")).entries] == jids[2:]
    assert look(Source("waiting", "default"), f"jid:{jids[0]}").entries == []


@pytest.mark.parametrize(
    ("search", "window", "expected"),
    [
        ("", 100, (20, 20, True)),
        ("", 10, (10, 10, False)),
        ("queue:odd", 100, (10, 20, True)),
        ("args.user_id=1", 100, (2, 20, True)),
        ("jid:jid-3", 10, (1, 1, True)),
    ],
)
def test_matches_are_counted(search: str, window: int, expected: tuple[int, int, bool]) -> None:
    fill("dead", 20)

    assert matching.count(connection, Source("dead"), parse(search), window=window) == expected


def test_the_jobs_of_a_queue_are_counted() -> None:
    push_lanes()
    push_many(2, queue="other")

    source = Source("waiting", "default")
    assert matching.count(connection, source, parse(""), window=100) == (10, 10, True)
    assert matching.count(connection, source, parse("type:other"), window=100) == (0, 10, True)


def test_a_lone_word_that_is_a_jid_is_looked_up() -> None:
    fill("retries", 30)

    known = matching.settled(connection, Source("retries"), parse("jid-25"))
    unknown = matching.settled(connection, Source("retries"), parse("type1"))

    assert (known.jid, unknown.jid) == ("jid-25", None)


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "{", '{"args":1}', '{"args":' + "[" * 2_000 + "]" * 2_000 + "}"]
)
def test_what_is_no_job_hash_is_not_found_and_does_no_harm(body: str) -> None:
    fill("dead", 1)
    sql("UPDATE faktory_django_deadjob SET body = %(body)s, failure = '[1]'", body=body)

    assert look(Source("dead"), "args.0=*").entries == []
    assert look(Source("dead"), "error:*").entries == [*look(Source("dead")).entries]


def test_letters_that_json_writes_in_another_way_are_found() -> None:
    fill("dead", 1)
    body = json.dumps({"jid": "a", "jobtype": "t", "args": ["é", {"näme": "zoë"}]})
    assert "\\u" in body
    sql("UPDATE faktory_django_deadjob SET body = %(body)s", body=body)

    assert look(Source("dead"), "args.näme=zoë").entries
    assert look(Source("dead"), "args:é").entries


def test_secrets_are_not_found() -> None:
    fill("dead", 1)
    body = json.dumps({"jid": "a", "jobtype": "t", "args": [{"password": "hunter2", "n": 1}]})
    sql("UPDATE faktory_django_deadjob SET body = %(body)s", body=body)

    assert look(Source("dead"), "args.n=1").entries
    assert not look(Source("dead"), "args.password=hunter2").entries
    assert not look(Source("dead"), "args:hunter*").entries


@pytest.mark.parametrize("search", ["", "type:nobody", "args:nobody", "jid:nobody", "error:nobody"])
@pytest.mark.parametrize("target", [*TABLES, "waiting"])
def test_a_look_is_two_statements_at_most(search: str, target: str) -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        look(Source(target, "default"), search)

    assert len(asked) == (1 if not search else 2)
