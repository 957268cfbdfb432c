"""A real PostgreSQL for every test but the units: the one of DATABASE_URL, or an embedded one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import environ
import pytest
from django.conf import settings

from example_project.postgres import EmbeddedPostgres
from faktory_django import registry
from faktory_django.dashboard import kept

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = Path(__file__).parent / "unit"

_server: EmbeddedPostgres | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Start the embedded server before anything connects; tests never skip for want of one."""
    global _server
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs so, and what the tests start would be deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if distributes(config):
        return
    if "DATABASE_URL" not in os.environ:
        if all(is_a_unit(asked) for asked in config.args):
            return
        _server = EmbeddedPostgres(fsync=False)
        _server.start()
        os.environ["DATABASE_URL"] = _server.url
    settings.DATABASES["default"].update(environ.Env().db("DATABASE_URL"))


def distributes(config: pytest.Config) -> bool:
    """Tell whether this process hands the tests to others (pytest -n), each with its own server."""
    return bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")


def is_a_unit(asked: str) -> bool:
    """Tell whether what was asked for on the command line needs no database."""
    return Path(asked.partition("::")[0]).resolve().is_relative_to(UNITS)


def pytest_unconfigure() -> None:
    """Stop the embedded server."""
    if _server is not None:
        _server.stop()


@pytest.fixture(scope="session", autouse=True)
def all_jobs_are_known() -> None:
    """Import the jobs of all apps before a test that puts the registry back as it was."""
    registry.discovered("nobody")


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Let the dashboard show nothing of another test's database."""
    kept.forget_all()


@pytest.fixture
def override_faktory(settings: Any) -> Callable[..., None]:
    """Return a function that sets keys of settings.FAKTORY for one test."""

    def override(**keys: Any) -> None:
        settings.FAKTORY = {**getattr(settings, "FAKTORY", {}), **keys}

    return override
