"""A language in which all that is translated stands in brackets: what does not, is not."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from babel.messages.catalog import Catalog

from tests import catalogue

if TYPE_CHECKING:
    from pathlib import Path

CODE: Final = "xx"
_INNERMOST: Final = re.compile(r"⟦[^⟦⟧]*⟧")
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_SHOWN: Final = ("title", "aria-label", "placeholder", "alt", "data-pause", "content")
_SILENT: Final = {"code", "pre", "script", "textarea"}
# Names of things, which every language writes so, and what Django itself says.
_NAMES: Final = re.compile(
    r"faktory_django\w*|Django|\b(UTC|CST|CDT|JID|RSS|SQL|JSON|PostgreSQL)\b|\d{4}-\d\d-\d\dT[\d:.Z]+"
    r'|type:Fetch\* error:"timed out" args\.user_id=42'  # as it is typed
    r"|\b(Jan|Feb|March|April|May|June|July|Aug|Sept|Oct|Nov|Dec)\b\.?|[ap]\.m\."
)


def write(folder: Path) -> None:
    """Write the catalogue of the language below a folder, as somebody adds a language."""
    found = Catalog(locale="en")
    for message in catalogue.messages():
        texts = tuple(f"⟦{text}⟧" for text in (message.singular, message.plural) if text)
        context = message.context or None
        found.add(message.key, texts if message.plural else texts[0], context=context)
    path = folder / CODE / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(catalogue.compiled(found))


class Words(HTMLParser):
    """Reads what a page shows between its breadcrumbs and its end."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.silent = 0
        self.begun = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up the attributes that people read; step over what names a language itself."""
        values = dict(attrs)
        self.begun |= "breadcrumbs" in (values.get("class") or "").split()
        if tag in _SILENT or (tag == "option" and "lang" in values):
            self.silent += 1
        shown = {name: value for name, value in values.items() if name in _SHOWN and value}
        if self.begun and not self.silent and tag != "meta":
            self.shown.extend(value or "" for value in shown.values())

    def handle_endtag(self, tag: str) -> None:
        """Hear again after what was stepped over."""
        if self.silent and tag in {*_SILENT, "option"}:
            self.silent -= 1

    def handle_data(self, data: str) -> None:
        """Take up a text."""
        if self.begun and not self.silent and data.strip():
            self.shown.append(data.strip())


def untranslated(page: str) -> list[str]:
    """Return the words on a page that are in no brackets; values are to be in Cyrillic."""
    reader = Words()
    reader.feed(page)
    reader.close()
    left = [_bare(text) for text in reader.shown]
    return [text for text in left if _WORD.search(text)]


def _bare(text: str) -> str:
    while (shorter := _INNERMOST.sub("", text)) != text:
        text = shorter
    return _NAMES.sub("", text)
