"""Array columns that do not ask for django.contrib.postgres in INSTALLED_APPS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    IntegersField = models.Field[list[int] | None, list[int] | None]
    TextsField = models.Field[list[str], list[str]]
    SomeTextsField = models.Field[list[str] | None, list[str] | None]
else:
    IntegersField = TextsField = SomeTextsField = models.Field


class BigIntegerArrayField(IntegersField):
    """bigint[]; a list of int in Python."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002 - Django's signature
        return "bigint[]"


class IntegerArrayField(IntegersField):
    """integer[]; a list of int in Python."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002
        return "integer[]"


class TextArrayField(TextsField):
    """text[]; a list of str in Python."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002
        return "text[]"


class SomeTextsArrayField(SomeTextsField):
    """text[] that may be NULL; a list of str in Python."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002
        return "text[]"


def name_field(help_text: Any, **options: Any) -> Any:
    """Return a text column in byte order, which every index on names uses."""
    return models.TextField(help_text=help_text, db_collation="C", **options)
