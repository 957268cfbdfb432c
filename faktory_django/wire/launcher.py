"""The launcher: binds the address, forks servers as many as asked for, keeps them going.

One thread, no database, no clients: whatever a server does, the launcher goes on. All servers
accept from one listening socket, so that one that restarts leaves no gap.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import resource
import select
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.db import connections

from faktory_django.processes import die_with_parent, forget_inherited

from .server import Server

if TYPE_CHECKING:
    from .options import ServerOptions

logger = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
KILL_AFTER_SECONDS: Final = 3.0
# Open files beside the connections of clients.
SPARE_FILES: Final = 128
QUICK_DEATH_SECONDS: Final = 10.0
MAX_QUICK_DEATHS: Final = 10
SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN})


class Launcher:
    """Starts servers and ends with all of them ended."""

    def __init__(self, options: ServerOptions, sock: socket.socket) -> None:
        self.options = options
        self._sock = sock
        self._pids: dict[int, float] = {}
        self._stopping_since: float | None = None
        self._quick_deaths = 0
        self._exit_code = EXIT_OK
        self._life_line, self._life_end = os.pipe()
        self._bell_in, self._bell_out = socket.socketpair()

    def main(self) -> int:
        """Run until told to stop; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        for number in (signal.SIGHUP, signal.SIGTTIN):
            signal.signal(number, self._pass_on)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for bell in (self._bell_in, self._bell_out):
            bell.settimeout(0)
        signal.set_wakeup_fd(self._bell_in.fileno(), warn_on_full_buffer=False)
        connections.close_all()
        gc.collect()
        gc.freeze()
        while self._stopping_since is None or self._pids:
            self._start_missing()
            readable, _, _ = select.select([self._bell_out], [], [], 0.5)
            if readable:
                self._bell_out.recv(4_096)
            self._look_after()
        signal.set_wakeup_fd(-1)
        for end in (self._bell_in, self._bell_out, self._sock):
            end.close()
        for pipe in (self._life_line, self._life_end):
            os.close(pipe)
        logger.info("the server has ended")
        return self._exit_code

    def _start_missing(self) -> None:
        while self._stopping_since is None and len(self._pids) < self.options.processes:
            self._start()

    def _start(self) -> None:
        if self._quick_deaths > 3:
            time.sleep(min(5.0, 2.0 ** (self._quick_deaths - 6)))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # A signal between fork and the server's own handlers would run ours in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            os.close(self._life_end)
            _run_server(self.options, self._sock, self._life_line)
        self._pids[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _look_after(self) -> None:
        now = time.monotonic()
        for pid, started in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[pid]
                self._bury(pid, os.waitstatus_to_exitcode(status), now - started)
            elif self._is_overdue(now):
                logger.error("server %d does not end and is killed", pid)
                _send(pid, signal.SIGKILL)

    def _bury(self, pid: int, code: int, seconds: float) -> None:
        if self._stopping_since is not None:
            return
        logger.error("server %d died with code %d and is replaced", pid, code)
        self._quick_deaths = self._quick_deaths + 1 if seconds < QUICK_DEATH_SECONDS else 0
        if self._quick_deaths >= MAX_QUICK_DEATHS:
            logger.error("%d servers died right after their start", self._quick_deaths)
            self._exit_code = EXIT_FAILED
            self._stop()

    def _is_overdue(self, now: float) -> bool:
        grace = self.options.grace_seconds + KILL_AFTER_SECONDS
        return self._stopping_since is not None and now >= self._stopping_since + grace

    def _stop(self) -> None:
        self._stopping_since = time.monotonic()
        for pid in self._pids:
            _send(pid, signal.SIGTERM)

    def _on_stop(self, *_: Any) -> None:
        if self._stopping_since is None:
            self._stop()
            logger.info("stopping")

    def _pass_on(self, number: int, _frame: Any) -> None:
        for pid in self._pids:
            _send(pid, signal.Signals(number))


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises OSError, which names it."""
    try:
        return _bound(host, port)
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
        raise OSError(f"cannot listen on {host or '*'}:{port}: {reason}") from None


def _bound(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # inherited by the connections: a dead peer is noticed in a minute
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    sock.bind(address)
    sock.listen(1_024)
    sock.settimeout(0)
    return sock


def tls_context(options: ServerOptions) -> ssl.SSLContext | None:
    """Return what TLS needs, or None. Raises OSError for files that do not serve."""
    if not options.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key or None)
    except OSError as wrong:  # ssl.SSLError is one
        files = " with ".join(filter(None, (options.tls_cert, options.tls_key)))
        raise OSError(f"the certificate {files} cannot be used: {wrong}") from None
    return context


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _run_server(options: ServerOptions, sock: socket.socket, life_line: int) -> NoReturn:
    """Be a server, in a process that was just forked; never returns."""
    code = EXIT_FAILED
    try:
        forget_inherited()
        die_with_parent()
        faulthandler.register(signal.SIGTTIN, all_threads=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher tells us
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _raise_file_limit(options.connections)
        # nesting of JSON is recursion
        sys.setrecursionlimit(max(sys.getrecursionlimit(), options.job_depth + 500))
        _new_event_loop().run_until_complete(_serve(options, sock, life_line))
        code = EXIT_OK
    except BaseException:
        logger.exception("the server cannot run")
    logging.shutdown()
    os._exit(code)


def _raise_file_limit(connections: int) -> None:
    """Let this process have a file for each connection, as far as the system allows."""
    wanted = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        logger.warning("%d open files are allowed, SERVER_CONNECTIONS needs %d", allowed, wanted)


async def _serve(options: ServerOptions, sock: socket.socket, life_line: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    tls = tls_context(options)

    def reload() -> None:
        if tls is None:
            return
        try:
            tls.load_cert_chain(options.tls_cert, options.tls_key or None)
            logger.info("the certificate was read again")
        except OSError as wrong:  # ssl.SSLError is one
            logger.error("the certificate cannot be read, the old one stays: %s", wrong)

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_reader(life_line, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    await Server(options, tls=tls).run(sock, stop)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it is installed: it takes up to a fifth less CPU."""
    try:
        import uvloop  # noqa: PLC0415 - an extra
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
