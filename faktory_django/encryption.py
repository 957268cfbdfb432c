"""Encryption: the arguments of a job as one token, which only those who have a key can read.

The token is Fernet's. Sealed in it is a JSON object: args, and beside them the kinds and kwargs
that Python notes, for these name keys of the arguments.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import msgspec
from django.views.decorators.debug import sensitive_variables

from faktory_django import payload, registry, settings
from faktory_django.errors import EncryptionNotReady, UnreadableArguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography.fernet import Fernet, MultiFernet

# What the mark in custom says of a job whose args are a token.
FERNET: Final = "fernet"
MARK: Final = {payload.ENCRYPTED: FERNET}
NO_EXTRA: Final = "cryptography is not installed: pip install 'faktory-django[encryption]'"
NO_KEY: Final = "settings.FAKTORY['ENCRYPTION_KEYS'] has no key"


class Unsealed(msgspec.Struct):
    """What a token holds: the JSON of the arguments, and the notes of a push by Python."""

    args: list[Any]
    kinds: dict[str, str] = {}
    kwargs: bool = False


@dataclass(frozen=True, slots=True)
class Renewed:
    """A body whose tokens are all of the newest key; changed says that they were not before."""

    body: str
    changed: bool


def is_installed() -> bool:
    """Return whether the extra is there."""
    return find_spec("cryptography") is not None


def lack() -> str | None:
    """Return in words what is missing, or None. Raises InvalidOption for wrong settings."""
    if not is_installed():
        return NO_EXTRA
    return None if settings.get().encryption_keys else NO_KEY


@sensitive_variables()
def seal(jobtype: str, args: str, kinds: Mapping[str, str], *, named: bool) -> str:
    """Return the JSON of args as it is stored: an array of one token.

    args is the JSON of the arguments; named says that the last of them are keyword arguments.
    Raises EncryptionNotReady, which names the job.
    """
    try:
        _, ring = _keys()
    except _Missing as missing:
        raise EncryptionNotReady(f"job {jobtype} cannot be encrypted: {missing}") from None
    noted = f',"kinds":{json.dumps(kinds, ensure_ascii=False)}' if kinds else ""
    noted += ',"kwargs":true' if named else ""
    token = ring.encrypt(f'{{"args":{args}{noted}}}'.encode())
    return f'["{token.decode()}"]'


@sensitive_variables()
def fingerprint(jobtype: str, text: str) -> str:
    """Return what tells texts apart and cannot be guessed without a key: for unique locks.

    The key is the oldest one, which all processes have while a newer one is brought in. Raises
    EncryptionNotReady, which names the job.
    """
    try:
        _keys()
    except _Missing as missing:
        raise EncryptionNotReady(f"job {jobtype} cannot be encrypted: {missing}") from None
    oldest = urlsafe_b64decode(settings.get().encryption_keys[-1])
    return hmac.new(oldest, b"faktory_django unique " + text.encode(), "sha256").hexdigest()


@sensitive_variables()
def unseal(what: str, args: Any, way: Any) -> Unsealed:
    """Return what the token in args holds; what names the job in errors, way is from its mark.

    Raises UnreadableArguments, which tells nothing of the token.
    """
    if way != FERNET:
        raise UnreadableArguments(f"{what} is encrypted in a way that is not known here")
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], str):
        raise UnreadableArguments(f"{what} is encrypted, and its args are not one token")
    try:
        _, ring = _keys()
    except _Missing as missing:
        raise UnreadableArguments(f"{what} is encrypted, and {missing}") from None
    text = _decrypted(ring, args[0])
    if text is None:
        raise UnreadableArguments(
            f"{what} is encrypted with a key that is not in settings.FAKTORY['ENCRYPTION_KEYS'], "
            "or was damaged"
        )
    try:
        return _read(text)
    except (ValueError, RecursionError):
        raise UnreadableArguments(f"{what} is encrypted, and what it holds is no job's") from None


def opened(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job hash with its arguments in the clear, as it is when they cannot be read."""
    if not payload.is_encrypted(job.get("custom")):
        return job
    mark = job["custom"][payload.MARK]
    try:
        found = unseal("", job.get("args"), mark[payload.ENCRYPTED])
    except UnreadableArguments:
        return job
    notes = {"kinds": found.kinds, "kwargs": found.kwargs}
    clear = {k: v for k, v in job["custom"].items() if k != payload.MARK}
    if noted := {k: v for k, v in notes.items() if v}:
        clear[payload.MARK] = noted
    return {**job, "args": found.args, "custom": clear}


@sensitive_variables()
def renewed(body: str) -> Renewed | None:
    """Return a body under the newest key, None when nothing in it is encrypted.

    Only the token changes, and its time stays. To be called when nothing is lacking; raises
    UnreadableArguments when it cannot be read.
    """
    found, changed = list(_tokens(body)), False
    if not found:
        return None
    newest, ring = _keys()
    for token in found:
        if _decrypted(newest, token) is not None:
            continue
        if _decrypted(ring, token) is None or f'"{token}"' not in body:
            raise UnreadableArguments("its key is not there, or it was damaged")
        body = body.replace(f'"{token}"', f'"{ring.rotate(token).decode()}"')
        changed = True
    return Renewed(body, changed)


def _tokens(body: str) -> Iterator[str]:
    """Yield the token of a job, or that of the dead job which its on_dead job carries."""
    try:
        job: Any = msgspec.to_builtins(payload.parse(body))
    except (ValueError, RecursionError):
        return
    held = job["args"][1:2] if job["jobtype"] == registry.ON_DEAD else []
    for one in (job, *held):
        if isinstance(one, dict) and payload.is_encrypted(one.get("custom")):
            args = one.get("args")
            yield from (token for token in args or () if isinstance(token, str))


class _Missing(Exception):
    """There is no key, or no code to use it; the message says which."""


def _keys() -> tuple[Fernet, MultiFernet]:
    """Return the newest key, and all of them."""
    if not settings.get().encryption_keys:
        raise _Missing(NO_KEY)
    try:
        return _ring(settings.get().encryption_keys)
    except ImportError:
        raise _Missing(NO_EXTRA) from None


@lru_cache(maxsize=1)
@sensitive_variables()
def _ring(keys: tuple[str, ...]) -> tuple[Fernet, MultiFernet]:
    # an extra, and a slow import that few need
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415

    fernets = [Fernet(key) for key in keys]
    return fernets[0], MultiFernet(fernets)


def _decrypted(ring: Fernet | MultiFernet, token: str) -> bytes | None:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as in _ring()

    try:
        return ring.decrypt(token.encode("ascii"))
    except (InvalidToken, ValueError):
        return None


_DECODER: Final = msgspec.json.Decoder(Unsealed)


@sensitive_variables()
def _read(text: bytes) -> Unsealed:
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):  # some JSON only Python reads, as in payload
        return msgspec.convert(json.loads(text), Unsealed)
