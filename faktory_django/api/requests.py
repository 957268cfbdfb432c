"""A push on its way from @job to the store: checked, and encoded as rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from faktory_django import arguments, encryption, payload, registry, settings
from faktory_django.errors import InvalidPayload
from faktory_django.features import tracking, traits

from . import noted
from . import options as checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from faktory_django.lifecycle.push import Form, Push

JID: Final = re.compile(r"[a-zA-Z0-9._-]{8,255}", re.ASCII)


class PushRequest(msgspec.Struct):
    """A push on its way through the middleware, which may change it or return None to stop it.

    encrypt says that the arguments will be stored encrypted; here they are in the clear.
    """

    jid: str
    jobtype: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    custom: dict[str, Any]
    at: datetime | None = None
    delay_seconds: float | None = None
    encrypt: bool = False


def checked(request: PushRequest | None, *, encrypt: bool = False) -> PushRequest | None:
    """Check what a middleware may have changed, as if it had been written with the push.

    What had to be encrypted before still has to be, whatever the middleware made of it.
    """
    if request is None:
        return None
    if not isinstance(request, PushRequest):
        raise InvalidPayload(
            "a middleware of PUSH_MIDDLEWARE must return the PushRequest or None, "
            f"got {checks.shown(request)}"
        )
    checks.check_options(request.options, checks.PUSH_OPTIONS)
    checks.check_options({"custom": request.custom, "name": request.jobtype}, checks.JOB_OPTIONS)
    if request.at is not None:
        checks.instant(request.at)
    if request.delay_seconds is not None:
        checks.delay_seconds(request.delay_seconds)
    if not JID.fullmatch(request.jid):
        raise InvalidPayload(
            f"a jid is 8 to 255 characters of a-z, A-Z, 0-9, '.', '_' and '-', got {request.jid!r}"
        )
    named = registry.find(request.jobtype)
    if encrypt or (named is not None and named.encrypt):
        request.encrypt = True
    return request


def encoded(requests: Sequence[PushRequest]) -> list[Push]:
    """Return the rows of pushes.

    Raises InvalidArguments, EncryptionNotReady or PayloadTooLarge, which name what is wrong and
    the limit.
    """
    from faktory_django.lifecycle.push import Push  # noqa: PLC0415 - needs the app registry

    ours = settings.get()
    limit = ours.max_payload_bytes
    depth = ours.max_argument_depth
    forms: dict[Any, Form] = {}
    rows = []
    for request in requests:
        args, kinds = arguments.encode(request.args, request.kwargs, max_depth=depth)
        custom = _custom(request, kinds)
        if request.encrypt:
            args = encryption.seal(request.jobtype, args, kinds, named=bool(request.kwargs))
        # jobs of one bulk push mostly share their options, the object itself
        same = (request.jobtype, id(request.options), request.at)
        key = repr((*same, custom)) if custom else same
        if (form := forms.get(key)) is None:
            form = forms[key] = _form(request, custom, ours)
        jid, jobtype = request.jid, request.jobtype
        body = f"{form.head}{jid}{form.middle}{args}{form.tail}"
        if 4 * len(body) > limit and (size := len(body.encode())) > limit:
            raise payload.too_large(jobtype, size, limit)
        times = request.at, request.delay_seconds
        shared = form.priority, form.reserve_for
        pushed = traits.Pushed(jobtype, form.queue, args, *times)
        rows.append(
            Push(
                form.queue,
                jid,
                jobtype,
                body,
                *shared,
                *times,
                tracked=form.tracked,
                traits=traits.traits_of(custom, pushed),
            )
        )
    return rows


def encoded_alike(
    request: PushRequest, args_list: Iterable[Sequence[Any]]
) -> tuple[Form, list[str]] | None:
    """Return what jobs like this one share, and the text of each one's args.

    None for several of which one has an argument of a kind that JSON does not know, so that
    their bodies differ more: a token holds the kinds too; and where features look at each. Raises
    as encoded() does.
    """
    if traits.are_asked_for(request.custom) or noted.are_asked_for(request):
        return None
    ours = settings.get()
    depth = ours.max_argument_depth
    found = [arguments.encode(args, request.kwargs, max_depth=depth) for args in args_list]
    texts = [text for text, _ in found]
    if request.encrypt:
        jobtype, named = request.jobtype, bool(request.kwargs)
        texts = [encryption.seal(jobtype, text, kinds, named=named) for text, kinds in found]
    elif len(found) > 1 and any(kinds for _, kinds in found):
        return None
    form = _form(request, _custom(request, found[0][1] if found else {}), ours)
    rest = len(f"{form.head}{request.jid}{form.middle}{form.tail}".encode())  # jids are as long
    limit = ours.max_payload_bytes - rest
    for text in texts:
        if 4 * len(text) > limit and (size := len(text.encode())) > limit:
            raise payload.too_large(request.jobtype, size + rest, ours.max_payload_bytes)
    return form, texts


def _form(request: PushRequest, custom: Mapping[str, Any], ours: settings.FaktorySettings) -> Form:
    from faktory_django.lifecycle.push import Form  # noqa: PLC0415 - needs the app registry

    options = request.options
    queue = options.get("queue") or ours.default_queue
    told = reserve_for = options.get("reserve_for") or ours.default_reserve_for
    if "reserve_for" not in options and reserve_for == payload.RESERVE_FOR:
        told = None  # every worker knows the protocol's own default
    parts = payload.template(
        request.jobtype,
        queue=queue,
        retry=options.get("retry", ours.default_retry),
        custom=custom,
        at=_rfc3339(request.at) if request.at else None,
        reserve_for=told,
        backtrace=options.get("backtrace", 0),
    )
    priority = options.get("priority", 0)
    tracked = tracking.is_asked_for(request.custom)
    return Form(queue, request.jobtype, priority, reserve_for, *parts, tracked=tracked)


def _custom(request: PushRequest, kinds: Mapping[str, str]) -> dict[str, Any]:
    custom = request.custom
    if noted.are_asked_for(request):
        custom = {**noted.noted(request), **custom}
    if priority := request.options.get("priority"):
        custom = {**custom, "priority": priority}
    if request.encrypt:
        custom = {**custom, payload.MARK: encryption.MARK}
    elif note := payload.noted(kinds, named=bool(request.kwargs)):
        custom = {**custom, payload.MARK: note}
    return custom


def _rfc3339(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
