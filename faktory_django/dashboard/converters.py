"""Converters: names in addresses. A jid or a jobtype may be any text, with slashes and all."""

from __future__ import annotations

from typing import Final

from django.contrib.admin.utils import quote, unquote

# No parts of an address by themselves; what stands for them is nothing that quote() gives.
_INSTEAD: Final = {"": "_", ".": "_.", "..": "_.."}
_MEANT: Final = {written: text for text, written in _INSTEAD.items()}


class AnyText:
    """A part of an address that holds any text: <text:jid>."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """Return the text. Raises ValueError for what no column can hold."""
        if "\0" in value:
            raise ValueError("a name never holds a NUL")
        return _MEANT[value] if value in _MEANT else str(unquote(value))

    def to_url(self, value: str) -> str:
        """Return the text as it stands in an address."""
        return _INSTEAD[value] if value in _INSTEAD else str(quote(value))
