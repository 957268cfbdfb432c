"""Start-up: looks at the database, binds, says where clients connect, and hands over."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.apps import apps
from django.db import Error as DatabaseError
from django.db import connections

from faktory_django.errors import DatabaseNotMigrated, DatabaseNotReady
from faktory_django.lifecycle.connection import database
from faktory_django.lifecycle.install import check_database, unknown_migrations
from faktory_django.processes import dedicated, package_version

from . import handshake
from .launcher import EXIT_OK, Launcher, bind, tls_context

if TYPE_CHECKING:
    from .options import ServerOptions

logger = logging.getLogger(__name__)
CHECK_SECONDS: Final = 5.0


def start(options: ServerOptions) -> int:
    """Run a server and return its exit code.

    Raises DatabaseNotReady for a database that waiting does not help, OSError for an address or
    a certificate that cannot be used. A database that does not answer is waited for.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_before_the_start)
    for number in (signal.SIGHUP, signal.SIGTTIN):
        # would end or stop the process; what HUP asks for is about to be done anyway
        signal.signal(number, signal.SIG_IGN)
    # on_dead hooks and backoffs of jobs that fail on the wire
    apps.get_app_config("faktory_django").discover_jobs()  # type: ignore[attr-defined]
    database(options.database)
    tls_context(options)
    _look_at_database(options.database)
    sock = bind(options.host, options.port)
    host, port = sock.getsockname()[:2]
    scheme = "tcp+tls" if options.tls_cert else "tcp"
    shown = f"[{host}]" if ":" in host else host
    secret = ":password@" if options.password is not None else ""
    logger.info(
        "faktory_django %s: listening on %s://%s:%d, %d process%s, database %s; "
        "clients connect with FAKTORY_URL=%s://%s%s:%d",
        package_version(),
        scheme,
        shown,
        port,
        options.processes,
        "" if options.processes == 1 else "es",
        options.database,
        scheme,
        secret,
        shown,
        port,
    )
    if (
        options.password is not None
        and not options.tls_cert
        and not host.startswith(("127.", "::1"))
    ):
        logger.warning("the connections are not encrypted: whoever listens can guess the password")
    return Launcher(replace(options, host=host, port=port), sock).main()


def self_check(options: ServerOptions) -> str:
    """Connect as a client would, and return what was found. Raises OSError when it does not serve.

    A server without a right certificate for its name is asked all the same: it is for balancers.
    """
    target = (options.host or "127.0.0.1", options.port)
    with socket.create_connection(target, timeout=CHECK_SECONDS) as plain:
        sock: socket.socket = plain
        if options.tls_cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(plain)
        with sock, sock.makefile("rwb") as stream:
            greeting = stream.readline()
            try:
                hello = handshake.reply(greeting, options.password)
            except (ValueError, LookupError, TypeError):
                raise ConnectionError(
                    f"{target[0]}:{target[1]} is no server of this protocol: {greeting[:80]!r}"
                ) from None
            stream.write(b"HELLO " + hello + b"\r\n")
            stream.write(b"INFO\r\n")
            stream.flush()
            replies = [stream.readline(), stream.readline()]
    if replies[0] != b"+OK\r\n" or not replies[1].startswith(b"$"):
        words = b" ".join(replies).decode(errors="replace").strip()
        raise ConnectionError(f"{target[0]}:{target[1]} does not serve: {words or 'it hung up'}")
    return f"{target[0]}:{target[1]} serves"


def _look_at_database(alias: str) -> None:
    try:
        connection = dedicated(alias, role="server start")
        connection.ensure_connection()
        check_database(connection)
        if unknown := unknown_migrations(connection):
            logger.warning(
                "the database is newer than this version, which does not know %s: upgrade it",
                ", ".join(unknown),
            )
    except DatabaseNotMigrated as wrong:
        logger.warning("waiting: %s", wrong)
    except DatabaseNotReady:
        raise
    except DatabaseError as wrong:
        logger.warning(
            "waiting: the database does not answer: %s", str(wrong).strip().partition("\n")[0]
        )
    finally:
        connections.close_all()


def _stop_before_the_start(*_: Any) -> NoReturn:
    raise SystemExit(EXIT_OK)
