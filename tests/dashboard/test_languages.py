"""Every word of the dashboard can be translated, and adding a language is one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faktory_django.dashboard import viewer

from . import hostile, pseudo
from .addresses import address, names, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

CYRILLIC = "Ж"
STYLE = Path(viewer.__file__).parent.parent / "static/faktory_django/dashboard.css"
SIDED = re.compile(
    r"(?<![\w-])(?:(?:margin|padding|border)-(?:left|right)|left|right)\s*:"
    r"|(?:text-align|float|clear):\s*(?:left|right)"
)


@pytest.fixture
def added(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add a language: one file."""
    pseudo.write(tmp_path)
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [*settings.LANGUAGES, (pseudo.CODE, pseudo.CODE)]
    monkeypatch.setattr(viewer, "LOCALE", tmp_path)
    viewer._catalogues.cache_clear()
    yield
    viewer._catalogues.cache_clear()


def speak(client: Client, settings: Any, code: str) -> None:
    """Choose a language as the switch on each page does."""
    client.post("/faktory/language/", {"language": code, "next": "/faktory/"})
    assert client.cookies[settings.LANGUAGE_COOKIE_NAME].value == code


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("filled", [True, False], ids=["filled", "empty"])
@pytest.mark.parametrize("name", [name for name in names() if readable(name)])
def test_every_word_of_a_page_is_translated(
    chief: Client, settings: Any, name: str, filled: bool
) -> None:
    speak(chief, settings, pseudo.CODE)
    if filled:
        hostile.fill([CYRILLIC * n for n in (1, 2, 3, 4)])

    parts = {"jid": CYRILLIC, "bid": CYRILLIC, "name": CYRILLIC, "jobtype": CYRILLIC, "key": 1}
    page = chief.get(address(name, parts))

    if page.headers["Content-Type"].startswith("text/html"):
        assert pseudo.untranslated(page.content.decode()) == []


@pytest.mark.usefixtures("added")
def test_a_language_that_is_added_is_offered_and_spoken(chief: Client, settings: Any) -> None:
    assert '<option value="xx" lang="xx">xx</option>' in chief.get("/faktory/").content.decode()

    speak(chief, settings, pseudo.CODE)

    assert "⟦Dashboard⟧" in chief.get("/faktory/").content.decode()


def test_a_language_from_right_to_left_turns_the_page(
    chief: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "languages", lambda: {"ar": "العربية"})
    speak(chief, settings, "ar")

    assert 'dir="rtl"' in chief.get("/faktory/").content.decode()


def test_the_style_knows_start_and_end_but_not_left_and_right() -> None:
    rules = re.sub(r"/\*.*?\*/", "", STYLE.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert SIDED.findall(rules) == []
