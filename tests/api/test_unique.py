"""Unique jobs as Python pushes them: who is let in, and what becomes of the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection, transaction
from django.db.models import F

from faktory_django import (
    InvalidArguments,
    InvalidOption,
    InvalidTime,
    Job,
    JobHandle,
    NotUnique,
    crontab,
    job,
    periodic,
    signals,
)
from faktory_django.api.cron import of_settings
from faktory_django.api.named import push_named
from faktory_django.errors import EncryptionNotReady
from faktory_django.features import unique as unique_rules
from faktory_django.lifecycle import cron, cron_entries, dead, mutate, queues, unique
from faktory_django.lifecycle.connection import database
from faktory_django.lifecycle.run_next import run_next
from faktory_django.models import (
    CounterDelta,
    CronEntry,
    CronTick,
    DeadJob,
    RetryJob,
    ScheduledJob,
    Track,
    UniqueLock,
)
from faktory_django.models import Job as Stored
from faktory_django.testing import drain
from tests.jobapp.jobs import ask, fail, noop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faktory_django.api.requests import PushRequest

pytestmark = pytest.mark.django_db

ONE = noop.set(unique_for=60)


def args_of(jid: str) -> list[Any]:
    """Return the arguments that a job has, wherever it is."""
    for model in (Stored, ScheduledJob, RetryJob, DeadJob):
        if row := model.objects.filter(jid=jid).first():
            found: list[Any] = json.loads(row.body)["args"]
            return found
    raise LookupError(jid)


def over(**fields: Any) -> None:
    """Let the time of all locks be over."""
    UniqueLock.objects.update(expires_at=F("taken_at") - timedelta(seconds=1), **fields)


def test_a_second_job_is_refused_while_the_first_is_there() -> None:
    first = ONE.perform_async(1)

    second = ONE.perform_async(1)

    assert not second
    assert second == JobHandle("", "refused", first.jid)
    assert Stored.objects.count() == 1


def test_the_lock_says_who_holds_it_and_until_when() -> None:
    handle = noop.set(unique_for=timedelta(hours=1), queue="mail").perform_async(1)

    lock = UniqueLock.objects.get()
    assert (lock.jid, lock.queue, lock.jobtype) == (handle.jid, "mail", noop.jobtype)
    assert lock.until == "success"
    assert lock.expires_at - lock.taken_at == timedelta(hours=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((ONE, [1]), (ONE, [2]), id="arguments"),
        pytest.param((ONE, [1]), (ONE.set(queue="other"), [1]), id="queue"),
        pytest.param((ONE, [1]), (fail.set(unique_for=60), [1]), id="jobtype"),
        pytest.param((ONE, ["1"]), (ONE, [1]), id="type of an argument"),
        pytest.param((ONE, [[1, 2]]), (ONE, [[2, 1]]), id="order of a list"),
        pytest.param((ONE, [True]), (ONE, [1]), id="true and one"),
        pytest.param((ONE, [1]), (noop, [1]), id="one that is not unique"),
        pytest.param((noop, [1]), (ONE, [1]), id="after one that is not unique"),
        pytest.param((ONE, [1]), (ONE.set(unique_for=None), [1]), id="option taken away"),
    ],
)
def test_what_differs_is_let_in(
    first: tuple[Job[Any, Any], list[Any]], second: tuple[Job[Any, Any], list[Any]]
) -> None:
    for wanted, args in (first, second):
        assert wanted.perform_async(*args)

    assert Stored.objects.count() == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param((ONE, [{"a": 1, "b": 2}]), (ONE, [{"b": 2, "a": 1}]), id="order of keys"),
        pytest.param((ONE, [1]), (ONE, [1.0]), id="one and one point zero"),
        pytest.param((ONE, ["é"]), (ONE, ["\u00e9"]), id="escapes"),
        pytest.param((ONE, [1]), (ONE.set(unique_for=5), [1]), id="another time"),
        pytest.param((ONE, [1]), (ONE.set(priority=5, retry=1), [1]), id="other options"),
        pytest.param(
            (ONE, [1]), (noop.set(custom={"unique_for": 9}), [1]), id="told as the wire does"
        ),
    ],
)
def test_what_is_the_same_is_refused(
    first: tuple[Job[Any, Any], list[Any]], second: tuple[Job[Any, Any], list[Any]]
) -> None:
    assert first[0].perform_async(*first[1])

    assert not second[0].perform_async(*second[1])


def test_a_key_of_its_own_says_what_is_the_same() -> None:
    @job(name="tests.mail", unique_for=60, unique_key=["user"])
    def mail(user: int, text: str = "") -> None:
        """Do nothing."""

    @job(name="tests.bill", unique_for=60, unique_key=lambda user, *, day: f"{user} {day}")
    def bill(user: int, *, day: str) -> None:
        """Do nothing."""

    assert mail.perform_async(1, "hello")
    assert not mail.perform_async(user=1, text="again")
    assert mail.perform_async(2, "hello")
    assert bill.perform_async(1, day="monday")
    assert not bill.perform_async(1, day="monday")
    assert bill.perform_async(1, day="tuesday")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unique_for": 0}, "unique_for must be more than 0 and at most 315360000 seconds"),
        ({"unique_for": -1}, "got -1"),
        ({"unique_for": True}, "got True"),
        ({"unique_for": "60"}, "got '60'"),
        ({"unique_for": float("nan")}, "got nan"),
        ({"unique_for": timedelta(days=4_000)}, "at most 315360000 seconds"),
        ({"unique_until": "end"}, "unique_until must be one of success, start, got 'end'"),
        ({"unique_key": []}, "unique_key must name arguments, or be a callable"),
        ({"unique_key": 5}, "got 5"),
        ({"unique_key": [1]}, r"got \[1\]"),
        ({"on_duplicate": "drop"}, "refuse, raise, existing, replace, debounce, got 'drop'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        noop.set(**options)


@pytest.mark.parametrize("option", ["unique_until", "unique_key", "on_duplicate"])
def test_an_option_that_says_nothing_alone_is_refused_at_the_push(option: str) -> None:
    value = {"unique_until": "start", "unique_key": "path", "on_duplicate": "raise"}[option]

    with pytest.raises(InvalidOption, match=rf"{option} of .*noop needs unique_for"):
        noop.set(**{option: value}).perform_async(1)

    assert noop.set(**{option: value}, unique_for=None).perform_async(1)


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ({"unique_for": "60"}, "unique_for must be more than 0"),
        ({"unique_for": 1, "unique_until": 5}, "unique_until must be one of"),
        ({"unique_for": 1, "unique_key": ""}, "unique_key must be a text of 1 to 255 characters"),
        ({"unique_for": 1, "unique_key": 7}, "got 7"),
        ({"unique_for": 1, "on_duplicate": []}, "on_duplicate must be one of"),
    ],
)
def test_custom_that_cannot_be_is_refused_at_the_push(custom: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        noop.set(custom=custom).perform_async(1)

    assert not Stored.objects.exists()


def test_a_key_that_names_no_argument_is_refused() -> None:
    with pytest.raises(InvalidOption, match="nobody"):
        fail.set(unique_for=60, unique_key="nobody").perform_async("x")


def test_a_key_that_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidArguments):
        noop.set(unique_for=60, unique_key=lambda *_: object()).perform_async()


# what frees the lock, and what does not


ENDINGS: dict[str, tuple[Callable[..., Any], bool]] = {
    "success": (lambda: noop, True),
    "a discard of its own": (lambda: ask, True),
    "a retry": (lambda: fail, False),
    "its death": (lambda: fail.set(retry=-1), False),
    "a failure that leaves nothing": (lambda: fail.set(retry=0), True),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_an_end_frees_the_lock_and_a_failure_does_not(how: str) -> None:
    wanted, frees = ENDINGS[how][0](), ENDINGS[how][1]
    args = ["discard"] if wanted is ask else ["x"]
    wanted.set(unique_for=60).perform_async(*args)

    drain(raise_errors=False)

    assert UniqueLock.objects.exists() is not frees
    assert bool(wanted.set(unique_for=60).perform_async(*args)) is frees


def test_a_snooze_keeps_the_lock() -> None:
    ask.set(unique_for=60).perform_async("snooze", 60)

    drain()

    assert ScheduledJob.objects.count() == 1
    assert not ask.set(unique_for=60).perform_async("snooze", 60)


def test_a_job_that_comes_back_is_not_checked_and_keeps_its_lock() -> None:
    fail.set(unique_for=60).perform_async("x")
    drain(raise_errors=False)

    assert mutate.requeue("retries", list(RetryJob.objects.values_list("id", flat=True))) == 1

    assert Stored.objects.count() == 1
    assert not fail.set(unique_for=60).perform_async("x")


def test_the_dead_keep_their_lock_until_its_time_is_over() -> None:
    fail.set(unique_for=60, retry=-1).perform_async("x")
    drain(raise_errors=False)

    assert not fail.set(unique_for=60).perform_async("x")
    over()

    assert fail.set(unique_for=60).perform_async("x")


def ids(model: Any) -> list[int]:
    return list(model.objects.values_list("id", flat=True))


@pytest.mark.parametrize(
    ("act", "frees"),
    [
        pytest.param(lambda: mutate.discard("waiting", ids(Stored)), True, id="discard"),
        pytest.param(lambda: mutate.kill("waiting", ids(Stored)), False, id="kill"),
        pytest.param(lambda: queues.clear("default"), True, id="clear"),
        pytest.param(lambda: queues.remove("default"), True, id="remove"),
    ],
)
def test_what_a_person_does_to_a_waiting_job(act: Callable[[], Any], frees: bool) -> None:
    ONE.perform_async(1)

    assert act() == 1

    assert UniqueLock.objects.exists() is not frees


def test_what_a_person_discards_of_a_set_is_freed() -> None:
    ONE.perform_in(30, 1)

    assert mutate.discard("scheduled", ids(ScheduledJob)) == 1

    assert not UniqueLock.objects.exists()


def test_what_was_dead_for_too_long_is_freed() -> None:
    fail.set(unique_for=10**8, retry=-1).perform_async("x")
    drain(raise_errors=False)

    assert dead.purge(database(None), max_days=180, max_jobs=0) == 1

    assert not UniqueLock.objects.exists()


def test_a_lock_whose_time_is_over_goes_to_the_next_who_asks() -> None:
    first = ONE.perform_async(1)
    over()

    second = ONE.perform_async(1)

    assert second
    assert UniqueLock.objects.get().jid == second.jid
    assert Stored.objects.count() == 2
    mutate.discard("waiting", [Stored.objects.get(jid=first.jid).pk])
    assert UniqueLock.objects.get().jid == second.jid


def test_a_delay_is_added_to_the_time_of_the_lock() -> None:
    when = datetime.now(UTC) + timedelta(hours=3)
    ONE.perform_at(when, 1)
    noop.set(unique_for=60).perform_in(3_600, 2)

    at, delayed = UniqueLock.objects.order_by("-expires_at")
    assert at.expires_at == when + timedelta(seconds=60)
    assert delayed.expires_at - delayed.taken_at > timedelta(seconds=3_659)
    assert delayed.expires_at - delayed.taken_at < timedelta(seconds=3_661)


def test_until_start_the_running_job_does_not_hold_it() -> None:
    seen = []

    @job(name="tests.again", unique_for=60, unique_until="start")
    def again(more: bool) -> None:
        seen.append(UniqueLock.objects.exists())
        if more and len(seen) == 1:
            assert again.perform_async(more)
            assert not again.perform_async(more)

    again.perform_async(True)
    assert UniqueLock.objects.get().until == "start"
    drain()

    assert seen == [False, False]
    assert not UniqueLock.objects.exists()


def test_until_success_the_running_job_holds_it() -> None:
    seen: list[JobHandle] = []

    @job(name="tests.itself", unique_for=60)
    def itself() -> None:
        seen.append(itself.perform_async())

    handle = itself.perform_async()
    drain()

    assert seen == [JobHandle("", "refused", handle.jid)]


def test_a_job_with_its_effects_in_one_transaction_frees_it_there() -> None:
    @job(name="tests.atomic", unique_for=60, atomic=True)
    def effects() -> None:
        """Do nothing."""

    effects.perform_async()
    drain()

    assert not UniqueLock.objects.exists()
    assert effects.perform_async()


# what becomes of duplicates


def test_existing_gives_the_job_that_is_there() -> None:
    wanted = ONE.set(on_duplicate="existing")
    first = wanted.perform_async(1)

    second = wanted.perform_async(1)

    assert second
    assert second == JobHandle(first.jid, "existing", first.jid)
    assert Job.status(second.jid).state == "waiting"


def test_raise_raises() -> None:
    first = ONE.perform_async(1)

    with pytest.raises(NotUnique, match=first.jid) as raised:
        ONE.set(on_duplicate="raise").perform_async(1)

    assert raised.value.existing == first.jid


def test_raise_takes_a_whole_bulk_back() -> None:
    ONE.perform_async(3)

    with pytest.raises(NotUnique):
        ONE.set(on_duplicate="raise").perform_bulk([[1], [2], [3]])

    assert Stored.objects.count() == 1
    assert UniqueLock.objects.count() == 1


KEYED = noop.set(unique_for=60, unique_key=lambda key, *_: key)


@pytest.mark.parametrize(
    ("push", "place"),
    [
        pytest.param(lambda w: w.perform_async("k", 1), "waiting", id="waiting"),
        pytest.param(lambda w: w.perform_in(60, "k", 1), "scheduled", id="scheduled"),
        pytest.param(lambda w: w.set(priority=7).perform_async("k", 1), "waiting", id="priority"),
    ],
)
def test_replace_gives_the_waiting_job_new_arguments(
    push: Callable[[Job[Any, Any]], JobHandle], place: str
) -> None:
    first = push(KEYED)
    before = {m: list(m.objects.values("jid", "queue")) for m in (Stored, ScheduledJob)}

    second = KEYED.set(on_duplicate="replace").perform_async("k", {"a": "\u00e9"}, [2.5, None])

    assert second == JobHandle(first.jid, "replaced", first.jid)
    assert args_of(first.jid) == ["k", {"a": "\u00e9"}, [2.5, None]]
    assert Job.status(first.jid).state == place
    after = {m: list(m.objects.values("jid", "queue")) for m in (Stored, ScheduledJob)}
    assert after == before


def test_replace_changes_nothing_else_of_the_body() -> None:
    first = KEYED.set(custom={"tenant": 7}, retry=3, reserve_for=90).perform_in(60, "k", 1)
    before = json.loads(ScheduledJob.objects.get().body)

    KEYED.set(on_duplicate="replace", retry=9, custom={"tenant": 8}).perform_in(5, "k", 2)

    after = json.loads(ScheduledJob.objects.get().body)
    assert after == before | {"args": ["k", 2]}
    assert after["jid"] == first.jid
    assert list(after) == list(before)


def test_replace_brings_the_kinds_of_the_new_arguments() -> None:
    seen = []

    @job(name="tests.kinds", unique_for=60, unique_key="key")
    def kinds(key: str, when: Any, *, named: Any = None) -> None:
        seen.append((key, when, named))

    when = datetime(2030, 1, 2, tzinfo=UTC)
    kinds.perform_async("a", 1)
    kinds.perform_async("b", when, named=when)
    kinds.set(on_duplicate="replace").perform_async("a", when, named=2)
    kinds.set(on_duplicate="replace").perform_async("b", 1)
    drain()

    assert seen == [("a", when, 2), ("b", 1, None)]


def test_replace_of_a_retry_is_what_the_next_attempt_gets() -> None:
    wanted = fail.set(unique_for=60, unique_key=lambda _: 1)
    first = wanted.perform_async("x")
    drain(raise_errors=False)

    second = wanted.set(on_duplicate="replace").perform_async("y")

    assert second == JobHandle(first.jid, "replaced", first.jid)
    assert args_of(first.jid) == ["y"]


@pytest.mark.parametrize("way", ["replace", "debounce"])
def test_a_running_job_is_not_renewed(way: str) -> None:
    seen: list[JobHandle] = []

    @job(name="tests.running", unique_for=60, unique_key=lambda _: 1, on_duplicate=way)
    def running(_text: str) -> None:
        seen.append(running.perform_async("other"))

    first = running.perform_async("x")
    drain()

    assert seen == [JobHandle("", "refused", first.jid)]


@pytest.mark.parametrize("way", ["replace", "debounce"])
def test_a_dead_job_is_not_renewed(way: str) -> None:
    wanted = fail.set(unique_for=60, retry=-1, unique_key=lambda _: 1)
    first = wanted.perform_async("x")
    drain(raise_errors=False)

    assert wanted.set(on_duplicate=way).perform_async("y") == JobHandle("", "refused", first.jid)

    assert args_of(first.jid) == ["x"]


def test_debounce_moves_the_time_and_the_lock() -> None:
    wanted = KEYED.set(on_duplicate="debounce")
    first = wanted.perform_in(10, "k", 1)
    due_at, lock = ScheduledJob.objects.get().due_at, UniqueLock.objects.get()

    second = wanted.perform_in(3_600, "k", 2)

    row = ScheduledJob.objects.get()
    assert second == JobHandle(first.jid, "debounced", first.jid)
    assert args_of(first.jid) == ["k", 2]
    assert row.due_at - due_at > timedelta(seconds=3_500)
    moved = UniqueLock.objects.get()
    assert (moved.key, moved.jid) == (lock.key, first.jid)
    assert moved.expires_at - row.due_at == timedelta(seconds=60)
    at = datetime.fromisoformat(json.loads(row.body)["at"])
    assert at == row.due_at


def test_debounce_may_bring_a_job_forward_to_now() -> None:
    wanted = KEYED.set(on_duplicate="debounce")
    wanted.perform_in(3_600, "k", 1)

    assert wanted.perform_async("k", 2).outcome == "debounced"

    assert ScheduledJob.objects.get().due_at <= datetime.now(UTC)


def test_debounce_of_a_job_that_waits_in_its_queue_replaces() -> None:
    wanted = KEYED.set(on_duplicate="debounce")
    first = wanted.perform_async("k", 1)

    second = wanted.perform_in(60, "k", 2)

    assert second == JobHandle(first.jid, "replaced", first.jid)
    assert args_of(first.jid) == ["k", 2]


def test_a_job_that_has_come_back_to_its_queue_is_renewed() -> None:
    first = KEYED.perform_async("k", 1)
    assert run_next("waiting", ids(Stored)) == 1

    assert KEYED.set(on_duplicate="replace").perform_async("k", 2).outcome == "replaced"
    assert args_of(first.jid) == ["k", 2]


# bulk


def test_a_bulk_says_of_each_what_became_of_it() -> None:
    there = ONE.perform_async(2)

    one, two, again, three = ONE.perform_bulk([[1], [2], [1], [3]])

    assert [one.outcome, three.outcome] == ["pushed", "pushed"]
    assert two == JobHandle("", "refused", there.jid)
    assert again == JobHandle("", "refused", one.jid)
    assert Stored.objects.count() == 3
    assert sorted(UniqueLock.objects.values_list("jid", flat=True)) == sorted(
        [there.jid, one.jid, three.jid]
    )


def test_in_a_bulk_the_last_one_replaces() -> None:
    wanted = KEYED.set(on_duplicate="replace")

    first, second, third = wanted.perform_bulk([["k", 1], ["k", 2], ["k", 3]])

    assert (second.outcome, third.outcome) == ("replaced", "replaced")
    assert args_of(first.jid) == ["k", 3]
    assert Stored.objects.count() == 1


@pytest.mark.parametrize("way", ["refuse", "replace", "debounce", "existing"])
def test_a_bulk_of_several_statements_is_as_one(
    way: str, override_faktory: Callable[..., None]
) -> None:
    override_faktory(MAX_BULK_ROWS=3)
    wanted = KEYED.set(on_duplicate=way)
    there = wanted.perform_in(60, "9", 0)
    rows = [[str(n), n] for n in (5, 3, 9, 5, 1, 2, 3, 8, 9, 5)]

    handles = wanted.perform_bulk(rows, delay=60)

    firsts: dict[Any, int] = {"5": 0, "3": 1, "1": 4, "2": 5, "8": 7}
    outcome = {"refuse": "refused", "replace": "replaced", "debounce": "debounced"}
    for place, (handle, (key, _n)) in enumerate(zip(handles, rows, strict=True)):
        holder = there.jid if key == "9" else handles[firsts[key]].jid
        if firsts.get(key) == place:
            assert handle.outcome == "pushed"
        else:
            assert (handle.outcome, handle.existing) == (outcome.get(way, way), holder)
    assert ScheduledJob.objects.count() == 6
    assert UniqueLock.objects.count() == 6
    assert not ScheduledJob.objects.filter(traits__unique__has_key="held").exists()
    order = list(ScheduledJob.objects.order_by("id").values_list("jid", flat=True))
    assert order == [there.jid, *(handles[firsts[k]].jid for k in ("5", "3", "1", "2", "8"))]


def test_a_bulk_of_several_statements_whose_time_has_come_holds_its_locks(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(MAX_BULK_ROWS=2)
    past = datetime.now(UTC) - timedelta(hours=1)

    ONE.perform_bulk([[1], [2], [3]], at=past)

    assert not any(ONE.perform_bulk([[1], [2], [3]], at=past))


def test_only_jobs_that_are_stored_are_announced() -> None:
    heard = []

    def hear(jid: str, **_: Any) -> None:
        heard.append(jid)

    signals.pushed.connect(hear, sender=noop.jobtype)
    try:
        first, second = ONE.perform_bulk([[1], [1]])
    finally:
        signals.pushed.disconnect(hear, sender=noop.jobtype)

    assert heard == [first.jid]
    assert not second


def test_a_tracked_duplicate_is_not_followed() -> None:
    wanted = ONE.set(custom={"track": 1})

    first, second = wanted.perform_bulk([[1], [1]])

    assert [t.jid for t in Track.objects.all()] == [first.jid]
    assert second.existing == first.jid


# transactions, other doors


def test_a_rollback_frees_the_lock() -> None:
    class Away(Exception):
        pass

    def push() -> None:
        with transaction.atomic():
            assert ONE.perform_async(1)
            raise Away

    with pytest.raises(Away):
        push()

    assert ONE.perform_async(1)


def test_a_middleware_may_make_a_push_unique(override_faktory: Callable[..., None]) -> None:
    override_faktory(PUSH_MIDDLEWARE=["tests.api.test_unique.unique_by_queue"])

    first, second = noop.perform_async(1), noop.perform_async(2)

    assert first
    assert second == JobHandle("", "refused", first.jid)


def unique_by_queue(get_push: Callable[[Any], Any]) -> Callable[[PushRequest], Any]:
    """Let one job of a queue in at a time."""

    def push(request: PushRequest) -> Any:
        request.custom |= {"unique_for": 60, "unique_key": "the queue"}
        return get_push(request)

    return push


def test_a_push_by_name_is_unique_too() -> None:
    first = push_named("Resize", [1], {}, options={"unique_for": 60})

    assert push_named("Resize", [1], {}, options={"unique_for": 60}).existing == first.jid
    with pytest.raises(InvalidOption, match="no job 'Resize' is known here"):
        push_named("Resize", [1], {}, options={"unique_for": 60, "unique_key": "path"})


def test_released_by_hand_the_job_stays_and_another_is_let_in() -> None:
    first = ONE.perform_async(1)
    lock = UniqueLock.objects.get()

    assert not unique.release(lock.key, "another-jid")
    assert unique.release(lock.key, first.jid)

    assert not unique.release(lock.key, first.jid)
    assert ONE.perform_async(1)
    assert Stored.objects.count() == 2


def test_what_is_over_is_trimmed() -> None:
    for n in range(5):
        ONE.perform_async(n)
    kept = UniqueLock.objects.latest("taken_at").key
    UniqueLock.objects.exclude(key=kept).update(expires_at=F("taken_at"))

    assert unique.trim(database(None), limit=3) == 3
    assert unique.trim(database(None)) == 1

    assert UniqueLock.objects.get().key == kept


# cron


@pytest.fixture
def entries() -> Iterator[None]:
    """Take back what a test declares."""
    known = dict(crontab._in_code)
    yield
    crontab._in_code.clear()
    crontab._in_code.update(known)
    crontab.declare_settings([])


def run_of(declared: crontab.Declared) -> list[CronTick]:
    """Make an entry of what is declared, and push its job twice."""
    entry = CronEntry(
        name=declared.name, jobtype=declared.jobtype, schedule="@daily", zone="UTC", custom=""
    )
    entry.custom, entry.args = declared.custom, declared.args
    cron_entries.save(entry)
    for jid in ("tick-0001", "tick-0002"):
        CronTick.objects.create(entry=entry, tick_at=datetime.now(UTC), jid=jid)
        cron.store(connection, entry, [jid])
    return list(CronTick.objects.order_by("jid"))


@pytest.mark.usefixtures("entries")
def test_a_periodic_job_does_not_pile_up() -> None:
    @periodic("@daily")
    @job(name="tests.sums", unique_for=timedelta(days=1), expires_in=600)
    def sums() -> None:
        """Do nothing."""

    first, second = run_of(crontab._in_code["tests.sums"])

    assert (first.problem, second.problem) == ("", "Job not unique: job tick-0001")
    row = Stored.objects.get()
    traits: dict[str, Any] = row.traits or {}
    assert row.jid == "tick-0001"
    assert set(traits) == {"unique", "expires_at"}
    assert not sums.perform_async()


@pytest.mark.usefixtures("entries")
def test_an_entry_of_the_settings_takes_the_options_of_its_job_or_its_own(
    override_faktory: Callable[..., None],
) -> None:
    @job(name="tests.mail", unique_for=60, unique_key="user")
    def mail(user: int, text: str) -> None:
        """Do nothing."""

    said = {"job": "tests.mail", "schedule": "@daily", "args": [7, "x"]}
    override_faktory(CRON={"one": said, "other": said | {"unique_for": 90, "unique_key": "text"}})
    one, other = (json.loads(entry.custom) for entry in of_settings())

    assert (one["unique_for"], other["unique_for"]) == (60, 90)
    assert one["unique_key"] != other["unique_key"]
    assert mail.perform_async(7, "y")
    assert "Job not unique" in run_of(of_settings()[0])[0].problem


# encrypted jobs

KEYS = [Fernet.generate_key().decode() for _ in range(3)]


def secret_job(**options: Any) -> Job[Any, Any]:
    @job(name="tests.charge", encrypt=True, **{"unique_for": 60} | options)
    def charge(card: str, amount: int = 0) -> None:
        """Do nothing."""

    return charge


def test_an_encrypted_job_is_unique_by_what_it_holds(override_faktory: Callable[..., None]) -> None:
    override_faktory(ENCRYPTION_KEYS=KEYS[:1])
    charge = secret_job()
    first = charge.perform_async("4111-1111", 5)

    assert charge.perform_async("4111-1111", 5).existing == first.jid
    assert charge.perform_async("4111-1111", 6)
    by_card = secret_job(unique_key="card")
    assert by_card.perform_async("4111-1111", 7)
    assert not by_card.perform_async("4111-1111", 8)


@pytest.mark.parametrize("unique_key", [None, "card", lambda card, _: card])
def test_the_lock_of_an_encrypted_job_tells_nothing_to_who_has_no_key(
    unique_key: Any, override_faktory: Callable[..., None]
) -> None:
    override_faktory(ENCRYPTION_KEYS=KEYS[:1])
    secret_job(unique_key=unique_key).perform_async("4111-1111", 5)
    lock, body = UniqueLock.objects.get(), Stored.objects.get().body
    UniqueLock.objects.all().delete()

    override_faktory(ENCRYPTION_KEYS=KEYS[1:2])
    secret_job(unique_key=unique_key).perform_async("4111-1111", 5)

    assert UniqueLock.objects.get().key != lock.key
    known = [unique_rules.digest(text) for text in ('["4111-1111",5]', '["4111-1111"]')]
    assert not [digest for digest in known if digest in lock.key + body]
    assert "4111" not in lock.key + body


def test_while_a_key_is_brought_in_the_lock_is_the_same(
    override_faktory: Callable[..., None],
) -> None:
    charge = secret_job()
    override_faktory(ENCRYPTION_KEYS=[KEYS[0]])
    assert charge.perform_async("4111-1111")

    override_faktory(ENCRYPTION_KEYS=[KEYS[1], KEYS[0]])

    assert not charge.perform_async("4111-1111")


def test_without_a_key_an_encrypted_job_is_refused(override_faktory: Callable[..., None]) -> None:
    override_faktory(ENCRYPTION_KEYS=[])

    with pytest.raises(EncryptionNotReady, match=r"tests\.charge cannot be encrypted"):
        secret_job().perform_async("4111-1111")


@pytest.mark.parametrize("way", ["replace", "debounce"])
def test_an_encrypted_job_is_renewed_as_others_are(
    way: str, override_faktory: Callable[..., None]
) -> None:
    override_faktory(ENCRYPTION_KEYS=KEYS[:1])
    seen = []

    @job(name="tests.charge", encrypt=True, unique_for=60, unique_key="card", on_duplicate=way)
    def charge(card: str, when: Any, *, note: str = "") -> None:
        seen.append((card, when, note))

    when = datetime(2030, 1, 1, tzinfo=UTC)
    charge.perform_async("4111", 1)
    assert charge.perform_async("4111", when, note="x").outcome == "replaced"
    assert "4111" not in Stored.objects.get().body
    drain()

    assert seen == [("4111", when, "x")]


@pytest.mark.usefixtures("entries")
def test_a_periodic_job_that_is_encrypted_has_the_same_lock(
    override_faktory: Callable[..., None],
) -> None:
    override_faktory(ENCRYPTION_KEYS=KEYS[:1])
    charge: Job[Any, Any] = secret_job(unique_key="card")
    periodic("@daily", args=["4111-1111"])(charge)

    first, second = run_of(crontab._in_code["tests.charge"])

    assert (first.problem, second.problem) == ("", "Job not unique: job tick-0001")
    assert not charge.perform_async("4111-1111")
    assert charge.perform_async("4222-2222")


# expiring jobs


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"expires_in": 0}, InvalidOption, "expires_in must be more than 0 and at most 315360000"),
        ({"expires_in": "1 h"}, InvalidOption, "got '1 h'"),
        ({"expires_in": False}, InvalidOption, "got False"),
        ({"expires_at": 5}, InvalidTime, "a time must be a datetime"),
        ({"expires_at": datetime(2030, 1, 1)}, InvalidTime, "must be aware"),  # noqa: DTZ001
    ],
)
def test_an_expiry_that_cannot_be_is_refused(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        noop.set(**options)


@pytest.mark.parametrize(
    ("options", "expired"),
    [
        ({"expires_in": 60}, False),
        ({"expires_in": timedelta(hours=1)}, False),
        ({"expires_in": timedelta(microseconds=1)}, True),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, True),
        ({"expires_at": datetime(2100, 1, 1, tzinfo=UTC) - timedelta(days=26_000)}, False),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC), "expires_in": 60}, True),
        ({"expires_in": None, "expires_at": None}, False),
    ],
)
def test_a_job_runs_before_it_expires_and_not_after(options: dict[str, Any], expired: bool) -> None:
    noop.set(**options).perform_async()
    noop.perform_async()

    drained = drain()

    assert len(drained.ran) == (1 if expired else 2)
    assert not Stored.objects.exists()


def test_what_has_expired_is_counted_as_thrown_away_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "faktory_django.jobs")
    handle = noop.set(expires_in=timedelta(microseconds=1)).perform_async()
    CounterDelta.objects.all().delete()

    drain()

    [counted] = CounterDelta.objects.all()
    assert (counted.discarded, counted.failed, counted.done) == (1, 0, 0)
    assert f"{noop.jobtype} {handle.jid} has expired" in caplog.text


def test_a_job_that_is_renewed_expires_by_the_new_time() -> None:
    wanted = KEYED.set(on_duplicate="replace")
    wanted.set(expires_in=60).perform_async("k", 1)
    wanted.set(expires_in=7_200).perform_async("k", 2)

    traits: dict[str, Any] = Stored.objects.get().traits or {}
    assert traits["expires_at"] - datetime.now(UTC).timestamp() > 7_000
