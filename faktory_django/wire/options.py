"""What a server was told: settings, then environment, then command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faktory_django import settings
from faktory_django.features.history import Defaults

from .jobs import Limits
from .requests import RequestLimits
from .session import Permissions

if TYPE_CHECKING:
    from faktory_django.settings import FaktorySettings

MEBIBYTE = 1_048_576


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Bytes, seconds and counts as the names say; the settings SERVER_... say what each means."""

    database: str
    host: str
    port: int
    processes: int
    password: bytes | None
    tls_cert: str
    tls_key: str
    grace_seconds: float
    connections: int
    hello_bytes: int
    hello_seconds: float
    logins_per_minute: int
    line_bytes: int
    line_seconds: float
    job_bytes: int
    job_depth: int
    bulk_jobs: int
    fetch_queues: int
    idle_seconds: float
    write_seconds: float
    buffer_bytes: int
    command_seconds: float
    old_clients: bool
    mutations: bool

    @property
    def permissions(self) -> Permissions:
        """What clients may do."""
        return Permissions(self.old_clients, self.mutations, self.password)

    @property
    def request_limits(self) -> RequestLimits:
        """What one command may hold."""
        jobs = Limits(self.job_bytes, self.job_depth, Defaults.of(settings.get()))
        return RequestLimits(jobs, self.bulk_jobs, self.fetch_queues)

    def strict(self) -> ServerOptions:
        """Return the tight limits, for a server whose clients are not all trusted."""
        return replace(
            self,
            line_bytes=min(self.line_bytes, 4 * MEBIBYTE),
            line_seconds=min(self.line_seconds, 15.0),
            job_bytes=min(self.job_bytes, MEBIBYTE),
            job_depth=min(self.job_depth, 100),
            bulk_jobs=min(self.bulk_jobs, 1_000),
            fetch_queues=min(self.fetch_queues, 100),
            idle_seconds=self.idle_seconds or 900.0,
            old_clients=False,
            mutations=False,
        )


def server_options(
    ours: FaktorySettings, *, database: str, bind: tuple[str, int], password: bytes | None
) -> ServerOptions:
    """Return what the settings say, at this address."""
    return ServerOptions(
        database=database,
        host=bind[0],
        port=bind[1],
        processes=ours.server_processes,
        password=password,
        tls_cert=ours.server_tls_cert,
        tls_key=ours.server_tls_key,
        grace_seconds=ours.server_grace_seconds,
        connections=ours.server_connections,
        hello_bytes=ours.server_hello_bytes,
        hello_seconds=ours.server_hello_seconds,
        logins_per_minute=ours.server_logins_per_minute,
        line_bytes=ours.server_line_bytes,
        line_seconds=ours.server_line_seconds,
        job_bytes=ours.server_job_bytes,
        job_depth=ours.server_job_depth,
        bulk_jobs=ours.server_bulk_jobs,
        fetch_queues=ours.server_fetch_queues,
        idle_seconds=ours.server_idle_seconds,
        write_seconds=ours.server_write_seconds,
        buffer_bytes=ours.server_buffer_bytes,
        command_seconds=ours.server_command_seconds,
        old_clients=ours.server_old_clients,
        mutations=ours.server_mutations,
    )
