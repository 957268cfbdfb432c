"""Middleware around pushes and around runs, in Django's shape.

A middleware is a factory: it takes the next callable and returns one that takes the job. It
may be sync, async or both (django.utils.decorators.sync_and_async_middleware says which); where
it does not fit the job it is adapted as Django adapts its own. The first in the setting is the
outermost.
"""

from __future__ import annotations

from functools import cache
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from faktory_django import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Handler = Callable[[Any], Any]


def chain(paths: Sequence[str], innermost: Handler, *, is_async: bool) -> Handler:
    """Return innermost wrapped in the middleware of paths, all in one mode."""
    handler = innermost
    for factory in reversed([_load(path) for path in paths]):
        capable = "async_capable" if is_async else "sync_capable"
        default = not is_async
        if getattr(factory, capable, default):
            handler = _adapt(factory(handler), is_async=is_async)
        else:
            handler = _adapt(factory(_adapt(handler, is_async=not is_async)), is_async=is_async)
    return handler


@cache
def push_chain() -> Handler | None:
    """Return the middleware around a push, or None when there is none."""
    paths = settings.get().push_middleware
    return chain(paths, _same, is_async=False) if paths else None


def _same(push: Any) -> Any:
    return push


@cache
def _load(path: str) -> Callable[[Handler], Handler]:
    factory: Callable[[Handler], Handler] = import_string(path)
    return factory


def _adapt(handler: Handler, *, is_async: bool) -> Handler:
    found = iscoroutinefunction(handler) or iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - looks at the method, not whether
    )
    if found == is_async:
        return handler
    return sync_to_async(handler, thread_sensitive=True) if is_async else async_to_sync(handler)


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "FAKTORY":
        push_chain.cache_clear()


setting_changed.connect(_forget)
