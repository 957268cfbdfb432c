"""`manage.py faktory_server`: workers and producers in other languages by the wire protocol."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from faktory_django import logs, settings
from faktory_django.errors import FaktoryError, InvalidOption
from faktory_django.wire import start
from faktory_django.wire.options import ServerOptions, server_options

EPILOG: Final = """\
The password comes from FAKTORY_PASSWORD (a value, or a path that begins with /) or from
settings.FAKTORY['SERVER_PASSWORD']; FAKTORY_SKIP_PASSWORD=1 leaves it out. Limits are settings.

Signals: TERM or INT stops, HUP reads the certificate again, TTIN writes all stacks to the log.

Exit codes: 0 stopped; 1 it could not start, or its processes keep dying, or a self-check failed;
2 a wrong option.
"""


class Command(BaseCommand):
    """Read the options, set up the logs, start the server."""

    help = "Serve the Faktory Work Protocol."
    stealth_options = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.epilog = EPILOG
        add = parser.add_argument
        add("-b", "--bind", help="HOST:PORT, by default 127.0.0.1:7419")
        add("-p", "--processes", type=int, help="processes on this address")
        add("--database", help="alias of the database that holds the jobs")
        add("--tls-cert", help="PEM file with the certificate; TLS only from then on")
        add("--tls-key", help="PEM file with its key, when it is not in the same file")
        add(
            "--strict", action="store_true", help="tight limits, no old clients, no FLUSH or MUTATE"
        )
        add(
            "--insecure-no-password",
            action="store_true",
            help="listen beyond this machine without a password",
        )
        add("--self-check", action="store_true", help="ask a running server whether it serves")
        add("--log-format", choices=["plain", "json"], default="plain")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped; exit with the server's code."""
        from django.conf import settings as project  # noqa: PLC0415, TID251 - DEBUG is not ours

        try:
            told = read_options(options)
            if options["self_check"]:
                self.stdout.write(start.self_check(told))
                return
            refuse_without_password(told, insecure=options["insecure_no_password"])
            logs.set_up(
                log_format=options["log_format"],
                verbosity=options["verbosity"],
                debug=project.DEBUG,
            )
            code = start.start(told)
        except InvalidOption as wrong:
            raise CommandError(str(wrong), returncode=2) from wrong
        except (FaktoryError, OSError) as wrong:  # ssl.SSLError is an OSError
            raise CommandError(str(wrong)) from wrong
        sys.exit(code)


def read_options(given: dict[str, Any]) -> ServerOptions:
    """Return what the command line, the environment and the settings say, in this order.

    Raises InvalidOption, which names the value and the limit.
    """
    ours = settings.get()
    alias = given.get("database") or ours.database
    if alias not in connections:
        known = ", ".join(connections)
        raise InvalidOption(f"--database must be an alias in DATABASES ({known}), got {alias!r}")
    told = server_options(
        ours,
        database=alias,
        bind=address(given.get("bind") or ours.server_bind),
        password=read_password(ours.server_password),
    )
    if (processes := given.get("processes")) is not None:
        settings.check_value("server_processes", processes, name_shown="--processes")
        told = replace(told, processes=processes)
    cert, key = given.get("tls_cert") or told.tls_cert, given.get("tls_key") or told.tls_key
    if key and not cert:
        raise InvalidOption(f"--tls-key needs --tls-cert, got only {key!r}")
    told = replace(told, tls_cert=cert, tls_key=key)
    return told.strict() if given.get("strict") else told


def address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, [::1]:PORT or :PORT. Raises InvalidOption."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise InvalidOption(f"--bind must be HOST:PORT with a port from 0 to 65535, got {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def read_password(setting: str) -> bytes | None:
    """Return the password: FAKTORY_PASSWORD, then the setting; a path names a file.

    White space at both ends of a file is dropped. Raises InvalidOption.
    """
    if os.environ.get("FAKTORY_SKIP_PASSWORD", "").lower() in {"1", "true", "yes"}:
        return None
    value = os.environ.get("FAKTORY_PASSWORD") or setting
    if not value.startswith("/"):
        return value.encode() or None
    try:
        password = Path(value).read_bytes().strip()
    except OSError as wrong:
        raise InvalidOption(f"the password file cannot be read: {wrong}") from None
    if not password:
        raise InvalidOption(f"the password file {value} is empty")
    return password


def refuse_without_password(told: ServerOptions, *, insecure: bool) -> None:
    """Raise InvalidOption for an address beyond this machine without a password."""
    if told.password is None and not insecure and not _is_loopback(told.host):
        raise InvalidOption(
            f"--bind {told.host or '*'}:{told.port} is reachable from other machines: set "
            "FAKTORY_PASSWORD, or say --insecure-no-password"
        )


def _is_loopback(host: str) -> bool:
    if not host:
        return False
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(a).partition("%")[0]).is_loopback for a in found)
