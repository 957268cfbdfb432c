"""Search: the words that an operator types to find jobs. Pure: text to terms, terms to an answer.

type:Fetch* queue:mail tag:nightly error:"timed out" args.user_id=42 jid:b4f1 -queue:low
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS: Final = 400
MAX_TERMS: Final = 10
MAX_DEPTH: Final = 20

FIELDS: Final = {
    "type": "type",
    "queue": "queue",
    "tag": "tag",
    "label": "tag",
    "error": "error",
    "jid": "jid",
    "outcome": "outcome",
    "args": "args",
    "custom": "custom",
}
# What only the text of a job has: it is read row by row.
DEEP: Final = frozenset({"tag", "error", "args", "custom"})
SECRET: Final = frozenset({"tag", "args", "custom"})

_WORD: Final = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+', re.DOTALL)
_HEAD: Final = re.compile(r"(-?)([A-Za-z]+)((?:\.[^\s.:=\"]+)*)[:=](.*)", re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL: Final = re.compile(r"[A-Za-z0-9]+")


class BadSearch(ValueError):
    """A search cannot be understood: word is the part at fault, why one of its reasons."""

    UNKNOWN = "unknown"
    EMPTY = "empty"
    QUOTE = "quote"
    PATH = "path"
    LONG = "long"
    MANY = "many"
    NUL = "nul"

    def __init__(self, word: str, why: str) -> None:
        super().__init__(f"{why}: {word!r}")
        self.word, self.why = word, why


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; * in its value stands for any text. A plain word has the field "word"."""

    field: str
    value: str
    path: tuple[str, ...] = ()
    negated: bool = False

    @property
    def literal(self) -> str:
        """The longest run of letters and digits of the value: JSON writes it as it is."""
        return max(_LITERAL.findall(self.value), key=len, default="")


@dataclass(frozen=True, slots=True)
class Query:
    """Conditions that a job must meet, all of them."""

    terms: tuple[Term, ...] = ()

    @property
    def deep(self) -> tuple[Term, ...]:
        """The terms that only the text of a job can answer."""
        return tuple(term for term in self.terms if term.field in DEEP)

    @property
    def reads_contents(self) -> bool:
        """Whether the answer tells something of arguments or custom."""
        return any(term.field in SECRET for term in self.terms)

    @property
    def jid(self) -> str | None:
        """The jid that is asked for: an index finds it."""
        return next((t.value for t in self.terms if t.field == "jid" and not t.negated), None)

    @property
    def lone_word(self) -> str | None:
        """The only word of a search of one plain word."""
        match self.terms:
            case (Term("word", value, negated=False),) if "*" not in value:
                return value
        return None

    def accepts(self, args: Any, custom: Any, failure: dict[str, Any]) -> bool:
        """Return whether a job with these contents meets the deep terms."""
        return all(_meets(term, args, custom, failure) is not term.negated for term in self.deep)


def parse(text: str) -> Query:
    """Return what a person asks for. Raises BadSearch, which names the word at fault."""
    if len(text) > MAX_CHARACTERS:
        raise BadSearch(text[:20] + "…", BadSearch.LONG)
    if "\0" in text:
        raise BadSearch(text.replace("\0", "␀"), BadSearch.NUL)
    terms = tuple(map(_term, _words(text)))
    if len(terms) > MAX_TERMS:
        raise BadSearch(terms[MAX_TERMS].value, BadSearch.MANY)
    return Query(terms)


def quoted(value: str) -> str:
    """Return a value as it is written after a colon."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if not value or re.search(r'[\s"\\]', value) else value


def like(pattern: str, text: str) -> bool:
    """Return whether text is the pattern, in which * stands for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return first == text
    if not text.startswith(first):
        return False
    at = len(first)
    *middle, last = rest
    for part in middle:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - len(last) >= at and text.endswith(last)


def _words(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif (found := _WORD.match(text, at)) and not text.startswith('"', found.end()):
            yield found.group()
            at = found.end()
        else:
            raise BadSearch(text[at:].split()[0], BadSearch.QUOTE)


def _term(word: str) -> Term:
    found = _HEAD.fullmatch(word)
    if found is None:
        negated = word.startswith("-") and len(word) > 1
        value = _unquoted(word[1:] if negated else word)
        return Term("word", _filled(word, value), negated=negated)
    sign, key, path, raw = found.groups()
    field = FIELDS.get(key.lower())
    if field is None:
        raise BadSearch(key, BadSearch.UNKNOWN)
    if path and field not in {"args", "custom"}:
        raise BadSearch(key + path, BadSearch.PATH)
    value = _filled(word, _unquoted(raw))
    return Term(field, value, tuple(path.split(".")[1:]), negated=bool(sign))


def _filled(word: str, value: str) -> str:
    if not value:
        raise BadSearch(word, BadSearch.EMPTY)
    return value


def _unquoted(raw: str) -> str:
    return _QUOTED.sub(lambda found: re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL), raw)


def _meets(term: Term, args: Any, custom: Any, failure: dict[str, Any]) -> bool:
    match term.field:
        case "error":
            # by the way people read it, in any case of letters, anywhere in the line
            line = f"{failure.get('errtype', '')}: {failure.get('message', '')}"
            return like(f"*{term.value.lower()}*", line.lower())
        case "tag":
            held = custom if isinstance(custom, dict) else {}
            found = (held.get(name) for name in ("tags", "labels"))
            return any(_matches(term.value, value) for one in found for value in _items(one))
    return any(
        _matches(term.value, value)
        for place in _at(args if term.field == "args" else custom, term.path)
        for value in ([place] if term.path else _scalars(place))
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield what stands at a path; a name looks into every object of a list."""
    found = [value]
    for name in path:
        found = [entry for one in found for entry in _under(one, name)]
    return iter(found)


def _under(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if name in value:
            yield value[name]
    elif isinstance(value, list) and name.isdecimal():
        yield from value[int(name) : int(name) + 1]
    elif isinstance(value, list):
        yield from (item[name] for item in value if isinstance(item, dict) and name in item)


def _scalars(value: Any, depth: int = 0) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        if depth < MAX_DEPTH:
            for item in value.values() if isinstance(value, dict) else value:
                yield from _scalars(item, depth + 1)
    else:
        yield value


def _matches(pattern: str, value: Any) -> bool:
    match value:
        case str():
            return like(pattern, value)
        case bool() | None:
            return pattern == {True: "true", False: "false", None: "null"}[value]
        case int() | float():
            return like(pattern, str(value))
    return False
