"""Copying: the text of a form about a job, and back to what is pushed. Pure.

What is hidden stays hidden in the form: HIDDEN in a text that comes back stands for what the job
has at the same place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from faktory_django import arguments, payload, redaction
from faktory_django.contents import loads
from faktory_django.errors import InvalidArguments

# Ours in custom, which the options of a push set.
_OWN: Final = frozenset({payload.MARK, "priority"})


@dataclass(frozen=True, slots=True)
class Original:
    """A job as it is stored: its type, and the hash of its body."""

    jobtype: str
    body: dict[str, Any]

    @classmethod
    def read(cls, jobtype: str, body: str) -> Original:
        """Read it. Raises ValidationError for what is no job hash, or is encrypted."""
        found = loads(body)
        if not isinstance(found.get("args"), list):
            raise ValidationError(_("The job is not readable, so there is nothing to copy."))
        if payload.is_encrypted(found.get("custom")):
            raise ValidationError(_("The arguments are encrypted: no copy of it can be edited."))
        return cls(jobtype, found)

    @property
    def custom(self) -> dict[str, Any]:
        """What producers and middleware have added."""
        found = self.body.get("custom")
        return {k: v for k, v in found.items() if k not in _OWN} if isinstance(found, dict) else {}

    @property
    def mark(self) -> dict[str, Any]:
        """What a push by Python noted: the kinds of arguments, and whether the last are named."""
        custom = self.body.get("custom")
        mark = custom.get(payload.MARK) if isinstance(custom, dict) else None
        return mark if isinstance(mark, dict) else {}

    def shown_args(self) -> str:
        """Return the arguments as a form shows them.

        Raises ValidationError when all of them are hidden.
        """
        found = redaction.redact_args(self.jobtype, self.body["args"]).value
        if not isinstance(found, list):
            raise ValidationError(_("All arguments of this type are hidden: it cannot be copied."))
        return _text(found)

    def shown_custom(self) -> str:
        """Return the custom attributes as a form shows them."""
        rules = redaction.rules_of(self.jobtype)
        return _text(redaction.redact(self.custom, rules).value) if self.custom else ""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is pushed: Python values, those with names apart."""

    args: list[Any]
    kwargs: dict[str, Any]


def read_args(original: Original, jobtype: str, text: str) -> Arguments:
    """Return the arguments that a form says. Raises ValidationError, which says what is wrong."""
    found = _json(text)
    if not isinstance(found, list):
        raise ValidationError(_('Arguments are a JSON array, such as [1, "two"].'))
    restored = _restored(found, original.body["args"], same_type=jobtype == original.jobtype)
    kinds = original.mark.get("kinds")
    named = original.mark.get("kwargs") is True
    try:
        args = arguments.decode(restored, kinds if isinstance(kinds, dict) else {})
    except InvalidArguments as wrong:
        raise ValidationError(str(wrong)) from wrong
    if not named:
        return Arguments(args, {})
    if not args or not isinstance(args[-1], dict):
        raise ValidationError(
            _("The last argument must be an object: it holds the named arguments.")
        )
    return Arguments(args[:-1], args[-1])


def read_custom(original: Original, jobtype: str, text: str) -> dict[str, Any]:
    """Return the custom attributes that a form says. Raises ValidationError."""
    found = _json(text) if text.strip() else {}
    if not isinstance(found, dict):
        raise ValidationError(_('Custom attributes are a JSON object, such as {"locale": "de"}.'))
    restored = _restored(found, original.custom, same_type=jobtype == original.jobtype)
    return dict(restored)


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as wrong:
        raise ValidationError(_("It is nested too deeply.")) from wrong
    except ValueError as wrong:
        raise ValidationError(_("It is not JSON: %(error)s") % {"error": wrong}) from wrong


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _restored(value: Any, original: Any, *, same_type: bool) -> Any:
    """Put back what is hidden, from the same place of the original.

    Never for another type, whose rules may show it.
    """
    if value == redaction.HIDDEN:
        if original is _NOTHING:
            raise ValidationError(
                _("%(hidden)s stands where the job has no hidden value.")
                % {"hidden": redaction.HIDDEN}
            )
        if not same_type:
            raise ValidationError(
                _("A hidden value is not copied to another type: write it anew, or leave it out.")
            )
        return original
    if isinstance(value, list):
        entries = original if isinstance(original, list) else []
        padded = [*entries, *[_NOTHING] * len(value)]
        pairs = zip(value, padded, strict=False)
        return [_restored(v, o, same_type=same_type) for v, o in pairs]
    if isinstance(value, dict):
        known = original if isinstance(original, dict) else {}
        return {
            k: _restored(v, known.get(k, _NOTHING), same_type=same_type) for k, v in value.items()
        }
    return value


class _Nothing:
    """What stands at a place that the original does not have."""


_NOTHING: Final = _Nothing()


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which no page can hold
        return json.dumps(value, indent=2)
    return text
