"""Redaction: what jobs carry that nobody should read on a page: passwords, tokens, card numbers.

A rule is a word. It hides the value of each key, and each named parameter, in which the word
stands, whatever its case and without its dashes and underscores: api_key hides X-API-Key too.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from faktory_django import payload, registry, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN: Final = "•••"
ALL: Final = "*"
# What a search sees in the place of arguments that are a token; a page says it in its language.
ENCRYPTED: Final = "encrypted"


@dataclass(frozen=True, slots=True)
class Rules:
    """What to hide in one type of job: words, places among its arguments, or all of them."""

    words: tuple[tuple[str, str], ...] = ()
    places: frozenset[int] = frozenset()
    parameters: tuple[str, ...] = ()
    everything: bool = False

    def word_for(self, key: str) -> str | None:
        """Return the rule that hides what stands under a key, as it was written, or None."""
        folded = _folded(key)
        return next((written for word, written in self.words if word in folded), None)


@dataclass(frozen=True, slots=True)
class Redacted:
    """A value that may be shown, and the rules that hid something in it."""

    value: Any
    rules: tuple[str, ...] = ()


def rules_of(jobtype: str) -> Rules:
    """Return the rules for a type of job: of REDACT_KEYS, and of its own @job(redact=...)."""
    definition = registry.discovered(jobtype)
    given = [*(definition.redact if definition else ()), *_settings_for(jobtype)]
    return Rules(
        words=_words(tuple(given)),
        places=frozenset(int(rule) for rule in given if _is_place(rule)),
        parameters=_parameters(definition.function) if definition else (),
        everything=ALL in given,
    )


def redact_args(jobtype: str, args: Any) -> Redacted:
    """Return the arguments of a job as they may be shown."""
    rules = rules_of(jobtype)
    if rules.everything:
        return Redacted(HIDDEN, (ALL,))
    if not isinstance(args, list):
        return redact(args, rules)
    used: dict[str, None] = {}
    shown = [_argument(place, value, rules, used) for place, value in enumerate(args)]
    return Redacted(shown, tuple(used))


def shown_args(jobtype: str, job: Mapping[str, Any]) -> Redacted:
    """Return the arguments of a job hash as they may be shown, ENCRYPTED for a token.

    The job of an on_dead hook carries the hash of the job that died.
    """
    if payload.is_encrypted(job.get("custom")):
        return Redacted(ENCRYPTED)
    args = job.get("args")
    if jobtype == registry.ON_DEAD and isinstance(args, list):
        args = [_dead(one) for one in args]
    return redact_args(jobtype, args)


def redact(value: Any, rules: Rules) -> Redacted:
    """Return JSON with HIDDEN in the place of what the rules hide, however deep it lies.

    Raises RecursionError for what is nested deeper than Python goes.
    """
    used: dict[str, None] = {}
    return Redacted(_shown(value, rules, used), tuple(used))


def is_told(text: str, rules: Rules) -> bool:
    """Return whether a text that could not be read as JSON tells what the rules would hide."""
    return rules.everything or bool(rules.places) or rules.word_for(text) is not None


def _dead(value: Any) -> Any:
    if isinstance(value, dict) and payload.is_encrypted(value.get("custom")):
        return {**value, "args": ENCRYPTED}
    return value


def _argument(place: int, value: Any, rules: Rules, used: dict[str, None]) -> Any:
    if place in rules.places:
        used[str(place)] = None
        return HIDDEN
    if place < len(rules.parameters) and (word := rules.word_for(rules.parameters[place])):
        used[word] = None
        return HIDDEN
    return _shown(value, rules, used)


def _shown(value: Any, rules: Rules, used: dict[str, None]) -> Any:
    if isinstance(value, list):
        return [_shown(entry, rules, used) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, entry in value.items():
        word = rules.word_for(key)
        if word is not None:
            used[word] = None
        found[key] = _shown(entry, rules, used) if word is None else HIDDEN
    return found


def _settings_for(jobtype: str) -> Iterable[str]:
    """Yield the words of REDACT_KEYS for every type, and those written as jobtype:word."""
    for rule in settings.get().redact_keys:
        named, colon, word = rule.rpartition(":")
        if not colon or named == jobtype:
            yield word


@lru_cache(maxsize=128)
def _words(rules: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return each word of the rules as it is looked for, and as it was written."""
    return tuple((word, rule) for rule in rules if (word := _folded(rule)))


def _folded(text: str) -> str:
    # a number is a place, never part of a key
    return "" if _is_place(text) else "".join(c for c in text.casefold() if c.isalnum())


def _is_place(rule: str) -> bool:
    return rule.isascii() and rule.isdigit() and len(rule) < 5


def _parameters(function: Any) -> tuple[str, ...]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C, and it does not say
        return ()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in found if p.kind in positional)
