"""The examples run, as they stand on the pages."""

from __future__ import annotations

import sys
import threading
import unittest
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from django.dispatch import Signal

from faktory_django import crontab, registry, signals

from .pages import ROOT, blocks, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from .pages import Block

    Play = Callable[..., dict[str, Any]]

BLOCKS = [pytest.param(block, id=block.name) for page in pages() for block in blocks(page)]
# Their examples are run one after the other, in one namespace for each page.
RUN = [
    ROOT / "README.md",
    ROOT / "docs" / "reference" / "api.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]


@pytest.fixture(autouse=True)
def a_key(override_faktory: Any) -> None:
    """Have a key, for jobs whose arguments are encrypted."""
    override_faktory(ENCRYPTION_KEYS=[Fernet.generate_key().decode()])


@pytest.fixture(autouse=True)
def mailers(settings: Any) -> None:
    """Name the mailer: newer versions of Django have no default one."""
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}


def _own(known: Mapping[str, registry.Definition]) -> set[str]:
    """Return what a page may find: it is a project of its own, and other jobs have its names.

    The tutorial tells of example_project.pages.
    """
    rooms = ("faktory_django.", "example_project.pages.")
    return {name for name, d in known.items() if d.function.__module__.startswith(rooms)}


@pytest.fixture
def play() -> Iterator[Play]:
    """Return a function that runs the examples of a page; what they register is forgotten."""
    known, cron = dict(registry._definitions), dict(crontab._in_code)
    for name in known.keys() - _own(known):
        del registry._definitions[name]
    receivers = {
        signal: list(signal.receivers)
        for signal in vars(signals).values()
        if isinstance(signal, Signal)
    }
    modules = set(sys.modules)

    def run(page: Path, *, holding: str = "") -> dict[str, Any]:
        namespace = ModuleType(f"docs_{page.stem.replace('-', '_')}")
        sys.modules[namespace.__name__] = namespace
        for block in [block for block in blocks(page) if holding in block.text]:
            home = _module(block) or namespace
            exec(compile(block.text, block.name, "exec"), home.__dict__)  # noqa: S102
            if home is not namespace:
                namespace.__dict__.update(_public(home))
        return namespace.__dict__

    yield run
    crontab._in_code.clear()
    crontab._in_code.update(cron)
    registry._definitions.clear()
    registry._definitions.update(known)
    for signal, connected in receivers.items():
        signal.receivers[:] = connected
        signal.sender_receivers_cache.clear()
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "shop" or name.startswith("docs_"):
            del sys.modules[name]


@pytest.fixture
def site() -> Iterator[str]:
    """Serve one page on this machine."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<title>Hello</title>")

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("block", BLOCKS)
def test_an_example_is_python(block: Block) -> None:
    compile(block.text, block.name, "exec")


@pytest.mark.django_db
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, play: Play) -> None:
    assert play(page)


@pytest.mark.django_db
def test_the_job_of_the_readme_sends_its_mail(play: Play, mailoutbox: list[Any]) -> None:
    from faktory_django.testing import drain

    play(ROOT / "README.md")

    drained = drain()

    assert drained.ran == ["shop.jobs.send_welcome"]
    assert [mail.subject for mail in mailoutbox] == ["Welcome"]


@pytest.mark.django_db
def test_the_jobs_of_the_how_tos_run(play: Play, mailoutbox: list[Any]) -> None:
    from faktory_django.testing import drain

    page = ROOT / "docs" / "how-to"
    play(page / "arguments-and-other-languages.md")
    play(page / "encrypt-arguments.md")
    play(page / "transactions-and-databases.md")

    drained = drain()

    assert drained.ran == [
        "docs_arguments_and_other_languages.book",
        "shop.jobs.charge",
        "docs_transactions_and_databases.send_welcome",
        "docs_transactions_and_databases.local",
    ]
    assert len(mailoutbox) == 1


@pytest.mark.django_db
def test_the_middleware_of_the_how_to_is_run(
    play: Play, override_faktory: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from faktory_django import current_job, job
    from faktory_django.testing import drain

    namespace = play(ROOT / "docs" / "how-to" / "middleware-and-signals.md")
    override_faktory(**namespace["FAKTORY"])

    told = []

    @job
    def show() -> None:
        told.append((namespace["request_id"].get(), current_job().custom))
        raise ValueError("no")

    namespace["request_id"].set("abc")
    show.perform_async()
    namespace["request_id"].set("")
    drain(raise_errors=False)

    assert told == [("abc", {"request_id": "abc"})]
    assert capsys.readouterr().out.endswith("no\n")


@pytest.mark.django_db
def test_the_periodic_jobs_of_the_how_to_are_pushed(play: Play, override_faktory: Any) -> None:
    from django.db import connection

    from faktory_django.api.cron import declare_settings
    from faktory_django.lifecycle.cron import Scheduler
    from faktory_django.maintenance import Maintenance
    from faktory_django.models import CronEntry, Job

    namespace = play(ROOT / "docs" / "how-to" / "periodic-jobs.md")
    override_faktory(**namespace["FAKTORY"])
    declare_settings()
    Maintenance().declare_cron(connection)
    CronEntry.objects.update(next_at=datetime.now(UTC))
    Scheduler().run(connection, seconds=10)
    crontab.declare_settings([])

    pushed = dict(Job.objects.values_list("jobtype", "queue"))
    assert pushed["ExportJob"] == "exports"
    assert pushed["shop.jobs.refresh_prices"] == "reports"
    assert Job.objects.filter(jobtype="shop.jobs.clean").count() == 2


@pytest.mark.django_db
def test_the_limits_of_the_how_to_hold(play: Play, override_faktory: Any) -> None:
    from django.db import connection

    from faktory_django import settings
    from faktory_django.lifecycle import throttles
    from faktory_django.models import LimitedJob, LimitSlot, RateUse
    from faktory_django.testing import drain

    namespace = play(ROOT / "docs" / "how-to" / "limits-and-throttles.md")
    override_faktory(**namespace["FAKTORY"])
    throttles.declare(connection, settings.get().throttles)
    namespace["at_night"]()
    namespace["sync_account"].perform_bulk([[42]] * 4)
    namespace["send_mail"].perform_async("a@example.com")
    namespace["transfer"].perform_async("DE02", 5)
    waiting = dict(LimitedJob.objects.values_list("key", "allowed"))

    ran = drain().ran

    assert [(t.queue, t.concurrency) for t in throttles.listed()] == [
        ("imports", 50),
        ("scrape", 3),
    ]
    assert waiting == {
        "shop.jobs.sync_account account_id=42": 3,
        "shop.jobs.send_mail per 60 s": 100,
        "bank per 1 s": 10,
    }
    assert len(ran) == 6
    assert RateUse.objects.count() == 2
    assert not LimitSlot.objects.exists()


@pytest.mark.django_db
def test_the_health_of_the_how_to_is_asked(play: Play) -> None:
    namespace = play(ROOT / "docs" / "how-to" / "deploy-and-operate.md")

    assert namespace["health"]() == {
        "a worker lives": False,
        "no job is late": True,
        "none died today": True,
    }


@pytest.mark.django_db
def test_the_on_dead_hook_of_the_how_to_is_called(
    play: Play, capsys: pytest.CaptureFixture[str]
) -> None:
    from faktory_django.models import RetryJob
    from faktory_django.testing import drain

    namespace = play(ROOT / "docs" / "how-to" / "retries-and-errors.md")
    handle = namespace["charge"].set(retry=-1).perform_async(7)

    drain(raise_errors=False)

    assert capsys.readouterr().out == f"{handle.jid} [7] the card was refused\n"
    assert not RetryJob.objects.exists()


@pytest.mark.usefixtures("django_db_setup")
@pytest.mark.parametrize("name", ["tutorial.md", "how-to/test-jobs.md"])
def test_the_test_cases_of_a_page_pass(name: str, play: Play, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        cases = [
            value
            for value in play(ROOT / "docs" / name, holding="(TestCase)").values()
            if isinstance(value, type) and issubclass(value, unittest.TestCase)
            if value.__module__ != "django.test.testcases"
        ]
        suite = unittest.TestSuite(
            unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases
        )
        result = unittest.TestResult()
        suite.run(result)

    assert result.testsRun >= 2
    assert result.failures + result.errors == []


def test_the_job_of_the_tutorial_is_that_of_the_example_project() -> None:
    file = "example_project/pages/jobs.py"
    told = [block for block in blocks(ROOT / "docs" / "tutorial.md") if block.file == file]
    kept = (ROOT / file).read_text("utf-8")
    plain = "\n".join(line.partition("  # noqa")[0] for line in kept.splitlines()[2:])

    assert told[0].text.partition("\n")[2].strip() == plain.strip()


@pytest.mark.django_db
def test_the_job_of_the_tutorial_fetches_a_page(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from example_project.pages.jobs import fetch_url
    from example_project.pages.models import Page
    from faktory_django.testing import drain

    fetch_url.perform_async(site)

    drain()

    assert Page.objects.get().title == "Hello"
    assert "200, 20 bytes" in capsys.readouterr().out


@pytest.mark.django_db
def test_the_failing_job_of_the_tutorial_waits_in_the_retries() -> None:
    from example_project.pages.jobs import fetch_url
    from faktory_django.models import RetryJob, ScheduledJob
    from faktory_django.testing import drain

    fetch_url.perform_in(2, "http://no-such-host.invalid/")
    assert ScheduledJob.objects.count() == 1
    fetch_url.perform_async("http://no-such-host.invalid/")

    drain(raise_errors=False)

    assert RetryJob.objects.get().failure_hash["retry_count"] == 0


def _module(block: Block) -> ModuleType | None:
    """Return the module that a block says it is, made anew, with its packages."""
    if block.file is None or block.file == "settings.py":
        return None
    name = block.file.removesuffix(".py").replace("/", ".")
    if name.startswith("example_project."):
        return ModuleType(f"docs_{block.page.stem}_{block.line}")
    *packages, _ = name.split(".")
    for depth in range(len(packages)):
        package = ".".join(packages[: depth + 1])
        sys.modules.setdefault(package, ModuleType(package))
    sys.modules[name] = ModuleType(name)
    return sys.modules[name]


def _public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}
