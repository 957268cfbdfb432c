"""A push on its way from @job to the store: checked, and encoded as rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from faktory_django import arguments, payload, settings
from faktory_django.errors import InvalidPayload, PayloadTooLarge

from . import options as checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faktory_django.lifecycle.push import Push

JID: Final = re.compile(r"[a-zA-Z0-9._-]{8,255}", re.ASCII)


@dataclass(slots=True)
class PushRequest:
    """A push on its way through the middleware, which may change it or return None to stop it."""

    jid: str
    jobtype: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    custom: dict[str, Any]
    at: datetime | None = None
    delay_seconds: float | None = None


def checked(request: PushRequest | None) -> PushRequest | None:
    """Check what a middleware may have changed, as if it had been written with the push."""
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
    return request


def encoded(requests: Sequence[PushRequest]) -> list[Push]:
    """Return the rows of pushes.

    Raises InvalidArguments or PayloadTooLarge, which name what is wrong and the limit.
    """
    from faktory_django.lifecycle.push import Push  # noqa: PLC0415 - needs the app registry

    ours = settings.get()
    limit = ours.max_payload_bytes
    templates: dict[Any, tuple[str, str, str]] = {}
    rows = []
    for request in requests:
        args, kinds = arguments.encode(
            request.args, request.kwargs, max_depth=ours.max_argument_depth
        )
        custom = _custom(request, kinds)
        at = _rfc3339(request.at) if request.at else None
        # jobs of one bulk push mostly share their options, the object itself
        same = (request.jobtype, id(request.options), at)
        key = repr((*same, custom)) if custom else same
        if (parts := templates.get(key)) is None:
            parts = templates[key] = _template(request, custom, at, ours)
        head, middle, tail = parts
        body = f"{head}{request.jid}{middle}{args}{tail}"
        if 4 * len(body) > limit and (size := len(body.encode())) > limit:
            raise PayloadTooLarge(
                f"job {request.jobtype} is {size} bytes, MAX_PAYLOAD_BYTES is {limit}"
            )
        options = request.options
        rows.append(
            Push(
                queue=options.get("queue") or ours.default_queue,
                jid=request.jid,
                jobtype=request.jobtype,
                body=body,
                priority=options.get("priority", 0),
                reserve_for=options.get("reserve_for") or ours.default_reserve_for,
                at=request.at,
                delay_seconds=request.delay_seconds,
            )
        )
    return rows


def _template(
    request: PushRequest, custom: Mapping[str, Any], at: str | None, ours: settings.FaktorySettings
) -> tuple[str, str, str]:
    options = request.options
    reserve_for = options.get("reserve_for")
    if reserve_for is None and ours.default_reserve_for != payload.RESERVE_FOR:
        reserve_for = ours.default_reserve_for
    return payload.template(
        request.jobtype,
        queue=options.get("queue") or ours.default_queue,
        retry=options.get("retry", ours.default_retry),
        custom=custom,
        at=at,
        reserve_for=reserve_for,
        backtrace=options.get("backtrace", 0),
    )


def _custom(request: PushRequest, kinds: Mapping[str, str]) -> dict[str, Any]:
    custom = request.custom
    if priority := request.options.get("priority"):
        custom = {**custom, "priority": priority}
    if kinds or request.kwargs:
        mark: dict[str, Any] = {"kinds": dict(kinds)} if kinds else {}
        if request.kwargs:
            mark["kwargs"] = True
        custom = {**custom, payload.MARK: mark}
    return custom


def _rfc3339(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
