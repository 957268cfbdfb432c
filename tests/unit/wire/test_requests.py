"""Requests: what each line asks for, and the words with which a wrong one is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from faktory_django.errors import CommandRefused
from faktory_django.wire import requests
from faktory_django.wire.requests import (
    Ack,
    BatchAct,
    BatchNew,
    Beat,
    End,
    Fail,
    Fetch,
    Flush,
    Info,
    Mutate,
    Push,
    PushBulk,
    QueueAct,
    Request,
    RequestLimits,
    TrackGet,
    TrackSet,
)

LIMITS = RequestLimits(bulk_jobs=3, fetch_queues=3)
JOB = '{"jid":"12345678","jobtype":"T","args":[]}'


def read(line: str | bytes) -> Request:
    return requests.read(line.encode() if isinstance(line, str) else line, LIMITS)


def refusal(line: str | bytes) -> str:
    with pytest.raises(CommandRefused) as refused:
        read(line)
    return str(refused.value)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("FETCH a", Fetch(("a",))),
        ("TRACK GET 4ab1c0de", TrackGet("4ab1c0de")),
        ("TRACK get  4ab1c0de ", TrackGet("4ab1c0de")),
        ('TRACK SET {"jid":"a"}', TrackSet("a")),
        ('TRACK SET {"jid":"a","percent":42,"desc":"half"}', TrackSet("a", 42, "half")),
        ('TRACK SET {"jid":"a","percent":null,"desc":null}', TrackSet("a")),
        ('TRACK SET {"jid":"a","percent":0,"desc":""}', TrackSet("a", 0, "")),
        ('TRACK SET {"jid":"a","percent":-3}', TrackSet("a", 0)),
        ('TRACK SET {"jid":"a","percent":99.9}', TrackSet("a", 99)),
        ('TRACK SET {"jid":"a","percent":1e300}', TrackSet("a", 100)),
        (f'TRACK SET {{"jid":"a","desc":"{"x" * 2_000}"}}', TrackSet("a", None, "x" * 1_000)),
        ('TRACK SET {"jid":"a","reserve_until":""}', TrackSet("a")),
        (
            'TRACK SET {"jid":"a","reserve_until":"2027-01-01T13:00:00+01:00"}',
            TrackSet("a", None, None, datetime(2027, 1, 1, 12, tzinfo=UTC)),
        ),
        ("FETCH b a c", Fetch(("b", "a", "c"))),
        ("FETCH  a   b ", Fetch(("a", "b"))),
        ("FETCH a b a a b", Fetch(("a", "b"))),
        ("FETCH *", Fetch(("*",))),
        ("FETCH bad/name", Fetch(("bad/name",))),
        (b"FETCH \xff", Fetch(("\ufffd",))),
        ("FETCH ", Fetch(())),
        ('ACK {"jid":"x"}', Ack("x")),
        ('ACK  {"jid":"x"} ', Ack("x")),
        ('ACK {"jid":""}', Ack("")),
        ('ACK {"jid":null}', Ack("")),
        ('ACK {"jid":"x","other":"y","more":null}', Ack("x")),
        ('ACK {"jid":"a","jid":"b"}', Ack("b")),
        (b'ACK {"jid":"\xff"}', Ack("\ufffd")),
        (r'ACK {"jid":"\ud800"}', Ack("\ufffd")),
        ('FAIL {"jid":"x"}', Fail("x")),
        (
            'FAIL {"JID":"x","ErrType":"E","message":"m","backtrace":["a","b"],"n":5}',
            Fail("x", "E", "m", ("a", "b")),
        ),
        ('FAIL {"jid":"x","errtype":null,"message":null,"backtrace":null}', Fail("x")),
        ('BEAT {"wid":"w"}', Beat("w")),
        ('BEAT {"wid":"w","current_state":"quiet","rss_kb":5}', Beat("w", "quiet", 5)),
        ('BEAT {"Wid":"w","CURRENT_STATE":"odd","x":[]}', Beat("w", "odd")),
        ('BEAT {"wid":"w","current_state":null,"rss_kb":null}', Beat("w")),
        ('BEAT {"rss_kb":9223372036854775807}', Beat("", "", 2**63 - 1)),
        ("BEAT {}", Beat("")),
        ("BEAT null", Beat("")),
        ("INFO", Info()),
        ("INFO all of it", Info()),
        ("FLUSH", Flush()),
        ("FLUSH {}", Flush()),
        ("END", End()),
        ("END now", End()),
        ("QUEUE PAUSE a b", QueueAct("PAUSE", ("a", "b"))),
        ("QUEUE pause a", QueueAct("PAUSE", ("a",))),
        ("QUEUE Resume *", QueueAct("RESUME", (), every=True)),
        ("QUEUE REMOVE a *", QueueAct("REMOVE", ("a", "*"))),
        ("QUEUE REMOVE * a", QueueAct("REMOVE", (), every=True)),
        ("QUEUE PAUSE ", QueueAct("PAUSE", ())),
        ("QUEUE PAUSE a  b", QueueAct("PAUSE", ("a", "b"))),
        ("QUEUE LATENCY", QueueAct("LATENCY")),
        ("QUEUE LATENCY a b", QueueAct("LATENCY", ("a", "b"))),
        ("QUEUE latency a *", QueueAct("LATENCY", ("a", "*"))),
        ('MUTATE {"cmd":"kill","target":"dead"}', Mutate("kill", "dead")),
        ('MUTATE {"cmd":"kill","target":"dead","filter":null}', Mutate("kill", "dead")),
        ('MUTATE {"CMD":"requeue","Target":"retries","FILTER":{}}', Mutate("requeue", "retries")),
        (
            'MUTATE {"cmd":"discard","target":"scheduled",'
            '"filter":{"jids":["a","b"],"JobType":"T","regexp":"*x*"}}',
            Mutate("discard", "scheduled", ("a", "b"), "T", "*x*"),
        ),
        (
            'MUTATE {"cmd":"kill","target":"dead",'
            '"filter":{"jids":null,"jobtype":null,"regexp":null}}',
            Mutate("kill", "dead"),
        ),
        (
            'MUTATE {"cmd":"clear","target":"dead","filter":{"jids":["a"]}}',
            Mutate("clear", "dead"),
        ),
        ('MUTATE { "cmd": "kill", "target": "dead" }', Mutate("kill", "dead")),
    ],
)
def test_a_line_asks_for(line: str | bytes, request_: Request) -> None:
    assert read(line) == request_


def test_a_push_holds_a_job_and_a_bulk_push_many() -> None:
    pushed, bulk = read(f"PUSH {JOB}"), read(f"PUSHB [{JOB},null]")

    assert isinstance(pushed, Push)
    assert isinstance(bulk, PushBulk)
    assert bulk.jobs == [pushed.job, ("", "jobs must have a reasonable jid parameter")]


def test_at_most_fifty_lines_of_a_backtrace_are_read() -> None:
    lines = [str(n) for n in range(60)]

    found = read(f"FAIL {json.dumps({'jid': 'x', 'backtrace': lines})}")

    assert found == Fail("x", "", "", tuple(lines[:50]))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "unknown command "),
        (" PUSH {}", "unknown command "),
        ("\tINFO", r"unknown command \tINFO"),
        ("push {}", "unknown command push"),
        ("PING", "unknown command PING"),
        ("AUTH x", "unknown command AUTH"),
        ("HELLO {}", "unknown command HELLO"),
        ("INFO\r", r"unknown command INFO\r"),
        ("PUSH\t{}", r"unknown command PUSH\t{}"),
        (b"\0\x01\xff", r"unknown command \x00\x01\xff"),
        ("X" * 200, f"unknown command {'X' * 100}…"),
        ("PUSH", "internal error"),
        ("PUSHB", "internal error"),
        ("ACK", "internal error"),
        ("FAIL", "internal error"),
        ("BEAT", "internal error"),
        ("QUEUE", "internal error"),
        ("QUEUE PAUSE", "internal error"),
        ("QUEUE RESUME", "internal error"),
        ("QUEUE REMOVE", "internal error"),
        ("MUTATE", "internal error"),
        ("FETCH", "must call fetch with at least one queue"),
        ("FETCH a b c d", "FETCH names 4 queues, the limit is 3"),
        ("PUSH null", "jobs must have a reasonable jid parameter"),
        (f"PUSHB [{','.join([JOB] * 4)}]", "PUSHB holds 4 jobs, the limit is 3"),
        ("ACK ", "invalid ACK "),
        ("ACK {}", "invalid ACK {}"),
        ("ACK null", "invalid ACK null"),
        ('ACK {"JID":"x"}', 'invalid ACK {"JID":"x"}'),
        ('ACK {"jid":5}', 'invalid ACK {"jid":5}'),
        ('ACK {"jid":"x","n":5}', 'invalid ACK {"jid":"x","n":5}'),
        ('ACK {"jid":"x"} x', 'invalid ACK {"jid":"x"} x'),
        ('ACK {"jid":"\r"}', r'invalid ACK {"jid":"\r"}'),
        ("ACK " + "x" * 200, f"invalid ACK {'x' * 100}…"),
        ("ACK " + "[" * 100_000, f"invalid ACK {'[' * 100}…"),
        ("FAIL x", "invalid FAIL x"),
        ("FAIL []", "invalid FAIL []"),
        ('FAIL {"jid":5}', 'invalid FAIL {"jid":5}'),
        ('FAIL {"jid":"x","message":5}', 'invalid FAIL {"jid":"x","message":5}'),
        ('FAIL {"jid":"x","backtrace":[5]}', 'invalid FAIL {"jid":"x","backtrace":[5]}'),
        (
            "FAIL " + '{"a":' * 100_000,
            f"invalid FAIL {('{' + chr(34) + 'a' + chr(34) + ':') * 20}…",
        ),
        ("FAIL {}", "missing JID"),
        ("FAIL null", "missing JID"),
        ('FAIL {"jid":null}', "missing JID"),
        ('FAIL {"jid":""}', "missing JID"),
        ("BEAT x", "invalid BEAT x"),
        ('BEAT {"wid":5}', 'invalid BEAT {"wid":5}'),
        ('BEAT {"wid":"w","current_state":1}', 'invalid BEAT {"wid":"w","current_state":1}'),
        ('BEAT {"rss_kb":1.5}', 'invalid BEAT {"rss_kb":1.5}'),
        ('BEAT {"rss_kb":-1}', 'invalid BEAT {"rss_kb":-1}'),
        ('BEAT {"rss_kb":9223372036854775808}', 'invalid BEAT {"rss_kb":9223372036854775808}'),
        ("QUEUE ", "no such QUEUE subcommand: "),
        ("QUEUE stop a", "no such QUEUE subcommand: STOP"),
        ("QUEUE  PAUSE a", "no such QUEUE subcommand: "),
        ("QUEUE \r", r"no such QUEUE subcommand: \r"),
        ("QUEUE PAUSE a b c d", "QUEUE names 4 queues, the limit is 3"),
        ("QUEUE LATENCY *", "QUEUE LATENCY does not support wildcards"),
        ("MUTATE {}", "unknown mutate operation"),
        ("MUTATE null", "unknown mutate operation"),
        ('MUTATE {"cmd":"KILL","target":"dead"}', "unknown mutate operation"),
        ('MUTATE {"cmd":"x","target":"y"}', "unknown mutate operation"),
        ('MUTATE {"cmd":"kill"}', "invalid target for mutation command"),
        ('MUTATE {"cmd":"kill","target":"Dead"}', "invalid target for mutation command"),
        ('MUTATE {"cmd":"kill","target":"working"}', "invalid target for mutation command"),
        (
            json.dumps({"cmd": "kill", "target": "dead", "filter": {"regexp": "x" * 501}}).join(
                ["MUTATE ", ""]
            ),
            "regexp has 501 characters, the limit is 500",
        ),
        ("BATCH", "internal error"),
        ("BATCH DROP b-1", "no such BATCH subcommand: DROP"),
        ("BATCH OPEN ", "missing BID"),
        ("BATCH STATUS", "missing BID"),
        ("BATCH NEW x", "invalid BATCH x"),
        ('BATCH NEW {"description":5}', 'invalid BATCH {"description":5}'),
        ("BATCH NEW {}", "a batch needs a success or a complete callback"),
        ("BATCH NEW null", "a batch needs a success or a complete callback"),
        (
            'BATCH NEW {"success":null,"complete":null}',
            "a batch needs a success or a complete callback",
        ),
        ('BATCH NEW {"success":{"args":[]}}', "jobs must have a jobtype parameter"),
        ('BATCH NEW {"success":{"jobtype":"T"}}', "jobs must have an args parameter"),
        (
            'BATCH NEW {"complete":{"jobtype":"T","args":[],"jid":"short"}}',
            "jobs must have a reasonable jid parameter",
        ),
        (
            'BATCH NEW {"success":[]}',
            "invalid callback: Expected `object`, got `array`",
        ),
        (
            'BATCH NEW {"success":{"jobtype":"T","args":[],"custom":[]}}',
            "invalid callback: Expected `object`, got `array`",
        ),
        ("TRACK", "internal error"),
        ("TRACK GET ", "missing JID"),
        ("TRACK SET {}", "missing JID"),
        ("TRACK DROP x", "no such TRACK subcommand: DROP"),
        (
            'TRACK SET {"jid":"a","reserve_until":"x"}',
            "invalid timestamp for 'reserve_until': \"x\": it is not RFC 3339",
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_wrong_line_is_refused_in_the_words_of_the_protocol(
    line: str | bytes, words: str
) -> None:
    assert refusal(line) == words


@pytest.mark.parametrize(
    "argument",
    [
        "x",
        "[]",
        "{",
        '{"cmd":5}',
        '{"cmd":"kill","target":"dead","filter":5}',
        '{"cmd":"kill","target":"dead","filter":[]}',
        '{"cmd":"kill","target":"dead","filter":{"jids":"a"}}',
        '{"cmd":"kill","target":"dead","filter":{"jids":[1]}}',
        '{"cmd":"kill","target":"dead","filter":{"jobtype":1}}',
        "[" * 100_000,
    ],
    ids=lambda argument: argument[-40:],
)
def test_a_mutation_that_is_not_right_is_refused_without_a_verb(argument: str) -> None:
    words = refusal(f"MUTATE {argument}")

    assert words
    assert not words.startswith("invalid JSON")
    assert words not in {"unknown mutate operation", "invalid target for mutation command"}


def test_a_batch_is_read_with_its_callbacks() -> None:
    line = (
        b'BATCH new {"Description":"d","parent_bid":"b-p",'
        b'"success":{"jobtype":"S","args":[1.0],"custom":{"bid":"b-x","a":1e3}},'
        b'"complete":{"jobtype":"C","args":[],"jid":"callback-1","queue":"q"},'
        b'"dead":null}'
    )

    found = read(line)

    assert isinstance(found, BatchNew)
    assert (found.description, found.parent_bid) == ("d", "b-p")
    assert sorted(found.callbacks) == ["complete", "success"]
    success, complete = found.callbacks["success"], found.callbacks["complete"]
    assert (complete.jid, complete.queue) == ("callback-1", "q")
    assert len(success.jid) >= 8
    custom = f'{{"a":1e3,"_bid":"{found.bid}","_pbid":"b-p"}}'
    assert f'"custom":{custom}' in success.body
    assert '"args":[1.0]' in success.body
    assert success.traits == f'{{"callback":"{found.bid}"}}'


@pytest.mark.parametrize("act", ["OPEN", "COMMIT", "STATUS"])
def test_an_act_on_a_batch_is_read(act: str) -> None:
    assert read(f"BATCH {act.lower()} b-1 ".encode()) == BatchAct(act, "b-1")
