"""The wire server under load: PUSH, FETCH and ACK, PUSHB, and the way from a PUSH to a FETCH.

Run: python benchmarks/wire.py [--processes N] (needs the extras server, binary and embedded; with
DATABASE_URL it uses that server, whose tables are emptied). The load comes from raw sockets in this
process, each with one command at a time; commits are durable. Prints one JSON line a figure, then a
table. Work is counted by rows in the tables, not by answers.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path.cwd()))

from benchmarks.database import on_a_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARGS = json.dumps(["x" * 100, 1])
QUIET_SECONDS = 0.3
RESULTS: list[dict[str, Any]] = []


def a_job(**fields: Any) -> str:
    """Return a job of about 200 bytes, as a client sends it."""
    jid = secrets.token_hex(12)
    created = '"created_at":"2026-01-01T00:00:00.000000Z"'
    more = "".join(f',"{name}":{json.dumps(value)}' for name, value in fields.items())
    return f'{{"jid":"{jid}","jobtype":"T","args":{ARGS},{created}{more}}}'


class Connection:
    """One client: sends a line, waits for its answer, sends the next."""

    def __init__(self, port: int, *, wid: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.recv(4_096)
        hello = {"v": 2} | ({"wid": wid} if wid else {})
        self.ask(f"HELLO {json.dumps(hello)}")
        self.left = 0
        self.jid = ""

    def ask(self, line: str) -> bytes:
        """Send a line and return the first part of the answer."""
        self.socket.sendall(line.encode() + b"\r\n")
        return self.socket.recv(65_536)


def closed_loop(
    connections: list[Connection], step: Callable[[Connection, bytes | None], bytes | None]
) -> float:
    """Let each connection send what step returns for the last answer, until it returns None.

    Return the seconds it took.
    """
    poll = select.epoll()
    by_number = {connection.socket.fileno(): connection for connection in connections}
    started = time.perf_counter()
    for number, connection in list(by_number.items()):
        if (line := step(connection, None)) is None:
            del by_number[number]
        else:
            poll.register(number, select.EPOLLIN)
            connection.socket.send(line)
    while by_number:
        for number, _ in poll.poll():
            connection = by_number[number]
            line = step(connection, connection.socket.recv(65_536))
            if line is None:
                poll.unregister(number)
                del by_number[number]
            else:
                connection.socket.send(line)
    return time.perf_counter() - started


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and its children so far."""
    every = [process, *process.children(recursive=True)]
    return sum(sum(p.cpu_times()[:2]) for p in every)


def figure(what: str, **values: float | int | str) -> None:
    """Print one result."""
    found = {"what": what} | {
        k: round(v, 2) if isinstance(v, float) else v for k, v in values.items()
    }
    RESULTS.append(found)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


class Bench:
    """A server that runs, and the figures of it."""

    def __init__(self, port: int, server: psutil.Process, rows: Callable[[str], int]) -> None:
        self.port = port
        self.server = server
        self.rows = rows
        self.admin = Connection(port)

    def flush(self) -> None:
        """Empty the tables."""
        assert self.admin.ask("FLUSH") == b"+OK\r\n"

    def push(self, connections: int, each: int) -> None:
        """PUSH over so many connections."""
        self.flush()
        clients = [Connection(self.port) for _ in range(connections)]
        lines = {c: [f"PUSH {a_job()}\r\n".encode() for _ in range(each)] for c in clients}

        def step(client: Connection, answer: bytes | None) -> bytes | None:
            assert answer in (None, b"+OK\r\n"), answer
            waiting = lines[client]
            return waiting.pop() if waiting else None

        before = cpu_seconds(self.server)
        seconds = closed_loop(clients, step)
        cpu = cpu_seconds(self.server) - before
        jobs = connections * each
        assert self.rows("job") == jobs, self.rows("job")
        figure("PUSH", connections=connections, per_s=jobs / seconds, server_us=cpu / jobs * 1e6)

    def fetch_and_ack(self, connections: int, each: int) -> None:
        """FETCH and ACK over so many connections."""
        self.fill(connections * each)
        clients = [Connection(self.port, wid=f"worker-{n}") for n in range(connections)]
        for client in clients:
            client.left = each
        jid = re.compile(rb'"jid":"([^"]+)"')

        def step(client: Connection, answer: bytes | None) -> bytes | None:
            if answer is not None and answer.startswith(b"$"):
                found = jid.search(answer)
                assert found, answer
                return b'ACK {"jid":"%b"}\r\n' % found[1]
            assert answer in (None, b"+OK\r\n"), answer
            if not client.left:
                return None
            client.left -= 1
            return b"FETCH default\r\n"

        before = cpu_seconds(self.server)
        seconds = closed_loop(clients, step)
        cpu = cpu_seconds(self.server) - before
        jobs = connections * each
        assert (self.rows("job"), self.rows("lease")) == (0, 0)
        figure(
            "FETCH + ACK", connections=connections, per_s=jobs / seconds, server_us=cpu / jobs * 1e6
        )

    def push_bulk(self, size: int, times: int) -> None:
        """PUSHB of so many jobs."""
        self.flush()
        client = Connection(self.port)
        lines = [
            f"PUSHB [{','.join(a_job() for _ in range(size))}]\r\n".encode() for _ in range(times)
        ]

        def step(_: Connection, answer: bytes | None) -> bytes | None:
            assert answer in (None, b"$2\r\n{}\r\n"), answer
            return lines.pop() if lines else None

        started = time.perf_counter()
        answer = None
        while (line := step(client, answer)) is not None:
            client.socket.sendall(line)
            answer = client.socket.recv(65_536)
        seconds = time.perf_counter() - started
        jobs = size * times
        assert self.rows("job") == jobs
        figure(f"PUSHB of {size}", connections=1, per_s=jobs / seconds)

    def waiting_fetch(self, times: int) -> None:
        """One FETCH waits; how long after a PUSH was sent does it get the job."""
        self.flush()
        worker, producer = Connection(self.port, wid="worker"), Connection(self.port)
        waits = []
        for _ in range(times):
            worker.socket.sendall(b"FETCH default\r\n")
            time.sleep(0.02)  # until it waits
            started = time.perf_counter()
            producer.socket.sendall(f"PUSH {a_job()}\r\n".encode())
            answer = worker.socket.recv(65_536)
            waits.append(1_000 * (time.perf_counter() - started))
            producer.socket.recv(65_536)
            found = re.search(rb'"jid":"([^"]+)"', answer)
            assert found
            worker.ask(f'ACK {{"jid":"{found[1].decode()}"}}')
        waits.sort()
        figure(
            "PUSH to a waiting FETCH, ms",
            connections=2,
            p50=statistics.median(waits),
            p95=waits[int(0.95 * len(waits))],
        )

    def fill(self, jobs: int) -> None:
        """Push jobs to fetch."""
        self.flush()
        client = Connection(self.port)
        for start in range(0, jobs, 1_000):
            size = min(1_000, jobs - start)
            line = f"PUSHB [{','.join(a_job() for _ in range(size))}]\r\n"
            client.socket.sendall(line.encode())
            assert client.socket.recv(65_536) == b"$2\r\n{}\r\n"


@contextmanager
def a_server(processes: int) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server on a free port."""
    command = [sys.executable, "-m", "django", "faktory_server", "--bind", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--processes", str(processes)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    found = None
    while found is None:
        line = process.stderr.readline()
        assert line, "the server did not start"
        found = re.search(r"listening on tcp://127\.0\.0\.1:(\d+)", line)
    try:
        yield int(found[1]), psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()

    def n(count: int) -> int:
        return max(1, int(count * options.scale))

    with on_a_database() as rows, a_server(options.processes) as (port, server):
        time.sleep(QUIET_SECONDS)
        bench = Bench(port, server, rows)
        bench.push(50, n(100))
        for connections, each in ((1, 3_000), (8, 2_000), (50, 1_200), (128, 500)):
            bench.push(connections, n(each))
        for connections, each in ((1, 3_000), (8, 1_500), (50, 600)):
            bench.fetch_and_ack(connections, n(each))
        bench.push_bulk(1_000, n(60))
        bench.waiting_fetch(n(200))
    width = max(len(str(r["what"])) for r in RESULTS)
    for r in RESULTS[1:]:
        rest = "  ".join(f"{k} {v:,}" for k, v in r.items() if k != "what")
        sys.stdout.write(f"{r['what']:{width}}  {rest}\n")


if __name__ == "__main__":
    main()
