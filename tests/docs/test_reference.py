"""The reference says what the code says, all of it and nothing else."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management.base import BaseCommand, CommandParser
from django.dispatch import Signal

import faktory_django
from faktory_django import checks, errors, models, payload, signals, testing, throttling
from faktory_django.api import cron, cron_check, jobs, options, requests
from faktory_django.features import limits
from faktory_django.lifecycle import install
from faktory_django.management.commands import (
    faktory_import_cron,
    faktory_import_throttles,
    faktory_server,
)
from faktory_django.management.commands.faktory_worker import Command
from faktory_django.settings import FaktorySettings, default_of
from faktory_django.wire.options import ServerOptions, server_options

from .pages import REFERENCE, headings, names, prose, rows, section

API = REFERENCE / "api.md"
SETTINGS = REFERENCE / "settings.md"
WORKER = REFERENCE / "worker.md"
SERVER = REFERENCE / "server.md"
ERRORS = REFERENCE / "errors.md"
TABLES = REFERENCE / "tables.md"
PACKAGE = Path(faktory_django.__file__).parent


def first_names(text: str) -> list[str]:
    return [name for row in rows(text) for name in names(row[0])]


def documented_settings() -> dict[str, list[str]]:
    parts = (
        *("Where jobs live, and what a push may hold", "The worker"),
        *("The wire server", "The dashboard", "Upkeep", "What is kept", "Throttles"),
        "Periodic jobs",
    )
    found = [row for part in parts for row in rows(section(SETTINGS, part))]
    return {names(row[0])[0]: row for row in found}


def test_each_setting_is_documented_and_no_other() -> None:
    assert sorted(documented_settings()) == sorted(f.name.upper() for f in fields(FaktorySettings))


@pytest.mark.parametrize("option", fields(FaktorySettings), ids=lambda option: option.name)
def test_a_setting_has_the_type_default_and_limits_that_its_page_says(option: Any) -> None:
    _, kind, default, limits, _ = documented_settings()[option.name.upper()]

    assert kind == type(default_of(option)).__name__
    assert ast.literal_eval(names(default)[0]) == default_of(option)
    low, high = option.metadata.get("low"), option.metadata.get("high")
    assert limits == ("" if low is None else f"{low} to {high}")


def test_each_system_check_is_documented_and_no_other() -> None:
    sources = (Path(str(module.__file__)).read_text("utf-8") for module in (checks, cron_check))
    known = re.findall(r"faktory_django\.[EW]\d{3}", "".join(sources))

    assert sorted(first_names(section(SETTINGS, "System checks"))) == sorted(set(known))


def test_each_public_name_is_documented_and_no_other() -> None:
    found = re.findall(r"^### `([\w.]+)`$", prose(API), re.MULTILINE)

    assert sorted(found) == sorted([*faktory_django.__all__, "faktory_django.testing.drain"])


def test_each_option_of_a_job_is_documented_and_no_other() -> None:
    documented = rows(section(API, "`job`"))

    assert [names(row[0])[0] for row in documented] == [*options.JOB_OPTIONS]


@pytest.mark.parametrize("option", ["priority", "retry", "reserve_for", "backtrace"])
def test_an_option_has_the_limits_that_its_page_says(option: str) -> None:
    limits = {names(row[0])[0]: row[3] for row in rows(section(API, "`job`"))}[option]
    low, high = (int(limit) for limit in limits.split(" to "))

    for value in (low, high):
        options.check_options({option: value}, options.JOB_OPTIONS)
    for value in (low - 1, high + 1):
        with pytest.raises(errors.InvalidOption):
            options.check_options({option: value}, options.JOB_OPTIONS)


def test_each_option_of_periodic_is_documented_and_no_other() -> None:
    documented = [names(row[0])[0] for row in rows(section(API, "`periodic`"))]

    assert documented == [*inspect.signature(cron.periodic).parameters]


def test_each_key_of_a_cron_entry_is_documented() -> None:
    [row] = rows(section(SETTINGS, "Periodic jobs"))

    assert set(names(row[4])) == set(cron.KEYS)


def test_each_option_of_the_import_is_documented_and_no_other() -> None:
    page = REFERENCE.parent / "how-to" / "periodic-jobs.md"
    options = _options(faktory_import_cron.Command()) - {"files"}

    assert set(first_names(section(page, "From Faktory's files"))) == options


def test_each_option_of_the_import_of_throttles_is_documented_and_no_other() -> None:
    page = REFERENCE.parent / "how-to" / "limits-and-throttles.md"
    options = _options(faktory_import_throttles.Command()) - {"files"}

    assert set(first_names(section(page, "From Faktory's files"))) == options


def test_each_key_of_a_throttle_is_documented() -> None:
    page = REFERENCE.parent / "how-to" / "limits-and-throttles.md"

    assert tuple(first_names(section(page, "Throttle a queue"))) == throttling.KEYS


def test_each_key_of_a_limit_in_custom_is_documented() -> None:
    page = REFERENCE.parent / "how-to" / "limits-and-throttles.md"
    found = rows(section(page, "Workers and clients of other languages"))

    assert tuple(name for row in found for name in names(row[0])) == limits.KEYS


def test_each_member_of_a_job_is_documented() -> None:
    text = section(API, "`Job`")
    documented = {name.partition("(")[0] for name in first_names(text)}
    public = {name for name in vars(jobs.Job) if not name.startswith("_")}

    assert documented == public


def test_each_member_of_the_current_job_is_documented() -> None:
    documented = set(first_names(section(API, "`CurrentJob`")))
    struct = faktory_django.CurrentJob
    public = {*struct.__struct_fields__, *(n for n in vars(struct) if not n.startswith("_"))}

    assert documented == public


def test_each_member_of_a_push_request_is_documented() -> None:
    documented = {
        name
        for row in rows(section(API, "Middleware"))
        for name in names(row[0])
        if name != "PushRequest"
    }

    assert documented == set(requests.PushRequest.__struct_fields__)


def test_each_signal_is_documented_and_no_other() -> None:
    known = [name for name, value in vars(signals).items() if isinstance(value, Signal)]

    assert sorted(first_names(section(API, "Signals"))) == sorted(known)


def test_drain_takes_what_its_page_says() -> None:
    drain = section(API, "`faktory_django.testing.drain`")

    assert "drain(*queues, using=None, raise_errors=True, limit=1000)" in drain
    assert testing.drain.__kwdefaults__ == {"using": None, "raise_errors": True, "limit": 1_000}


def test_each_option_of_the_worker_is_documented_and_no_other() -> None:
    assert set(first_names(section(WORKER, "Options"))) == _options(Command())


def test_each_environment_variable_of_the_worker_is_documented_and_no_other() -> None:
    documented = {name for row in rows(section(WORKER, "Options")) for name in names(row[1])}
    source = Path(_file_of(Command)).read_text("utf-8")
    spelled = set(re.findall(r"FAKTORY_WORKER_[A-Z_]*[A-Z]", source))
    numbers = {f"FAKTORY_WORKER_{name.upper()}" for name in re.findall(r'number\("(\w+)"', source)}

    assert documented == numbers | (spelled - {"FAKTORY_WORKER_"})


def test_each_setting_beside_an_option_of_the_worker_exists() -> None:
    named = {name for row in rows(section(WORKER, "Options")) for name in names(row[2])}

    assert named <= {f.name.upper() for f in fields(FaktorySettings)}


def test_each_line_of_the_log_is_documented_and_no_other() -> None:
    lines = [row[2] for row in rows(section(WORKER, "Logs")) if len(row) == 3]
    documented = {name for line in lines for name in names(line)[:1]}

    sources = [*PACKAGE.glob("worker/*.py"), *PACKAGE.glob("lifecycle/*.py")]
    logged = _logged(*sources, PACKAGE / "maintenance.py")
    assert {line for line in documented if " " in line} == logged


def test_each_option_of_the_server_is_documented_and_no_other() -> None:
    assert set(first_names(section(SERVER, "Options"))) == _options(faktory_server.Command())


def test_each_environment_variable_of_the_server_is_documented_and_no_other() -> None:
    documented = {name for row in rows(section(SERVER, "Options")) for name in names(row[1])}
    source = Path(faktory_server.__file__).read_text("utf-8")

    assert documented == set(re.findall(r'environ\.get\("(FAKTORY_\w+)"', source))


def test_each_setting_on_the_page_of_the_server_exists() -> None:
    named = {name for row in rows(section(SERVER, "Options")) for name in names(row[2])}

    assert named <= {f.name.upper() for f in fields(FaktorySettings)}


def test_strict_is_what_its_page_says() -> None:
    default = server_options(
        FaktorySettings(), database="default", bind=("127.0.0.1", 0), password=None
    )
    strict = default.strict()
    documented = {names(row[0])[0]: row[1:] for row in rows(section(SERVER, "Strict"))}
    changed = {
        f"SERVER_{f.name.upper()}"
        for f in fields(ServerOptions)
        if getattr(default, f.name) != getattr(strict, f.name)
    }

    assert set(documented) == changed
    for name, texts in documented.items():
        option = name.removeprefix("SERVER_").lower()
        for told, text in zip((default, strict), texts, strict=True):
            assert _shown(getattr(told, option)) == text, name


def test_each_line_of_the_log_of_the_server_is_documented_and_no_other() -> None:
    documented = {name for row in rows(section(SERVER, "Logs")) for name in names(row[2])}

    assert documented == _logged(*PACKAGE.glob("wire/*.py"))


def test_each_error_is_documented_with_its_bases_and_no_other() -> None:
    known = {
        name: [base.__name__ for base in kind.__bases__]
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    documented = {names(row[0])[0]: names(row[1]) for row in rows(prose(ERRORS))}

    assert documented == known


def test_the_tree_of_errors_names_each_and_marks_the_public_ones() -> None:
    tree = re.findall(r"(\w+)( \*)?$", _tree(), re.MULTILINE)
    known = {row[0].strip("`") for row in rows(prose(ERRORS))}

    assert {name for name, _ in tree} == known
    assert {name for name, mark in tree if mark} == known & set(faktory_django.__all__)


def test_each_model_and_column_is_documented_and_no_other() -> None:
    ours = apps.get_app_config("faktory_django").get_models()
    known = {model.__name__: model for model in ours if not model._meta.proxy}
    assert set(known) <= set(models.__all__)
    documented = [heading for heading in headings(TABLES) if heading in known]
    assert sorted(documented) == sorted(known)

    for name, model in known.items():
        text = section(TABLES, name)
        columns = {f.column for f in model._meta.concrete_fields if f.column}
        columns -= {"pk"}

        assert f"`{model._meta.db_table}`" in text
        assert set(first_names(text)) == columns, name


def test_each_function_of_the_database_is_documented_and_no_other() -> None:
    made = re.findall(r"FUNCTION (faktory_django_\w+)\(", "\n".join(install.FUNCTIONS))

    assert sorted(first_names(section(TABLES, "Functions"))) == sorted(set(made))


def test_the_histograms_have_the_bounds_that_their_page_says() -> None:
    text = " ".join(prose(TABLES).split())
    bounds = [f"{bound:g}" for bound in models.BUCKET_SECONDS]

    assert f"{models.BUCKETS} buckets" in text
    assert f"{', '.join(bounds[:-1])} and {bounds[-1]} seconds" in text


def test_the_key_of_our_notes_is_the_documented_one() -> None:
    assert payload.MARK == "faktory_django"


def _file_of(kind: type) -> str:
    import sys

    return str(sys.modules[kind.__module__].__file__)


def _tree() -> str:
    return ERRORS.read_text("utf-8").partition("```text\n")[2].partition("```")[0]


def _options(command: BaseCommand) -> set[str]:
    """Return the options that a command adds to those of Django."""
    ours = CommandParser()
    command.add_arguments(ours)
    return {text for action in ours._actions for text in action.option_strings} - {"-h", "--help"}


def _shown(value: float | bool) -> str:
    """Return a limit as the page of the server writes it."""
    if isinstance(value, bool):
        return "allowed" if value else "refused"
    if isinstance(value, float):
        return f"{value:g} s" if value else "off"
    return f"{value // 2**20} MiB" if value and value % 2**20 == 0 else str(value)


def _logged(*sources: Path) -> set[str]:
    """Return the constant messages of the loggers in some files."""
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner, method = node.func.value, node.func.attr
            if isinstance(owner, ast.Name) and owner.id.endswith("logger"):
                place = 1 if method == "log" else 0
                if method in {"debug", "info", "warning", "error", "exception", "log"}:
                    found.add(_text(node.args[place]))
    return found


def _text(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant)
    return str(node.value).replace("\n", "\\n")
