"""Commands: what clients ask for goes to the life cycle, in groups, and each gets its own answer.

There are no rules here: the verbs know them. A command is answered when its effect has committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import psycopg
from django.db import Error as DjangoDatabaseError

from faktory_django.features import unique
from faktory_django.lifecycle import mutate, queues
from faktory_django.lifecycle.by_jid import ACK_JIDS, Holding, fail_jids, holding_params
from faktory_django.lifecycle.flush import flush
from faktory_django.lifecycle.limits import ADMIT, KEYS_AT_A_TIME, limit_keys
from faktory_django.lifecycle.presence import WireBeat
from faktory_django.lifecycle.push import statement
from faktory_django.lifecycle.push_traits import refusals
from faktory_django.lifecycle.retry import Error
from faktory_django.lifecycle.track import FOLLOW
from faktory_django.lifecycle.unique import patience_ms

from . import batches, frames, requests, tracks
from .database import DatabaseGone
from .groups import Group
from .jobs import WireJob

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .client import Client
    from .database import Desk, Link
    from .dealer import Dealer
    from .folding import Folding
    from .workers import Workers

logger = logging.getLogger(__name__)

# One statement's jobs.
MAX_ROWS: Final = 1_000
STATES: Final = {
    "quiet": frames.bulk(b'{"state":"quiet"}'),
    "terminate": frames.bulk(b'{"state":"terminate"}'),
}


class Asked(NamedTuple):
    """A command that waits: whose, which, and what it asks for."""

    client: Client
    turn: int
    what: Any


class Pushing(NamedTuple):
    """A PUSH, or a PUSHB with the jobs that were refused already."""

    client: Client
    turn: int
    jobs: list[WireJob]
    refused: dict[str, str] | None = None


class Commands:
    """The ways of all commands from a client to the database and back."""

    def __init__(
        self,
        *,
        dealer: Dealer,
        folding: Folding,
        workers: Workers,
        quick: Desk,
        slow: Desk,
        info: Callable[[], Coroutine[Any, Any, bytes]],
        command_seconds: float,
    ) -> None:
        self._dealer = dealer
        self._workers = workers
        self._quick = quick
        self._slow = slow
        self._info = info
        self._command_seconds = command_seconds
        self._pushes: Group[Pushing] = Group(_refuse, size=_size)
        self._acks: Group[Asked] = Group(_refuse, key=lambda asked: asked.what.jid)
        self._fails: Group[Asked] = Group(_refuse, key=lambda asked: asked.what.jid)
        self._beats: Group[Asked] = Group(_refuse, key=lambda asked: asked.what.wid)
        self._infos: Group[Asked] = Group(_refuse)
        self._tracks: Group[Asked] = Group(_refuse, key=lambda asked: asked.what.jid)
        self._batches: Group[Asked] = Group(_refuse)
        self._folding = folding
        self._tasks: set[asyncio.Task[None]] = set()
        self._ways: dict[type, Callable[[Client, int, Any], None]] = {
            requests.Push: self._push,
            requests.PushBulk: self._push_bulk,
            requests.Fetch: self._fetch,
            requests.Ack: self._ack,
            requests.Fail: self._fail,
            requests.Beat: lambda *asked: self._beats.add(Asked(*asked)),
            requests.Info: lambda *asked: self._infos.add(Asked(*asked)),
            requests.End: lambda client, _turn, _what: client.close(),
            requests.Flush: partial(self._act, self._flush),
            requests.QueueAct: partial(self._act, self._queue),
            requests.Mutate: partial(self._act, self._mutate),
            requests.TrackGet: self._track,
            requests.TrackSet: self._track,
            requests.BatchNew: lambda *asked: self._batches.add(Asked(*asked)),
            requests.BatchAct: lambda *asked: self._batches.add(Asked(*asked)),
        }

    def dispatch(self, client: Client, turn: int, request: requests.Request) -> None:
        """Send a request on its way; the answer goes to the client."""
        self._ways[type(request)](client, turn, request)

    def senders(
        self, push_links: Sequence[Link], ack_link: Link
    ) -> list[Coroutine[Any, Any, None]]:
        """Return the tasks that send what waits."""
        return [
            *(self._pushes.run(partial(self._send_pushes, link)) for link in push_links),
            self._acks.run(partial(self._send_acks, ack_link)),
            self._fails.run(self._send_fails),
            self._beats.run(self._send_beats),
            self._infos.run(self._send_infos),
            self._tracks.run(self._send_tracks),
            self._batches.run(self._send_batches),
            self._folding.run(),
        ]

    # push

    def _push(self, client: Client, turn: int, request: requests.Push) -> None:
        self._pushes.add(Pushing(client, turn, [request.job]))

    def _push_bulk(self, client: Client, turn: int, request: requests.PushBulk) -> None:
        jobs = [job for job in request.jobs if isinstance(job, WireJob)]
        refused = dict(job for job in request.jobs if not isinstance(job, WireJob))
        pushing = Pushing(client, turn, jobs, refused)
        if jobs:
            self._pushes.add(pushing)
        else:
            _pushed(pushing, {})

    async def _send_pushes(self, link: Link, items: list[Pushing]) -> None:
        jobs = [(item, job) for item in items for job in item.jobs]
        refused: dict[int, dict[str, str]] = {}
        for start in range(0, len(jobs), MAX_ROWS):
            await self._store(link, jobs[start : start + MAX_ROWS], refused)
        for item in items:
            _pushed(item, refused.get(id(item), {}))
        self._dealer.stir({job.queue for _, job in jobs})

    async def _store(
        self,
        link: Link,
        jobs: Sequence[tuple[Pushing, WireJob]],
        refused: dict[int, dict[str, str]],
    ) -> None:
        """Store jobs; note those that could not be, by the command that pushed them.

        What the database does not like is looked for by halves, and harms no other.
        """
        try:
            wanted = statement(
                [job for _, job in jobs], wake=True, apart=True, patience_ms=self._patience_ms()
            )
            kept_out = {r.place: r for r in refusals(await link.execute(*wanted))}
            for place, refusal in kept_out.items():
                if refusal.code:
                    item, job = jobs[place]
                    refused.setdefault(id(item), {})[job.jid] = refusal.words
            tracked = [
                job.jid
                for place, (_, job) in enumerate(jobs)
                if job.tracked and place not in kept_out
            ]
            await _let_in(link, [job for _, job in jobs if job.traits is not None])
            if tracked:
                await _follow(link, tracked)
        except DatabaseGone as wrong:
            for item, job in jobs:
                refused.setdefault(id(item), {})[job.jid] = f"{wrong}; it may have been stored"
        except psycopg.Error as wrong:
            if len(jobs) > 1:
                middle = len(jobs) // 2
                await self._store(link, jobs[:middle], refused)
                await self._store(link, jobs[middle:], refused)
                return
            ((item, job),) = jobs
            jobtype = frames.echo(job.jobtype.encode())
            logger.warning("a push of a %s was refused: %s", jobtype, _words(wrong))
            refused.setdefault(id(item), {})[job.jid] = _words(wrong)

    def _patience_ms(self) -> int:
        """Return how long pushes wait for another transaction: others wait behind them."""
        return min(patience_ms(), int(self._command_seconds * 1_000 / 5))

    # fetch, ack, fail, beat

    def _fetch(self, client: Client, turn: int, request: requests.Fetch) -> None:
        muted = self._workers.is_quiet(client.session.wid)
        self._dealer.wait(client, turn, request.queues, muted=muted)

    def _ack(self, client: Client, turn: int, request: requests.Ack) -> None:
        if "\0" in request.jid:
            client.answer(turn, frames.OK)
        else:
            self._acks.add(Asked(client, turn, request))

    async def _send_acks(self, link: Link, items: list[Asked]) -> None:
        holdings = [Holding(a.what.jid, a.client.session.wid) for a in items]
        deadline = time.monotonic() + self._command_seconds
        while True:
            try:
                await link.execute(ACK_JIDS, holding_params(holdings))
            except (DatabaseGone, psycopg.Error) as wrong:
                # an ack that was lost may be said again: what has ended is not ended twice
                if time.monotonic() < deadline:
                    await asyncio.sleep(0.1)
                    continue
                logger.error("acks cannot be stored: %s", wrong)
                answer = frames.error(_words(wrong))
            else:
                answer = frames.OK
                self._folding.ended()
            for asked in items:
                asked.client.answer(asked.turn, answer)
            return

    def _fail(self, client: Client, turn: int, request: requests.Fail) -> None:
        if "\0" in request.jid:
            client.answer(turn, _not_found(request.jid))
        else:
            self._fails.add(Asked(client, turn, request))

    async def _send_fails(self, items: list[Asked]) -> None:
        holdings = [Holding(a.what.jid, a.client.session.wid) for a in items]
        errors = [Error.cut(a.what.errtype, a.what.message, a.what.backtrace) for a in items]
        try:
            stood = await self._quick.call(fail_jids, holdings, errors)
        except (DatabaseGone, DjangoDatabaseError) as wrong:
            for asked in items:
                asked.client.answer(asked.turn, frames.error(_words(wrong)))
            return
        self._folding.ended()
        for asked, it_stood in zip(items, stood, strict=True):
            answer = frames.OK if it_stood else _not_found(asked.what.jid)
            asked.client.answer(asked.turn, answer)

    async def _send_beats(self, items: list[Asked]) -> None:
        beats = [
            WireBeat(a.what.wid, a.what.state, a.what.rss_kb)
            for a in items
            if "\0" not in a.what.wid + a.what.state
        ]
        try:
            states = await self._workers.beat(beats)
        except (DatabaseGone, DjangoDatabaseError) as wrong:
            for asked in items:
                asked.client.answer(asked.turn, frames.error(_words(wrong)))
            return
        for asked in items:
            state = states.get(asked.what.wid)
            if state is None:
                answer = frames.error(f"unknown worker {frames.echo(asked.what.wid.encode())}")
            else:
                answer = STATES.get(state, frames.OK)
            asked.client.answer(asked.turn, answer)

    async def _send_infos(self, items: list[Asked]) -> None:
        try:
            answer = frames.bulk(await self._info())
        except (DatabaseGone, DjangoDatabaseError) as wrong:
            answer = frames.error(_words(wrong))
        for asked in items:
            asked.client.answer(asked.turn, answer)

    # tracking

    def _track(
        self, client: Client, turn: int, request: requests.TrackGet | requests.TrackSet
    ) -> None:
        if "\0" not in request.jid:
            self._tracks.add(Asked(client, turn, request))
        elif isinstance(request, requests.TrackSet):
            client.answer(turn, frames.OK)
        else:
            client.answer(turn, tracks.answer(tracks.nobody(request.jid)))

    async def _send_tracks(self, items: list[Asked]) -> None:
        asked = [item for item in items if isinstance(item.what, requests.TrackGet)]
        told = [
            tracks.setting(item.what, item.client.session.wid)
            for item in items
            if isinstance(item.what, requests.TrackSet)
        ]
        try:
            found = await self._quick.call(tracks.track, told, [item.what.jid for item in asked])
        except (DatabaseGone, DjangoDatabaseError) as wrong:
            for item in items:
                item.client.answer(item.turn, frames.error(_words(wrong)))
            return
        answers = {
            id(item): tracks.answer(status) for item, status in zip(asked, found, strict=True)
        }
        for item in items:
            item.client.answer(item.turn, answers.get(id(item), frames.OK))

    # batches

    async def _send_batches(self, items: list[Asked]) -> None:
        try:
            answers = await self._quick.call(batches.answer_all, [item.what for item in items])
        except DatabaseGone as wrong:
            answers = [frames.error(_words(wrong))] * len(items)
        for item, answer in zip(items, answers, strict=True):
            item.client.answer(item.turn, answer)
        self._dealer.stir()

    # queues, sets, everything

    def _act(
        self,
        act: Callable[[BaseDatabaseWrapper, Any], bytes],
        client: Client,
        turn: int,
        request: Any,
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(act, client, turn, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self,
        act: Callable[[BaseDatabaseWrapper, Any], bytes],
        client: Client,
        turn: int,
        request: Any,
    ) -> None:
        try:
            answer = await self._slow.call(act, request)
        except (DatabaseGone, DjangoDatabaseError) as wrong:
            answer = frames.error(_words(wrong))
        except Exception:
            logger.exception("a command met an error of ours")
            answer = frames.error(requests.INTERNAL)
        client.answer(turn, answer)
        self._dealer.stir()

    def _flush(self, connection: BaseDatabaseWrapper, _request: requests.Flush) -> bytes:
        logger.warning("FLUSH: all jobs are deleted")
        flush(connection)
        return frames.OK

    def _queue(self, connection: BaseDatabaseWrapper, request: requests.QueueAct) -> bytes:
        using = connection.alias
        names = [name for name in request.names if "\0" not in name]
        if request.act == "LATENCY":
            found = queues.latencies(names, using=using) if names else {}
            return frames.bulk(msgspec.json.encode({n: found[n] or 0 for n in names}))
        if request.act == "REMOVE":
            for name in queues.known(using=using) if request.every else names:
                queues.remove(name, using=using)
        else:
            paused = request.act == "PAUSE"
            queues.set_known_paused(names, paused=paused, every=request.every, using=using)
        return frames.OK

    def _mutate(self, connection: BaseDatabaseWrapper, request: requests.Mutate) -> bytes:
        if "\0" in request.jobtype + request.glob:
            return frames.OK  # nothing can match
        jids = tuple(jid for jid in request.jids if "\0" not in jid)
        if request.jids and not jids:
            return frames.OK
        wanted = mutate.Filter(jids, request.jobtype, request.glob)
        verb = {"kill": mutate.kill, "requeue": mutate.requeue}.get(request.act, mutate.discard)
        using = connection.alias
        mutate.mutate(
            partial(verb, request.target, using=using), request.target, wanted, using=using
        )
        return frames.OK


async def _let_in(link: Link, jobs: Sequence[WireJob]) -> None:
    """Let in what waits for the limits of these jobs; upkeep does it when this cannot."""
    keys = sorted(limit_keys(jobs))
    try:
        for start in range(0, len(keys), KEYS_AT_A_TIME):
            await link.execute(ADMIT, {"keys": keys[start : start + KEYS_AT_A_TIME]})
    except (DatabaseGone, psycopg.Error):
        logger.warning("jobs of %d limits are let in later", len(keys))


async def _follow(link: Link, jids: list[str]) -> None:
    """Track jobs that are stored; without that only their success will not be known."""
    try:
        await link.execute(FOLLOW, {"jids": jids})
    except (DatabaseGone, psycopg.Error) as wrong:
        logger.warning("%d jobs are not tracked: %s", len(jids), _words(wrong))


def _refuse(item: Pushing | Asked) -> None:
    item.client.answer(item.turn, frames.error(requests.INTERNAL))


def _size(pushing: Pushing) -> int:
    return sum(len(job.body) for job in pushing.jobs)


def _pushed(item: Pushing, refused: dict[str, str]) -> None:
    """Answer a PUSH, or a PUSHB with all that was refused, now and before."""
    if item.refused is not None:
        every = dict(sorted((item.refused | refused).items()))
        item.client.answer(item.turn, frames.bulk(msgspec.json.encode(every)))
    elif refused:
        (text,) = refused.values()
        code, _, words = text.partition(" ")
        of_its_own = code == unique.CODE
        item.client.answer(
            item.turn, frames.error(words, code) if of_its_own else frames.error(text)
        )
    else:
        item.client.answer(item.turn, frames.OK)


def _not_found(jid: str) -> bytes:
    return frames.error(f"Job not found {frames.echo(jid.encode(errors='replace'))}")


def _words(wrong: Exception) -> str:
    """Return the first line of what the database says: it may quote what a client sent."""
    return (str(wrong).strip().splitlines() or [type(wrong).__name__])[0]
