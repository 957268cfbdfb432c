"""Faktory's throttles.toml is read, imported, and what is wrong with it is said."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

from faktory_django import InvalidOption
from faktory_django.api.throttles_toml import throttles_of
from faktory_django.lifecycle import throttles
from faktory_django.throttling import Limits

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
[throttles]
  scrape  = { concurrency = 3, timeout = 90 }
  imports = { worker = 2, timeout = 90 }
"""


def test_throttles_are_read_as_faktory_writes_them() -> None:
    found = throttles_of([TOML, "[cron]", "[throttles]\nimports = { worker = 4 }"])

    assert found == {"scrape": Limits(3, None, 90.0), "imports": Limits(None, 4, None)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[throttles", "not TOML"),
        ("throttles = 5", r"a \[throttles\] table"),
        ('[throttles]\n"a b" = { worker = 1 }', "a queue name is 1 to 100 characters"),
        ("[throttles]\na = 5", r"\[throttles\] 'a' must be a dict"),
        ("[throttles]\na = { max = 5 }", r"\[throttles\] 'a' has no key 'max'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        throttles_of([text])


@pytest.mark.django_db
def test_files_are_imported_once_and_changed_when_they_have_changed(tmp_path: Path) -> None:
    file = tmp_path / "throttles.toml"
    file.write_text(TOML, encoding="utf-8")

    def run(*options: str) -> list[str]:
        out = StringIO()
        call_command("faktory_import_throttles", str(file), *options, stdout=out)
        return out.getvalue().splitlines()

    assert run("--dry-run") == [
        "scrape: concurrency=3, timeout=90, would be imported",
        "imports: worker=2, timeout=90, would be imported",
    ]
    assert not throttles.listed()
    assert [line.rpartition(" ")[2] for line in run()] == ["added", "added"]
    assert [line.rpartition(" ")[2] for line in run()] == ["unchanged", "unchanged"]
    file.write_text(TOML.replace("= 3", "= 4"), encoding="utf-8")
    assert [line.rpartition(" ")[2] for line in run()] == ["changed", "unchanged"]
    assert throttles.listed()[1].concurrency == 4


@pytest.mark.django_db
def test_a_file_that_is_wrong_or_not_there_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "throttles.toml"
    file.write_text(TOML + "a = 5\n", encoding="utf-8")

    for name in (file, tmp_path / "none.toml"):
        with pytest.raises(CommandError):
            call_command("faktory_import_throttles", str(name))

    assert not throttles.listed()
