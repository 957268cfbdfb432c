"""What tests need of npm: installed once for each package-lock.json, outside of the sources."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

# Kept from run to run, and git does not see it.
INSTALLED: Final = Path(__file__).parent.parent / ".ci" / "node"
MISSING: Final = "apt-get install nodejs npm"


def installed(sources: Path) -> Path:
    """Install what package-lock.json in a folder names, when it has changed; return where."""
    wanted = hashlib.sha256((sources / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = INSTALLED / wanted
    if folder.exists():
        return folder
    INSTALLED.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=INSTALLED))
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(sources / name, made)
    command = [found("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"npm ci failed:\n{done.stderr}"
    with suppress(OSError):  # another run of the tests was faster
        made.rename(folder)
    shutil.rmtree(made, ignore_errors=True)
    return folder


def found(program: str, *, missing: str = MISSING) -> str:
    """Return the path of a program; a test fails where it is not installed."""
    path = shutil.which(program)
    assert path, f"{program} is missing: {missing}"
    return path
