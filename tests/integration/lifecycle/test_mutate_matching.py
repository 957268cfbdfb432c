"""Mutate by filter: jids, jobtype, and a glob of Redis over the job (protocol section 4.9)."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from faktory_django.lifecycle.fail import fail
from faktory_django.lifecycle.mutate import Filter, discard, glob_to_regex, kill, mutate, requeue

from .stock import claim, column, counts, failing, push_one, sql

pytestmark = pytest.mark.usefixtures("store")


def scheduled(jid: str, jobtype: str = "noop", args: str = "[]") -> None:
    body = f'{{"retry":25,"jid":"{jid}","queue":"default","jobtype":"{jobtype}","args":{args}}}'
    push_one(jid, jobtype=jobtype, body=body, delay_seconds=60.0)


@pytest.fixture
def three(store: None) -> None:
    """Three scheduled jobs."""
    del store
    scheduled("one-12345", "Mail", '["tenant-7"]')
    scheduled("two-12345", "Mail", '["tenant-8"]')
    scheduled("three-123", "Other", '["tenant-7"]')


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Filter(), []),
        (Filter(jobtype="Mail"), ["three-123"]),
        (Filter(jobtype="mail"), ["one-12345", "two-12345", "three-123"]),
        (Filter(glob="*tenant-7*"), ["two-12345"]),
        (Filter(glob="tenant-7"), ["one-12345", "two-12345", "three-123"]),
        (Filter(jobtype="Mail", glob="*tenant-7*"), ["two-12345", "three-123"]),
        (Filter(jids=("two-12345", "nobody")), ["one-12345", "three-123"]),
        (Filter(jids=("two-12345",), jobtype="Other", glob="x"), ["one-12345", "three-123"]),
        (Filter(glob='*"args":\\["tenant-?"\\]}'), []),
        (Filter(glob="*tenant-[8-9]*"), ["one-12345", "three-123"]),
        (Filter(glob="{*}"), []),
    ],
)
@pytest.mark.usefixtures("three")
def test_what_matches_goes(wanted: Filter, left: list[str]) -> None:
    gone = mutate(partial(discard, "scheduled"), "scheduled", wanted)

    assert column("scheduledjob") == left
    assert gone == 3 - len(left)


@pytest.mark.usefixtures("three")
def test_kill_and_requeue_move() -> None:
    assert mutate(partial(kill, "scheduled"), "scheduled", Filter(jobtype="Other")) == 1
    assert mutate(partial(requeue, "scheduled"), "scheduled", Filter()) == 2

    assert column("deadjob") == ["three-123"]
    assert sorted(column("job")) == ["one-12345", "two-12345"]


def test_a_pattern_sees_what_the_store_knows_of_the_job() -> None:
    push_one("failed-123")
    fail(connection, [failing(*claim(1))])

    pattern = '{"enqueued_at":"20*","failure":{*"errtype":"ValueError"*},"created_at":"*'
    assert mutate(partial(discard, "retries"), "retries", Filter(glob=pattern)) == 1


def test_more_than_a_page_goes_and_what_comes_in_meanwhile_stays() -> None:
    sql(
        "INSERT INTO faktory_django_retryjob (queue, jid, jobtype, reserve_for, body, due_at)"
        " SELECT 'default', 'j' || i, 't', 60, '{}', clock_timestamp()"
        " FROM generate_series(1, 2001) i"
    )

    def act(ids: object) -> int:
        sql(
            "INSERT INTO faktory_django_retryjob (queue, jid, jobtype, reserve_for, body, due_at)"
            " VALUES ('default', 'new', 't', 60, '{}', clock_timestamp())"
        )
        return discard("retries", ids)  # type: ignore[arg-type]

    assert mutate(act, "retries", Filter()) == 2_001
    assert set(column("retryjob")) == {"new"}
    assert counts("retryjob") == (3,)


@given(
    glob=st.text('ab*?.-^$()[]{}|+\\\\"日', max_size=8).filter(lambda g: "[" not in g),
    text=st.text('ab.-^$()[]{}|+\\\\"日', max_size=8),
)
def test_a_glob_matches_what_it_says(glob: str, text: str) -> None:
    matched = sql("SELECT %(text)s::text ~ %(pattern)s", text=text, pattern=glob_to_regex(glob))[0][
        0
    ]

    assert matched == reference(glob, text)


def reference(glob: str, text: str) -> bool:
    """Match as Redis does, one character at a time."""
    if not glob:
        return not text
    if glob[0] == "*":
        return any(reference(glob[1:], text[i:]) for i in range(len(text) + 1))
    if not text:
        return False
    if glob[0] == "?":
        return reference(glob[1:], text[1:])
    if glob[0] == "\\" and len(glob) > 1:
        return glob[1] == text[0] and reference(glob[2:], text[1:])
    return glob[0] == text[0] and reference(glob[1:], text[1:])


@pytest.mark.parametrize(
    ("glob", "matching", "other"),
    [
        ("[a-c]", "abc", "dA-"),
        ("[^a-c]", "dA-", "abc"),
        ("[abc]", "abc", "d"),
        ("[a\\-c]", "a-c", "b"),
        ("[\\]]", "]", "a"),
        ("[.*]", ".*", "a"),
        ("[c-a]", "abc", "d"),
        ("[a-]", "a-", "b"),
    ],
)
def test_classes_in_a_glob(glob: str, matching: str, other: str) -> None:
    pattern = glob_to_regex(glob)

    found = [c for c in matching + other if sql("SELECT %(c)s::text ~ %(p)s", c=c, p=pattern)[0][0]]

    assert "".join(found) == matching
