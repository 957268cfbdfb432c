"""Limit keys as pages show them: what they tell of arguments only to those who may see these."""

from __future__ import annotations

from faktory_django.contents import line


def shown_key(key: str, *, args: bool) -> str:
    """Return a key on one line; without args only its name, which stands before the value."""
    text = line(key)
    name, space, _value = text.partition(" ")
    return text if args or not space else f"{name} •••"
