"""The catalogues of the languages: what there is to translate, and the files that hold it.

`make messages` brings every django.po up to date and compiles it. It needs no gettext tools:
Babel reads and writes the files.
"""

from __future__ import annotations

import ast
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(__file__).parent.parent / "faktory_django"
LOCALE: Final = PACKAGE / "locale"
# What a call holds, in the order of its arguments.
CALLS: Final = {
    "_": ("singular",),
    "gettext": ("singular",),
    "gettext_lazy": ("singular",),
    "gettext_noop": ("singular",),
    "ngettext": ("singular", "plural"),
    "ngettext_lazy": ("singular", "plural"),
    "pgettext": ("context", "singular"),
    "pgettext_lazy": ("context", "singular"),
    "npgettext": ("context", "singular", "plural"),
    "npgettext_lazy": ("context", "singular", "plural"),
}
# What Babel adds to the head of a file and nobody reads; its dates would change every time.
_NOISE: Final = re.compile(
    r'"(Report-Msgid|POT-Cre|PO-Rev|Last-Tr|Language-Team|Generated-By)[^\n]*\n'
)
# Babel knows the plurals of a language; a catalogue may be the copy of another's.
_OF_THE_LANGUAGE: Final = re.compile(r'"(Language|Plural-Forms):[^\n]*\n')
_CALL: Final = re.compile(rf"\b({'|'.join(CALLS)})\(")
_LITERAL: Final = re.compile(r"""\s*u?((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))\s*,?""", re.DOTALL)


class Message(NamedTuple):
    """Something to translate."""

    singular: str
    plural: str = ""
    context: str = ""

    @property
    def key(self) -> str | tuple[str, str]:
        """What Babel knows it by."""
        return (self.singular, self.plural) if self.plural else self.singular


def messages() -> dict[Message, list[str]]:
    """Return all that the package says, and the files that say it."""
    found: dict[Message, list[str]] = {}
    for path in sorted((*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html"))):
        reader = in_python if path.suffix == ".py" else in_template
        for message in reader(path.read_text(encoding="utf-8")):
            files = found.setdefault(message, [])
            name = path.relative_to(PACKAGE.parent).as_posix()
            if name not in files:
                files.append(name)
    return found


def in_python(source: str) -> Iterator[Message]:
    """Yield what a module hands to gettext: literals, else names that gettext_noop has marked."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        parts = CALLS.get(node.func.id, ())
        arguments = node.args[: len(parts)]
        if parts and arguments and not any(isinstance(a, ast.Name) for a in arguments):
            given = map(ast.literal_eval, arguments)
            yield Message(**dict(zip(parts, given, strict=True)))


def in_template(source: str) -> Iterator[Message]:
    """Yield what a template translates, as makemessages would see it."""
    readable = templatize(source)
    for call in _CALL.finditer(readable):
        position, given = call.end(), []
        for _ in CALLS[call[1]]:
            literal = _LITERAL.match(readable, position)
            assert literal, f"not a literal: {readable[call.start() : call.start() + 80]!r}"
            given.append(ast.literal_eval(literal[1]))
            position = literal.end()
        yield Message(**dict(zip(CALLS[call[1]], given, strict=True)))


def languages() -> list[str]:
    """Return the names of the folders that hold a catalogue."""
    return sorted(path.parent.parent.name for path in LOCALE.glob("*/LC_MESSAGES/django.po"))


def path_of(language: str, suffix: str = "po") -> Path:
    """Return where a catalogue is, or its compiled form ("mo")."""
    return LOCALE / language / "LC_MESSAGES" / f"django.{suffix}"


def read(language: str) -> Catalog:
    """Return a catalogue."""
    text = _OF_THE_LANGUAGE.sub("", path_of(language).read_text(encoding="utf-8"))
    return read_po(io.BytesIO(text.encode()), locale=language)


def compiled(catalog: Catalog) -> bytes:
    """Return the bytes of the .mo file."""
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def update(language: str) -> None:
    """Add what is new to a catalogue, drop what is gone, keep what is translated; compile it."""
    template = Catalog()
    for message, files in messages().items():
        locations = [(name, 0) for name in files]
        template.add(message.key, context=message.context or None, locations=locations)
    catalog = read(language)
    catalog.update(template, no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=0, include_lineno=False, sort_by_file=True)
    path_of(language).write_text(
        _NOISE.sub("", buffer.getvalue().decode().lstrip()), encoding="utf-8"
    )
    path_of(language, "mo").write_bytes(compiled(catalog))


if __name__ == "__main__":
    import django
    from django.conf import settings

    settings.configure()
    django.setup()
    for language in languages():
        update(language)
