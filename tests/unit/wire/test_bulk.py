"""The jobs of a PUSHB: each is taken or refused by itself, but what is no job refuses all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from faktory_django.errors import CommandRefused
from faktory_django.wire.jobs import Limits, WireJob, read_jobs

from .test_jobs import LIMITS, NO_ARGS, NO_JID, NO_JOBTYPE, RIGHT, text

Found = list[WireJob | tuple[str, str]]


def read(jobs: bytes, limits: Limits = LIMITS, *, max_jobs: int = 1_000) -> Found:
    return read_jobs(jobs, limits, max_jobs=max_jobs)


def refusal(jobs: bytes, limits: Limits = LIMITS, *, max_jobs: int = 1_000) -> str:
    with pytest.raises(CommandRefused) as refused:
        read_jobs(jobs, limits, max_jobs=max_jobs)
    return str(refused.value)


def many(*fields: dict[str, Any]) -> bytes:
    return json.dumps([RIGHT | some for some in fields]).encode()


@pytest.mark.parametrize("jobs", [b"[]", b" [ ] ", b"null", b" null\r"])
def test_no_jobs_are_fine(jobs: bytes) -> None:
    assert read(jobs) == []


def test_each_job_is_taken_or_refused_in_its_place() -> None:
    long = "x" * 3_000
    jobs = many(
        {"jid": "first-one"},
        {"jid": "short"},
        {"jid": None},
        {"jid": "no-jobtype", "jobtype": ""},
        {"jid": "no-args-at-all", "args": None},
        {"jid": "a-bad-queue", "queue": "a b"},
        {"jid": "a-bad-time", "at": "tomorrow"},
        {"jid": "too-long", "args": [long]},
        {"jid": "a-priority", "custom": {"priority": 1_000}},
        {"JID": "the-last-one"},
    )

    found = read(jobs, Limits(job_bytes=2_000))

    assert [job if isinstance(job, tuple) else job.jid for job in found] == [
        "first-one",
        ("short", NO_JID),
        ("", NO_JID),
        ("no-jobtype", NO_JOBTYPE),
        ("no-args-at-all", NO_ARGS),
        (
            "a-bad-queue",
            r'cannot get "a b" queue: queue names must match \A[a-zA-Z0-9._-]+\z',
        ),
        ("a-bad-time", """invalid timestamp for 'at': "tomorrow": it is not RFC 3339"""),
        ("too-long", "job is 3049 bytes, the limit is 2000"),
        ("a-priority", "custom.priority must be an integer from -100 to 100"),
        "the-last-one",
    ]


def test_a_null_among_them_is_a_job_without_a_jid() -> None:
    assert read(b"[null," + text() + b"]")[0] == ("", NO_JID)


@pytest.mark.parametrize(
    "jobs",
    [
        b"",
        b"{}",
        b"5",
        b"[",
        b"[" + text() + b",]",
        b"[" + text() + b"] x",
        b"[" + text() + b",5]",
        b"[" + text() + b',"x"]',
        b"[" + text() + b",[]]",
        many({}, {"jid": 5}),
        many({}, {"retry": 1.5}),
        many({}, {"at": 5}),
        many({}, {"args": {}}),
        many({}, {"args": "x"}),
        many({}, {"custom": []}),
        many({}, {"failure": {"retry_count": "1"}}),
        many({}, {"reserve_for": 2**63}),
        b"[" + text() + b"," + text(args=["N"]).replace(b'"N"', b"9" * 4_301) + b"]",
        b"[" + text() + b"," + text(args=["N"]).replace(b'"N"', b"1e400") + b"]",
    ],
    ids=lambda jobs: repr(jobs[-30:]),
)
def test_a_wrong_type_anywhere_refuses_all(jobs: bytes) -> None:
    assert refusal(jobs).startswith("invalid JSON: ")


def test_there_are_as_many_jobs_as_the_limit() -> None:
    assert len(read(many({}, {}, {}), max_jobs=3)) == 3
    assert refusal(many({}, {}, {}), max_jobs=2) == "PUSHB holds 3 jobs, the limit is 2"


def test_the_array_itself_does_not_count_as_nesting() -> None:
    deepest = many({"args": [[]]})

    assert len(read(deepest, Limits(job_depth=3))) == 1
    assert refusal(deepest, Limits(job_depth=2)) == (
        "invalid JSON: it is nested more than 3 levels deep"
    )


def test_nesting_beyond_what_the_interpreter_can_is_refused() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000

    assert refusal(deep, Limits(job_depth=1_000_000)).startswith("invalid JSON: ")


def test_texts_are_mended() -> None:
    [job] = read(b'[{"jid":"12345678","jobtype":"T\xff","args":["\\ud800"]}]')

    assert isinstance(job, WireJob)
    assert job.jobtype == "T�"
    assert r'"args":["\ufffd"]' in job.body
