"""Whatever bytes come: each line gets one answer, or the connection is closed; nothing breaks."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from faktory_django.errors import CommandRefused
from faktory_django.wire import frames, handshake, requests

from .recording import FOLDER
from .talking import Closed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .running import Server

INPUTS: Final = 100_000
LIMIT: Final = 8_192
LIMITS: Final = requests.RequestLimits()
# Bytes that mean something here, or are no text.
SPICE: Final = [
    *(b"\r", b"\n", b"\r\n", b" ", b"\0", b"\xff", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":"),
    *(b"\\u0000", b"\\ud800", b"1e400", b"9" * 400, b"null", b"-", b"*", b"[" * 50, b"PUSH "),
]
VERBS: Final = [
    *("HELLO", "PUSH", "PUSHB", "FETCH", "ACK", "FAIL", "BEAT", "INFO", "QUEUE", "MUTATE"),
    *("FLUSH", "END", "BATCH", "TRACK", "QUEUE PAUSE", "QUEUE LATENCY", "", "push"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
FIELDS = st.sampled_from(
    ["jid", "jobtype", "args", "queue", "retry", "at", "custom", "failure", "wid", "JID", "cmd"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(FIELDS | st.text(), inner)
)


def recorded() -> list[bytes]:
    """Return all that clients sent in the recordings."""
    steps = [
        json.loads(line)
        for file in sorted(FOLDER.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line
    ]
    return [step["send"].encode() for step in steps if step["send"]]


def mutations(seed: int, bases: list[bytes]) -> Iterator[bytes]:
    """Yield inputs without end: recorded ones, cut, joined, spiced, flipped, repeated."""
    chance = random.Random(seed)  # noqa: S311 - a seed that can be had again
    while True:
        data = chance.choice(bases)
        for _ in range(chance.randrange(4)):
            place, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
            match chance.randrange(6):
                case 0:
                    data = data[:place] + data[end:]
                case 1:
                    data = data[:place] + chance.choice(SPICE) + data[place:]
                case 2:
                    data = data[:place] + chance.randbytes(1) + data[place + 1 :]
                case 3:
                    data = data[:place] + data[place:end] * chance.randrange(4) + data[end:]
                case 4:
                    other = chance.choice(bases)
                    data = data[:place] + other[chance.randrange(len(other) + 1) :]
                case _:
                    data = chance.choice(SPICE) + data
        yield data


def seed_of_this_run() -> int:
    """Return the seed; FUZZ_SEED repeats a run."""
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(10**9))
    print(f"FUZZ_SEED={seed}")  # noqa: T201 - shown when the test fails
    return seed


def read_all(data: bytes, chunk: int) -> int:
    """Read an input as a server does; return how many lines there were."""
    lines, count = frames.Lines(LIMIT), 0
    for start in range(0, len(data), chunk):
        try:
            whole = lines.whole(data[start : start + chunk])
            if whole is not None:
                check_line(whole)
                count += 1
                continue
            lines.feed(data[start : start + chunk])
            while (line := lines.next()) is not None:
                check_line(line)
                count += 1
        except frames.LineTooLong:
            return count
        assert len(lines) <= LIMIT
    return count


def check_line(line: bytes) -> None:
    """Every line is a request or is refused with one line; every first line is one or none."""
    try:
        requests.read(line, LIMITS)
    except CommandRefused as wrong:
        reply = frames.error(str(wrong))
        assert reply.startswith(b"-ERR ")
        assert reply.count(b"\n") == reply.count(b"\r") == 1
        reply.decode()
    try:
        hello = handshake.read_hello(line)
    except handshake.BadHello:
        return
    assert len(hello.wid) <= handshake.MAX_WID


def test_a_hundred_thousand_mutated_inputs_are_read_or_refused() -> None:
    seed = seed_of_this_run()
    chance = random.Random(seed)  # noqa: S311 - a seed that can be had again
    inputs = mutations(seed, recorded())

    lines = sum(
        read_all(next(inputs), chance.choice((1 << 20, 1 << 20, 1 << 20, 7, 64)))
        for _ in range(INPUTS)
    )

    assert lines > INPUTS / 2


@settings(max_examples=500, deadline=None)
@given(verb=st.sampled_from(VERBS), value=VALUES, raw=st.binary(max_size=40))
def test_any_json_and_any_bytes_after_any_verb_are_read_or_refused(
    verb: str, value: object, raw: bytes
) -> None:
    for argument in (json.dumps(value).encode(), raw.replace(b"\n", b""), b""):
        check_line(f"{verb} ".encode() + argument)
    check_line(verb.encode())


def test_over_a_socket_each_mutated_line_gets_one_reply_while_others_are_served(
    server: Server,
) -> None:
    # FETCH waits, and END hangs up by right
    bases = [b for b in recorded() if not b.startswith((b"FETCH", b"END")) and b.count(b"\n") == 1]
    inputs = mutations(seed_of_this_run(), bases)
    answered = 0

    with server.connect() as canary:
        canary.greet()
        for _ in range(40):
            lines = [single(next(inputs)) for _ in range(50)]
            lines = [line for line in lines if not line.startswith((b"FETCH", b"END"))]
            with server.connect() as wire:
                wire.greet()
                try:
                    wire.send(b"".join(lines))
                    for _ in lines:
                        assert wire.read().shape in {"simple", "bulk", "error", "nil"}
                        answered += 1
                except Closed:
                    pass
            assert canary.call("INFO").shape == "bulk"

    assert answered > 1_000
    assert server.process.poll() is None


def single(data: bytes) -> bytes:
    """Return the input as one line."""
    return data.replace(b"\n", b"")[:LIMIT] + b"\n"
