"""The catalogues hold all that the package says, whole and compiled: `make messages` sees to it."""

from __future__ import annotations

import gettext
import io
import re

import pytest

from tests import catalogue

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}|<[^>]+>")
# What the source says in English needs no translation.
TRANSLATED = [language for language in catalogue.languages() if language != "en"]


def known(language: str) -> dict[catalogue.Message, tuple[str, ...]]:
    """Return what a catalogue holds: the translations of each message."""
    found = {}
    for entry in catalogue.read(language):
        singular, *plural = [entry.id] if isinstance(entry.id, str) else entry.id
        strings = (entry.string,) if isinstance(entry.string, str) else entry.string or ()
        if singular:
            message = catalogue.Message(singular, "".join(plural), entry.context or "")
            found[message] = tuple(strings)
    return found


def test_there_are_english_and_japanese() -> None:
    assert {"en", "ja"} <= set(catalogue.languages())


@pytest.mark.parametrize("language", catalogue.languages())
def test_a_catalogue_holds_what_the_package_says_and_nothing_else(language: str) -> None:
    assert set(known(language)) == set(catalogue.messages()), "run: make messages"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_message_is_translated(language: str) -> None:
    assert [m for m, strings in known(language).items() if not all(strings)] == []
    assert [entry.id for entry in catalogue.read(language) if entry.fuzzy and entry.id] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_names_the_same_values(language: str) -> None:
    wrong = [
        (message, string)
        for message, strings in known(language).items()
        for string in strings
        if set(PLACEHOLDER.findall(string))
        != set(PLACEHOLDER.findall(message.plural or message.singular))
    ]

    assert wrong == []


@pytest.mark.parametrize("language", catalogue.languages())
def test_the_compiled_catalogue_is_fresh(language: str) -> None:
    with catalogue.path_of(language, "mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    fresh = gettext.GNUTranslations(io.BytesIO(catalogue.compiled(catalogue.read(language))))

    for translations in (compiled, fresh):
        del vars(translations)["plural"]  # a function
    assert vars(compiled) == vars(fresh), "run: make messages"


def test_templates_and_modules_are_read_as_makemessages_reads_them() -> None:
    template = (
        '{% load i18n %}{% translate "One" %}{% blocktranslate count n=n trimmed %}\n a {{ n }}\n'
        "{% plural %} b {{ n }} {% endblocktranslate %}{% translate 'Two' context 'c' %}"
        '{% include "x" with y=_("Three") %}'
    )
    module = 'from x import gettext as _\n_("A" " b")\nngettext("c", "d", n)\npgettext("e", "f")'

    assert list(catalogue.in_template(template)) == [
        catalogue.Message("One"),
        catalogue.Message("a %(n)s", "b %(n)s"),
        catalogue.Message("Two", context="c"),
        catalogue.Message("Three"),
    ]
    assert list(catalogue.in_python(module)) == [
        catalogue.Message("A b"),
        catalogue.Message("c", "d"),
        catalogue.Message("f", context="e"),
    ]
