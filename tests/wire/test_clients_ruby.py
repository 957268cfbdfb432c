"""What the Ruby library faktory_worker_ruby sends, byte by byte as section 12 describes it.

Its gem is in neither Debian nor a registry that this project uses, so the exchange is written
out here: lines end in a bare line feed, which `puts` may send in a segment of its own; a
producer has an empty wid and a null user name; the connection ends with END.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection

from faktory_django.lifecycle import beat
from faktory_django.models import Lease, Process, RetryJob

from .talking import Reply, password_hash

if TYPE_CHECKING:
    from .running import Server
    from .talking import Wire


def puts(wire: Wire, *words: str) -> Reply:
    """Send a command as Ruby's puts does, and read the reply."""
    wire.send(" ".join(words))
    wire.send("\n")
    return wire.read()


def dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def hello(wire: Wire, *, wid: str = "", password: str = "") -> Reply:
    greeting = json.loads(wire.read().data.removeprefix(b"HI "))
    payload: dict[str, Any] = {"wid": wid, "hostname": "ruby.example", "pid": 4711}
    payload |= {"labels": ["ruby-3.1.2"], "username": None, "v": 2}
    if "s" in greeting:
        payload["pwdhash"] = password_hash(password, greeting["s"], greeting["i"])
    return puts(wire, "HELLO", dump(payload))


def ruby_job(jid: str) -> dict[str, Any]:
    job = {"jid": jid, "queue": "default", "jobtype": "HardJob", "args": [1, "два"]}
    return job | {"retry": 25, "custom": {"locale": "de"}, "created_at": "2026-11-25T10:11:12Z"}


def test_a_producer_in_ruby_pushes_asks_and_ends(server: Server) -> None:
    with server.connect() as wire:
        assert hello(wire).raw == b"+OK\r\n"

        assert puts(wire, "PUSH", dump(ruby_job("ruby-job-0001"))).raw == b"+OK\r\n"
        assert puts(wire, "QUEUE PAUSE", "default").raw == b"+OK\r\n"
        assert puts(wire, "QUEUE RESUME", "default").raw == b"+OK\r\n"
        info = puts(wire, "INFO").json
        wire.send("END\n")

        assert info["faktory"]["queues"] == {"default": 1}
        assert info["faktory"]["tasks"]["Scheduled"]["size"] == 0
        assert not Process.objects.filter(kind=Process.Kind.WIRE).exists()
        assert wire.ends()


def test_a_worker_in_ruby_fetches_acks_fails_and_is_quieted(locked: Server) -> None:
    wid = "0123456789abcdef"
    with locked.connect() as producer, locked.connect() as wire:
        producer.greet(locked.password)
        for n in range(3):
            producer.call(f"PUSH {dump(ruby_job(f'ruby-job-000{n}'))}")
        assert hello(wire, wid=wid, password=locked.password).raw == b"+OK\r\n"

        assert puts(wire, "BEAT", dump({"wid": wid, "rss_kb": 54321})).raw == b"+OK\r\n"
        assert puts(wire, "FETCH", "critical", "default").json["custom"] == {"locale": "de"}
        assert puts(wire, "ACK", '{"jid":"ruby-job-0000"}').raw == b"+OK\r\n"
        jid = puts(wire, "FETCH", "critical", "default").json["jid"]
        failure = {"message": "no", "errtype": "RuntimeError", "jid": jid}
        failure |= {"backtrace": ["hard_job.rb:3:in `perform'"] * 80}
        assert puts(wire, "FAIL", dump(failure)).raw == b"+OK\r\n"
        beat.set_state(connection, [wid], "quiet")
        assert puts(wire, "BEAT", dump({"wid": wid})).json == {"state": "quiet"}

    assert len(RetryJob.objects.get().failure_hash["backtrace"]) == 50


def test_a_worker_in_ruby_tells_how_far_it_is_and_keeps_its_reservation(server: Server) -> None:
    wid = "0123456789abcdef"
    job = ruby_job("ruby-job-0001") | {"custom": {"track": 1}}
    with server.connect() as producer, server.connect() as wire:
        producer.greet()
        producer.call(f"PUSH {dump(job)}")
        hello(wire, wid=wid)
        assert puts(wire, "FETCH", "default").json["custom"] == {"track": 1}

        # track_progress(10): what it leaves out it sends as null
        said: dict[str, Any] = {"jid": "ruby-job-0001", "percent": 10, "desc": None}
        assert puts(wire, "TRACK SET", dump(said)).raw == b"+OK\r\n"
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
        said |= {"percent": 20, "desc": "Отправка", "reserve_until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        assert puts(wire, "TRACK SET", dump(said)).raw == b"+OK\r\n"

        found = puts(producer, "TRACK GET", "ruby-job-0001").json
        assert found.pop("updated_at")
        assert found == {
            "jid": "ruby-job-0001",
            "percent": 20,
            "desc": "Отправка",
            "state": "working",
        }
        assert Lease.objects.get().expires_at == until
