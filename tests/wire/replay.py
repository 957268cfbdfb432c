"""Play a recorded scenario against a server, step by step, and tell where it answers otherwise."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .comparing import difference
from .differences import OURS
from .talking import Closed

if TYPE_CHECKING:
    from .recording import Step
    from .running import Server
    from .talking import Reply, Wire

# Recorded in the order of the replies: these FETCHes waited already when that step was sent.
WAITED_BEFORE: Final = {
    ("fetch", "blocking"): {8: 7},
    ("fetch", "waiters_fifo"): {12: 9, 13: 9, 14: 9},
}
# The note of the step says so: a HELLO without the end of its line.
HALF_LINES: Final = {("handshake", "hello_partial_line", 2): b'HELLO {"v":2}'}
SOON_SECONDS: Final = 1.5
# Bytes that a busy machine surely takes in a second.
LONG_LINE: Final = 4_000_000


def replay(server: Server, steps: list[Step]) -> list[str]:
    """Return the differences, each with its step."""
    return Player(server).play(steps)


class Player:
    """The connections of one scenario."""

    def __init__(self, server: Server) -> None:
        """Keep the server; steps connect."""
        self._server = server
        self._conns: dict[str, Wire] = {}
        self._sent_at: dict[int, float] = {}
        # Others see that a connection has closed only after the server has seen it.
        self._unsettled = False

    def play(self, steps: list[Step]) -> list[str]:
        """Do all steps, or those up to the first after which the connection is of no use."""
        found = []
        waited = WAITED_BEFORE.get(steps[0].place[:2], {})
        try:
            for step in steps:
                for late in [late for late in steps if waited.get(late.number) == step.number]:
                    self._send(late)
                    self._pass_by(step.conn)
                found += [f"step {step.number}: {wrong}" for wrong in self._do(step) if wrong]
        except (Closed, TimeoutError, ValueError) as ended:
            found.append(f"step {step.number}: {ended!r} after {step.send[:200]!r}")
        finally:
            for conn in self._conns.values():
                conn.close()
        return found

    def _do(self, step: Step) -> list[str]:
        if step.act == "close":
            self._conns.pop(step.conn).hang_up()
            self._unsettled = True
            return []
        if step.act == "connect":
            self._conns[step.conn] = self._server.connect()
            self._sent_at[step.number] = time.monotonic()
        elif step.number not in self._sent_at:
            self._send(step)
        if step.send == b"INFO\r\n" and self._unsettled and not step.closed:
            return self._settle(step)
        return self._compare(step)

    def _send(self, step: Step) -> None:
        self._sent_at[step.number] = time.monotonic()
        self._conns[step.conn].send(HALF_LINES.get(step.place, step.send))

    def _compare(self, step: Step) -> list[str]:
        conn = self._conns[step.conn]
        ours = OURS.get(step.place)
        replies = ours.replies if ours else step.replies
        found = [difference(expected, conn.read()) for expected in replies]
        if step.closed and not conn.ends():
            found.append("expected the end of the connection")
        return [*found, self._late_or_early(step, ours.seconds if ours else step.seconds)]

    def _late_or_early(self, step: Step, expected: float) -> str:
        took = time.monotonic() - self._sent_at[step.number]
        if expected >= 2 and not expected - 0.2 < took < expected + SOON_SECONDS:
            return f"expected the answer after {expected:g} s, it took {took:.2f}"
        if not expected and took > SOON_SECONDS + len(step.send) / LONG_LINE:
            return f"expected the answer at once, it took {took:.2f} s"
        return ""

    def _settle(self, step: Step) -> list[str]:
        """Ask again for as long as the answer may be from before a connection closed."""
        conn, deadline = self._conns[step.conn], time.monotonic() + SOON_SECONDS
        self._unsettled = False
        while wrong := difference(step.replies[0], conn.read()):
            if time.monotonic() > deadline:
                return [wrong]
            conn.send(step.send)
        return []

    def _pass_by(self, conn: str) -> Reply:
        """Ask for something else and wait for it: the server has read all that came before."""
        return self._conns[conn].call("INFO")
