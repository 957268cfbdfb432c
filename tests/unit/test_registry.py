"""A jobtype belongs to one function."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faktory_django import registry
from faktory_django.errors import DuplicateJobType
from faktory_django.registry import Definition


def one() -> None:
    """Be a function."""


def other() -> None:
    """Be another."""


def test_a_definition_is_found_by_its_name_and_its_old_ones() -> None:
    definition = Definition("new.name", one, aliases=("old.name", "older.name"))

    registry.register(definition)

    names = ["new.name", "old.name", "older.name", "nobody.knows"]
    assert [registry.find(name) for name in names] == [definition] * 3 + [None]


def test_a_definition_is_listed_once_whatever_its_aliases() -> None:
    registry.register(Definition("b.name", one, aliases=("b.old",)))
    registry.register(Definition("a.name", other))

    listed = [d.jobtype for d in registry.definitions() if d.jobtype in {"a.name", "b.name"}]

    assert listed == ["a.name", "b.name"]


def test_a_module_loaded_twice_replaces_its_own_definitions() -> None:
    first = Definition("some.name", one)
    registry.register(first)

    registry.register(replace(first, timeout_seconds=5))

    found = registry.find("some.name")
    assert found is not None
    assert found.timeout_seconds == 5


@pytest.mark.parametrize(
    ("name", "aliases"), [("taken", ()), ("old", ()), ("free", ("taken",)), ("free", ("old",))]
)
def test_a_name_in_use_is_refused_and_nothing_of_the_second_is_kept(
    name: str, aliases: tuple[str, ...]
) -> None:
    registry.register(Definition("taken", one, aliases=("old",)))

    with pytest.raises(DuplicateJobType) as refusal:
        registry.register(Definition(name, other, aliases=aliases))

    in_use = name if name != "free" else aliases[0]
    assert str(refusal.value) == (
        f"jobtype {in_use!r} belongs to {__name__}.one, {__name__}.other claims it too"
    )
    assert registry.find("free") is None
