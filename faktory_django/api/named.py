"""Push by name: a job of any language, known here or not, checked as every push is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faktory_django import payload, registry

from . import options as checks
from .middleware import push_chain
from .requests import PushRequest, checked
from .storing import STOPPED, JobHandle, announced, store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def push_named(
    jobtype: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    options: Mapping[str, Any],
    delay_seconds: float = 0.0,
    using: str | None = None,
) -> JobHandle:
    """Push a job by the name of its type; it gets a jid of its own.

    options are those of .set(). The handle is false when a middleware stopped the push, or another
    job holds its unique lock. Raises
    FaktoryError, which says what is wrong: InvalidArguments also when they do not fit the
    function that has this name here.
    """
    checks.check_options({"name": jobtype}, checks.JOB_OPTIONS)
    checks.check_options(options, checks.PUSH_OPTIONS)
    delay = checks.delay_seconds(delay_seconds)
    encrypt = _checked_encrypt(jobtype, args, kwargs)
    request: PushRequest | None = PushRequest(
        jid=payload.new_jid(),
        jobtype=jobtype,
        args=args,
        kwargs=kwargs,
        options=options,
        custom=dict(options.get("custom") or {}),
        delay_seconds=delay or None,
        encrypt=encrypt,
    )
    if (middleware := push_chain()) is not None:
        request = checked(middleware(request), encrypt=encrypt)
    if request is None:
        return STOPPED
    [handle] = announced(request.jobtype, store([request], using=using), using=using)
    return handle


def _checked_encrypt(jobtype: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Check the signature of what has this name here; return whether it wants to be encrypted."""
    definition = registry.discovered(jobtype)
    if definition is None:
        return False
    checks.check_fit(jobtype, definition.function, args, kwargs)
    return definition.encrypt
