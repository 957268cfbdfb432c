"""A server: listens, greets, lets clients in, and watches over them. One event loop, one process.

What clients ask goes to `commands`; who waits for jobs to `dealer`; who works here to `workers`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import psycopg
from django.db import Error as DatabaseError

from faktory_django import notify, settings
from faktory_django.errors import CommandRefused
from faktory_django.lifecycle import beat, throttles
from faktory_django.lifecycle.info import info
from faktory_django.processes import package_version, rss_kb
from faktory_django.report import report

from . import frames, handshake, requests
from .client import Client
from .commands import Commands
from .database import DatabaseGone, Desk, Link
from .dealer import Dealer
from .folding import Folding
from .logins import PENALTY_SECONDS, Logins
from .session import Session, State
from .upkeep import Upkeep
from .workers import Workers

if TYPE_CHECKING:
    import ssl

    from .handshake import Challenge, Hello
    from .options import ServerOptions

logger = logging.getLogger(__name__)

WATCH_SECONDS: Final = 1.0
SHUTDOWN: Final = frames.error("shutdown in progress")
# What a client that is told of the shutdown has to read it.
LAST_WORDS_SECONDS: Final = 0.1
PUSH_LINKS: Final = 2
# A HELLO waits so long for the database at most.
PRESENCE_SECONDS: Final = 1.0


class Server:
    """One front-end. Any number serve one database; a job fetched here may be acked there."""

    def __init__(self, options: ServerOptions, *, tls: ssl.SSLContext | None = None) -> None:
        self.options = options
        self.request_limits = options.request_limits
        self.wid = secrets.token_hex(12)
        self.commands = 0
        self.paused: set[Client] = set()
        self._tls = tls
        self._clients: set[Client] = set()
        self._greeted = 0
        self._held = 0
        self._started = time.monotonic()
        self._stopping = False
        self._permissions = options.permissions
        self._logins = Logins(options.logins_per_minute)
        self._checking = asyncio.Lock()
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hashing")
        self._tasks: set[asyncio.Task[Any]] = set()
        alias = options.database
        self._listens = not settings.get().transaction_pooler
        self._links = [Link(alias, role) for role in ("push", "push", "ack", "fetch", "listen")]
        self._quick, self._slow = Desk(alias, "quick"), Desk(alias, "slow")
        folding = Folding(self._quick)
        self._dealer = Dealer(
            self.wid,
            self._links[3],
            self._quick,
            listens=self._listens,
            on_claim=folding.claimed,
        )
        self._workers = Workers(self._quick, on_state=self._dealer.mute)
        self._upkeep = Upkeep(alias)
        self._commands = Commands(
            dealer=self._dealer,
            folding=folding,
            workers=self._workers,
            quick=self._quick,
            slow=self._slow,
            info=self._info,
            command_seconds=options.command_seconds,
        )

    async def run(self, sock: socket.socket, stop: asyncio.Event) -> None:
        """Serve until stop is set, then end in order."""
        loop = asyncio.get_running_loop()
        seconds = self.options.hello_seconds
        tls = {"ssl": self._tls, "ssl_handshake_timeout": seconds} if self._tls else {}
        listener = await loop.create_server(lambda: Client(self), sock=sock, backlog=1_024, **tls)  # type: ignore[call-overload]
        for work in (
            *self._commands.senders(self._links[:PUSH_LINKS], self._links[2]),
            self._dealer.run(),
            self._dealer.poll(),
            self._workers.run(),
            self._watch(),
            self._beat(),
        ):
            self._start(work)
        if self._listens:
            self._start(self._listen())
        self._upkeep.start()
        await stop.wait()
        listener.close()
        await self._end()

    # what clients call

    def new_session(self) -> Session:
        """Return the session of a new connection."""
        challenge = self._logins.challenge() if self._permissions.password is not None else None
        return Session(self._permissions, challenge)

    def joined(self, client: Client) -> bool:
        """Take a new connection; False turns it away without a word."""
        limit = self.options.connections
        # half of the places are for clients that have said who they are
        if self._greeted >= max(limit // 2, 16) or len(self._clients) >= limit + 64:
            return False
        self._clients.add(client)
        self._greeted += 1
        loop = asyncio.get_running_loop()
        loop.call_later(self.options.hello_seconds, self._hello_is_late, client)
        return True

    def left(self, client: Client) -> None:
        """A connection has closed."""
        if client not in self._clients:
            return
        self._clients.discard(client)
        self.paused.discard(client)
        if not client.was_open:
            self._greeted -= 1
        self._dealer.forget(client)
        if client.session.wid is not None:
            self._workers.went(client, client.session.wid)

    def admit(self, client: Client, turn: int, hello: Hello) -> None:
        """Let a client in that said HELLO, when its password is right."""
        password, challenge = self._permissions.password, client.session.challenge
        if password is None or challenge is None:
            self._open(client, turn, hello)
        else:
            self._start(self._check_password(client, turn, hello, password, challenge))

    def dispatch(self, client: Client, turn: int, request: requests.Request) -> None:
        """Send a command on its way."""
        if self._stopping:
            client.close(SHUTDOWN)
            return
        self._commands.dispatch(client, turn, request)

    def hold(self, size: int) -> None:
        """Count the bytes that are held for clients."""
        self._held += size
        if self.paused and size < 0 and not self.is_full():
            for client in list(self.paused):
                client.throttle()

    def is_full(self) -> bool:
        """Tell whether the memory for what clients have sent is used up."""
        return self._held > self.options.buffer_bytes

    # letting in

    async def _check_password(
        self, client: Client, turn: int, hello: Hello, password: bytes, challenge: Challenge
    ) -> None:
        # one at a time, so that a wrong one counts before the next is looked at
        async with self._checking:
            right = not client.is_gone() and await self._is_right(
                client.address, hello, password, challenge
            )
        if not right:
            await asyncio.sleep(PENALTY_SECONDS)
        if client.is_gone():
            return
        if right:
            self._open(client, turn, hello)
        else:
            client.close(frames.error("Invalid password"))

    async def _is_right(
        self, address: str, hello: Hello, password: bytes, challenge: Challenge
    ) -> bool:
        if not self._logins.may_try(address):
            # not counted, or those who know the password would keep themselves out
            logger.warning("%s has failed too often, its password is not looked at", address)
            return False
        right = await asyncio.get_running_loop().run_in_executor(
            self._hashing, handshake.is_right, hello, password, challenge
        )
        if not right:
            self._logins.failed(address)
            logger.warning("a wrong password from %s", address)
        return right

    def _open(self, client: Client, turn: int, hello: Hello) -> None:
        try:
            client.session.open(hello)
        except CommandRefused as wrong:
            client.close(frames.error(str(wrong)))
            return
        self._greeted -= 1
        client.was_open = True
        over = len(self._clients) - self._greeted
        if over > self.options.connections:
            client.opened(turn)
            client.close(frames.error(f"too many connections: {over}"))
        elif hello.wid:
            self._workers.came(client, hello)
            self._start(self._open_worker(client, turn))
        else:
            client.opened(turn)

    async def _open_worker(self, client: Client, turn: int) -> None:
        """Answer when every server knows the worker; without a database, all the same."""
        # not cancelled when it takes too long: then it is written later
        writing = asyncio.ensure_future(self._workers.flush())
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({writing}, timeout=PRESENCE_SECONDS)
        client.opened(turn)

    def _hello_is_late(self, client: Client) -> None:
        if client.session.state is State.GREETED and not client.busy and not client.is_gone():
            client.abort()

    # watching

    async def _watch(self) -> None:
        """Close connections that are silent, stuck or forgotten."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = time.monotonic()
            for client in list(self._clients):
                if reason := self._is_overdue(client, now):
                    logger.info("%s is disconnected: %s", client.address, reason)
                    client.abort()
                elif self._has_waited_too_long(client, now):
                    text = f"the database did not answer within {self.options.command_seconds:g} s"
                    if isinstance(client.command, requests.Push):
                        text += "; the job may have been stored"
                    client.answer(client.turn, frames.error(text))
            with suppress(DatabaseGone, DatabaseError):
                for client in await self._workers.look():
                    logger.info("%s is disconnected: its worker has been silent", client.address)
                    client.abort()

    def _is_overdue(self, client: Client, now: float) -> str | None:
        options = self.options
        if client.blocked_since is not None and now > client.blocked_since + options.write_seconds:
            return f"it has not read for {options.write_seconds:g} s (SERVER_WRITE_SECONDS)"
        if client.line_since is not None and now > client.line_since + options.line_seconds:
            return f"a line took more than {options.line_seconds:g} s (SERVER_LINE_SECONDS)"
        idle = options.idle_seconds
        if idle and client.session.wid is None and not client.busy and now > client.since + idle:
            return f"it was idle for {idle:g} s (SERVER_IDLE_SECONDS)"
        return None

    def _has_waited_too_long(self, client: Client, now: float) -> bool:
        """Tell whether a command that goes to the database by a link is overdue."""
        bounded = isinstance(client.command, (requests.Push, requests.Ack, requests.Fail))
        return client.busy and bounded and now > client.since + self.options.command_seconds + 1

    async def _beat(self) -> None:
        """Be known among the processes, so that pushes may wake us."""
        known = False
        while True:
            pulse = beat.Pulse(self.wid, rss_kb(os.getpid()), connections=len(self._clients))
            with suppress(DatabaseGone, DatabaseError):
                beaten = await self._quick.call(beat.beat, [pulse]) if known else None
                if not known:
                    await self._quick.call(throttles.declare, settings.get().throttles)
                if beaten is None or self.wid not in beaten.states:
                    await self._quick.call(beat.register, self._process())
                    known = True
            await asyncio.sleep(settings.get().beat_seconds)

    def _process(self) -> beat.ProcessInfo:
        return beat.ProcessInfo(
            wid=self.wid,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            version=package_version(),
            concurrency=0,
            queues=(),
            labels=(f"{self.options.host}:{self.options.port}",),
            kind="server",
        )

    async def _listen(self) -> None:
        """Hear of pushes that others have committed."""
        while True:
            try:
                connection = await self._links[4].connection()
                cursor = await connection.execute(f"SELECT {notify.CHANNEL}")
                channel = (await cursor.fetchone() or ("",))[0]
                await connection.execute(f'LISTEN "{channel}"')
                self._dealer.stir()
                async for notification in connection.notifies():
                    if notification.payload == self.wid:
                        self._dealer.stir()
            except (DatabaseGone, psycopg.Error):
                await self._links[4].close()
                await asyncio.sleep(0.5)

    async def _info(self) -> bytes:
        found = await self._slow.call(info)
        return report(
            found,
            self._upkeep.maintenance,
            now=datetime.now(UTC),
            uptime_seconds=time.monotonic() - self._started,
            connections=len(self._clients),
            commands=self.commands,
            used_memory_mb=rss_kb(os.getpid()) // 1_024,
        )

    # the end

    async def _end(self) -> None:
        """Answer what is under way, tell the rest, and let go of everything."""
        self._stopping = True
        self._dealer.drop_waiters()
        deadline = time.monotonic() + self.options.grace_seconds
        while any(client.busy for client in self._clients) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        # new commands of this moment are told, not cut off
        await asyncio.sleep(LAST_WORDS_SECONDS)
        for client in list(self._clients):
            client.close()
        await asyncio.sleep(0)
        self._upkeep.stop()
        with suppress(DatabaseGone, DatabaseError):
            await self._workers.flush()
            await self._quick.call(beat.leave, self.wid)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in self._links:
            await link.close()
        for desk in (self._quick, self._slow):
            desk.close()
        self._hashing.shutdown(wait=False)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            logger.error("a part of the server has failed and the process ends", exc_info=fault)
            os._exit(1)
