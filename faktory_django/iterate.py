"""Iterate: pairs of an item and its cursor, for iterable jobs; from where the job has come to.

    @job
    def reindex():
        for book, cursor in iterate.queryset(Book.objects.all()):
            index(book)
            yield cursor

Each begins after the cursor of the job that runs; after=... begins elsewhere. With progress=True
it says how far the job is.
"""

from __future__ import annotations

import csv
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from faktory_django.api.context import _current, current_job

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from django.db.models import Model, QuerySet

    M = TypeVar("M", bound=Model)
T = TypeVar("T")

_OF_JOB: Final[Any] = object()


def queryset(
    rows: QuerySet[M], *, after: Any = _OF_JOB, batch: int = 500, progress: bool = False
) -> Iterator[tuple[M, Any]]:
    """Yield the rows of a queryset by primary key, a query for each batch; the cursor is the key.

    Rows that come in behind the cursor meanwhile are not seen, others are. An order that the
    queryset has is replaced.
    """
    place = _place(after)
    told = _Progress(_rest(rows, place).count(), rows.count()) if progress else None
    while True:
        found = list(_rest(rows, place)[:batch])
        for row in found:
            place = row.pk
            yield row, place
            _tell(told)
        if len(found) < batch:
            return


async def aqueryset(
    rows: QuerySet[M], *, after: Any = _OF_JOB, batch: int = 500, progress: bool = False
) -> AsyncIterator[tuple[M, Any]]:
    """queryset for async jobs."""
    place = _place(after)
    told = _Progress(await _rest(rows, place).acount(), await rows.acount()) if progress else None
    while True:
        found = [row async for row in _rest(rows, place)[:batch]]
        for row in found:
            place = row.pk
            yield row, place
            _tell(told)
        if len(found) < batch:
            return


def sequence(
    items: Sequence[T], *, after: Any = _OF_JOB, progress: bool = False
) -> Iterator[tuple[T, int]]:
    """Yield the items of a list; the cursor is how many are done. It must be the same each time."""
    done = _place(after) or 0
    told = _Progress(len(items) - done, len(items)) if progress else None
    for number in range(done, len(items)):
        yield items[number], number + 1
        _tell(told)


def lines(
    path: str | os.PathLike[str], *, after: Any = _OF_JOB, encoding: str = "utf-8"
) -> Iterator[tuple[str, int]]:
    """Yield the lines of a file without their ends; the cursor is the position after the line."""
    with open(path, "rb") as file:
        file.seek(_place(after) or 0)
        for line in iter(file.readline, b""):
            yield line.decode(encoding).rstrip("\r\n"), file.tell()


def csv_rows(
    path: str | os.PathLike[str], *, after: Any = _OF_JOB, encoding: str = "utf-8", **dialect: Any
) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the rows of a CSV file as dicts by its first row; dialect goes to csv.reader.

    The cursor is the position after the row, which may be several lines.
    """
    with open(path, "rb") as file:
        text = (line.decode(encoding) for line in iter(file.readline, b""))
        names = next(csv.reader(text, **dialect), [])
        if place := _place(after):
            file.seek(place)
        for row in csv.reader(text, **dialect):
            yield dict(zip(names, row, strict=False)), file.tell()


def numbered(items: Iterable[T], *, after: Any = _OF_JOB) -> Iterator[tuple[T, int]]:
    """Yield what any iterable gives; the cursor is how many are done, which are passed over.

    For what cannot begin in its middle: it must give the same again, in the same order.
    """
    done = _place(after) or 0
    for number, item in zip(count(1), items, strict=False):
        if number > done:
            yield item, number


def _place(after: Any) -> Any:
    if after is not _OF_JOB:
        return after
    return None if _current.get() is None else current_job().cursor


def _rest(rows: QuerySet[M], place: Any) -> QuerySet[M]:
    rest = rows.order_by("pk")
    return rest if place is None else rest.filter(pk__gt=place)


class _Progress:
    """How many of all are left."""

    def __init__(self, left: int, total: int) -> None:
        self.left = left
        self.total = total


def _tell(told: _Progress | None) -> None:
    """Say that one more is done: after the job has yielded, so that it is true."""
    if told is None or _current.get() is None:
        return
    told.left = max(told.left - 1, 0)
    done = max(told.total - told.left, 0)
    current_job().progress(100 * done / max(told.total, 1), f"{done} / {told.total}")
