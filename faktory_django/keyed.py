"""Keyed: what a value of the arguments becomes where it must not lie readable.

The same for the same value, so that it can be compared; nobody without SECRET_KEY can tell or try
out what it was.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from django.views.decorators.debug import sensitive_variables

from faktory_django import settings

# What stands in front, so that a person knows what this is.
PREFIX: Final = "hashed:"


def digest(purpose: str, text: str) -> str:
    """Return a hash of a text for one purpose, that says what it is; as of hexdigest."""
    return PREFIX + hexdigest(purpose, text)


@sensitive_variables()
def hexdigest(purpose: str, text: str) -> str:
    """Return a hash of a text for one purpose, keyed with the project's SECRET_KEY.

    purpose is at most 16 bytes: what has one purpose tells nothing of another. 32 digits.
    """
    secret = blake2b(str(settings.project("SECRET_KEY")).encode()).digest()
    said = text.encode("utf-8", "surrogatepass")
    return blake2b(said, digest_size=16, key=secret, person=purpose.encode()).hexdigest()
